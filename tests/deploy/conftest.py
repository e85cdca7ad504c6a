"""A broker that runs the shipped configuration, and a connection as each of its users."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from nats.aio.client import Client
from pydantic import SecretStr

from shared.broker.connection import connect_options
from shared.settings import NatsSettings
from tests.support.programs import nats_program

ROOT = Path(__file__).parents[2]
USERS = ("adapter", "ingest", "jobstore", "archiver", "metricstore", "gateway", "operator")
START_S = 40.0


@dataclass(frozen=True, slots=True)
class Broker:
    url: str
    passwords: dict[str, str]
    log_file: Path

    def violations(self) -> list[str]:
        """The broker's refusals so far."""
        return [line for line in self.log_file.read_text().splitlines() if "Violation" in line]

    def settings(self, user: str) -> NatsSettings:
        return NatsSettings(url=self.url, user=user, password=SecretStr(self.passwords[user]))

    @asynccontextmanager
    async def connected(self, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
        """A connection as ``user``, and a list that collects the broker's errors."""
        complaints: list[str] = []

        async def complain(error: Exception) -> None:
            complaints.append(str(error))

        client = Client()
        await client.connect(**connect_options(self.settings(user), f"test-{user}"), error_cb=complain)
        try:
            yield client, complaints
        finally:
            await client.close()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    passwords = {user: f"p{secrets.token_hex(8)}" for user in USERS}
    ports = tmp_path / "ports"
    ports.mkdir()
    log_file = tmp_path / "nats.log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(nats_program()),
            *("-c", str(ROOT / "deploy" / "nats.conf"), "--store_dir", str(tmp_path / "store")),
            *("-a", "127.0.0.1", "-p", "-1", "-m", "0", "--ports_file_dir", str(ports)),
            env=os.environ | {f"NATS_{user.upper()}_PASSWORD": password for user, password in passwords.items()},
            stderr=log,
        )
    try:
        yield Broker(await _address(ports, process, log_file), passwords, log_file)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def _address(ports: Path, process: asyncio.subprocess.Process, log: Path) -> str:
    async with asyncio.timeout(START_S):
        while True:
            assert process.returncode is None, log.read_text()
            for file in ports.glob("*.ports"):
                try:
                    urls: list[str] = json.loads(file.read_text())["nats"]
                except (ValueError, KeyError):
                    continue  # being written
                return urls[0]
            await asyncio.sleep(0.02)
