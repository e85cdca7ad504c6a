"""A real nats-server with JetStream on files."""

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nats.aio.client import Client

from shared.broker.connection import connect_options
from shared.broker.streams import INTAKE, LOGS, METRICS, clusters_bucket, progress_bucket, provision
from shared.settings import NatsSettings
from tests.support.programs import accepts, end, nats_program, run_blocking
from tests.support.waiting import until_blocking

_CONFIG = """
listen: "127.0.0.1:{port}"
ports_file_dir: "{folder}"
max_payload: 8MB
jetstream {{ store_dir: "{folder}/jetstream"{limit} }}
"""


class NatsServer:
    """The server of the wheel in its own folder. Its port and files survive ``kill`` and ``restart``."""

    def __init__(self, folder: Path, *, max_store_bytes: int | None = None) -> None:
        self._folder = folder
        self._limit = f", max_file_store: {max_store_bytes}" if max_store_bytes else ""
        self._port = -1  # the server chooses a port and writes it to a file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def store(self) -> Path:
        return self._folder / "jetstream"

    def start(self) -> None:
        assert self._process is None
        config = self._folder / "nats.conf"
        config.write_text(_CONFIG.format(port=self._port, folder=self._folder, limit=self._limit))
        with (self._folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen([nats_program(), "-c", str(config)], stdout=log, stderr=log)
        until_blocking(self._is_up, 30, f"nats-server up, see {self._folder}/nats.log")

    def kill(self) -> None:
        """SIGKILL."""
        self._stop(signal.SIGKILL)

    def stop(self) -> None:
        self._stop(signal.SIGTERM)

    def restart(self) -> None:
        """Start again on the same port with the same files; kills a running server first."""
        self.kill()
        self.start()

    def _stop(self, number: signal.Signals) -> None:
        if self._process is not None:
            end(self._process, number)
            self._ports_file().unlink(missing_ok=True)
            self._process = None

    def _ports_file(self) -> Path:
        return self._folder / f"nats-server_{self.pid}.ports"

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"nats-server ended, see {self._folder}/nats.log"
        if self._port < 0:
            try:
                (address, *_) = json.loads(self._ports_file().read_text())["nats"]
            except (OSError, ValueError, KeyError):
                return False
            self._port = int(address.rsplit(":", 1)[1])
        return accepts(self._port)


class RunningNats:
    """A server that was started elsewhere and cannot be killed by a test."""

    def __init__(self, url: str) -> None:
        self.url = url


def unique_settings(url: str) -> NatsSettings:
    """Settings with streams, subjects and a bucket that no other test uses."""
    name = f"t{os.urandom(5).hex()}"
    return NatsSettings(
        url=url,
        prefix=name,
        job_subjects=[f"cc.{name}.job.event"],
        node_subjects=[f"cc.{name}.node.state"],
        metric_subjects=[f"cc.{name}.metric"],
        metrics_max_gib=0.01,
    )


async def _quiet(_: Exception) -> None:
    """Ignore the error, since the caller gets an exception."""


@asynccontextmanager
async def client_of(settings: NatsSettings) -> AsyncIterator[Client]:
    """A connection for one block. It does not reconnect, so that a lost server is noticed."""
    once = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.05, "error_cb": _quiet}
    client = await nats.connect(**connect_options(settings, "test") | once)
    try:
        yield client
    finally:
        await client.close()


async def publish(settings: NatsSettings, *payloads: bytes, subject: str | None = None) -> None:
    """Publish like adapters, without waiting for the stream. On return, the broker has received all messages."""
    async with client_of(settings) as client:
        for payload in payloads:
            await client.publish(subject or settings.job_subjects[0], payload)
        await client.flush(10)


def provision_blocking(settings: NatsSettings) -> None:
    async def work() -> None:
        async with client_of(settings) as client:
            await provision(client, settings)

    run_blocking(work())


def forget_blocking(settings: NatsSettings) -> None:
    """Delete everything of these settings from the server."""

    async def work() -> None:
        async with client_of(settings) as client:
            streams = client.jetstream(timeout=30)
            existing = {info.config.name for info in await streams.streams_info()}
            buckets = (clusters_bucket(settings), progress_bucket(settings))
            for name in [*map(settings.stream, (INTAKE, METRICS, *LOGS)), *(f"KV_{bucket}" for bucket in buckets)]:
                if name in existing:
                    await streams.delete_stream(name)

    run_blocking(work())
