"""Three nats-servers that form one JetStream cluster."""

import signal
import subprocess
from pathlib import Path

from nats.errors import Error as NatsError
from nats.js.errors import APIError

from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings
from tests.support.nats import client_of, provision_blocking
from tests.support.programs import accepts, end, free_port, nats_program, run_blocking
from tests.support.waiting import until, until_blocking

NAMES = ("one", "two", "three")
_CONFIG = """
server_name: {name}
listen: "127.0.0.1:{port}"
max_payload: 8MB
jetstream {{ store_dir: "{folder}/{name}" }}
cluster {{
  name: test
  listen: "127.0.0.1:{route}"
  routes: [{routes}]
}}
"""


class NatsCluster:
    """Servers by name. Their ports and files survive ``kill`` and ``start``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in NAMES}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        routes = {name: free_port() for name in NAMES}
        addresses = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes.values())
        for name in NAMES:
            text = _CONFIG.format(name=name, port=self._ports[name], folder=folder, route=routes[name], routes=addresses)
            self._config(name).write_text(text)

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{port}" for port in self._ports.values())

    def start(self, name: str) -> None:
        assert name not in self._processes
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen([nats_program(), "-c", str(self._config(name))], stdout=log, stderr=log)
        until_blocking(lambda: accepts(self._ports[name]), 30, f"nats-server up, see {self._folder}/{name}.log")

    def kill(self, name: str) -> None:
        """SIGKILL."""
        end(self._processes.pop(name), signal.SIGKILL)

    def pause(self, name: str) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    def end_all(self) -> None:
        for name in list(self._processes):
            self.kill(name)

    def _config(self, name: str) -> Path:
        return self._folder / f"{name}.conf"


def provision_cluster_blocking(settings: NatsSettings) -> None:
    """Provision once the servers have elected a leader."""

    def is_provisioned() -> bool:
        try:
            provision_blocking(settings)
        except (Unavailable, UserError, NatsError, APIError, OSError, TimeoutError):
            return False
        return True

    until_blocking(is_provisioned, 30, "the cluster has its streams")


async def members_of(settings: NatsSettings, stream: str) -> list[str]:
    """The leader of the stream, then its followers, once all of them are present and up to date."""

    async def complete() -> list[str]:
        try:
            async with client_of(settings) as client:
                cluster = (await client.jetstream(timeout=5).stream_info(settings.stream(stream))).cluster
        except (NatsError, APIError, OSError, TimeoutError):
            return []
        followers = [peer.name for peer in (cluster.replicas if cluster else None) or [] if peer.current and peer.name]
        return [cluster.leader, *followers] if cluster and cluster.leader and len(followers) == len(NAMES) - 1 else []

    return await until(complete, 30, f"{stream} has a leader and up-to-date followers")


def remember_message_ids_blocking(settings: NatsSettings, stream: str, *, for_s: float) -> None:
    """Enlarge the stream's duplicate window, so that repeated messages are stored once and can be counted exactly."""

    async def work() -> None:
        async with client_of(settings) as client:
            js = client.jetstream(timeout=30)
            config = (await js.stream_info(settings.stream(stream))).config
            await js.update_stream(config.evolve(duplicate_window=for_s))

    run_blocking(work())
