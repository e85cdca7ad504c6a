"""Two deployments with the same interface for tests: a site of `jobtide up` on SQLite, and four services on PostgreSQL."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp

from cli.keys import read_keys, sign_token
from shared.settings import NatsSettings
from tests.cli.sites import UpProcess, jobtide
from tests.gateway.live.listener import Listener, listening
from tests.gateway.stack import Client
from tests.support.nats import publish
from tests.support.processes import environment
from tests.support.stack import Stack
from tests.support.tokens import token

SESSION_KEY = base64.b64encode(bytes(range(64, 96))).decode()
TOKEN_LIFE_S = 600


class Deployment(Protocol):
    @property
    def http(self) -> str:
        """HOST:PORT of the API."""

    @property
    def nats(self) -> NatsSettings: ...

    def token(self, *roles: str, user: str) -> str: ...

    async def jobtide(self, *arguments: str, text: bytes = b"") -> str:
        """The output of a command, which must succeed."""

    async def restart_gateway(self) -> None:
        """Restart and wait until it is up again, possibly at a different address."""


@dataclass(frozen=True)
class Embedded:
    """`jobtide up`; its gateway restarts with everything else."""

    site: UpProcess

    @property
    def http(self) -> str:
        return str(self.site.run_json["http"]).removeprefix("http://")

    @property
    def nats(self) -> NatsSettings:
        return self.site.nats

    def token(self, *roles: str, user: str) -> str:
        return sign_token(read_keys(self.site.data / "keys.json").private, user, list(roles), TOKEN_LIFE_S)

    async def jobtide(self, *arguments: str, text: bytes = b"") -> str:
        return (await asyncio.to_thread(self.site.run, *arguments, text=text)).stdout

    async def restart_gateway(self) -> None:
        assert await asyncio.to_thread(self.site.interrupt) == 0
        await asyncio.to_thread(self.site.start)


@dataclass(frozen=True)
class Services:
    stack: Stack

    @property
    def http(self) -> str:
        return self.stack["gateway"].addresses["http"]

    @property
    def nats(self) -> NatsSettings:
        return self.stack.nats

    def token(self, *roles: str, user: str) -> str:
        return token(*roles, user=user)

    async def jobtide(self, *arguments: str, text: bytes = b"") -> str:
        variables: dict[str, Any] = environment([self.stack.nats, self.stack.database, self.stack.archive])
        done = await asyncio.to_thread(lambda: jobtide(*arguments, text=text, **variables))
        assert done.returncode == 0, done
        return done.stdout

    async def restart_gateway(self) -> None:
        await self.stack["gateway"].restart()


@dataclass
class Asker:
    """Clients of a deployment: programs with a token, people with a session."""

    deployment: Deployment
    session: aiohttp.ClientSession
    ids: dict[int, int] = field(default_factory=dict)  # database ids of jobs by the scheduler's id

    @property
    def client(self) -> Client:
        return Client(self.session, self.deployment.http)

    async def publish(self, *lines: bytes, to_nodes: bool = False) -> None:
        nats = self.deployment.nats
        await publish(nats, *lines, subject=nats.node_subjects[0] if to_nodes else None)

    async def rest(self, method: str, path: str, body: Any = None, *, roles: tuple[str, ...] = ("api",), user: str = "feeder") -> Any:
        """Status and answer."""
        return await self.client.call(method, path, body, auth=self.deployment.token(*roles, user=user))

    async def graphql(self, query: str, *, roles: tuple[str, ...] = ("admin",), user: str = "adm", **variables: Any) -> Any:
        """The data of an answer, which must have no errors."""
        status, answer = await self.rest("POST", "/query", {"query": query, "variables": variables}, roles=roles, user=user)
        assert status == 200, answer
        assert "errors" not in answer, answer
        return answer["data"]

    async def sign_in(self, name: str, password: str) -> tuple[int, str]:
        """Status, and the session's cookie."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        form = urlencode({"username": name, "password": password}).encode()
        response = await self.client.raw("POST", "/login", auth="", data=form, headers=headers)
        return response.status, response.cookies["session"].value if "session" in response.cookies else ""

    async def as_person(self, method: str, path: str, cookie: str, body: Any = None, **form: str) -> tuple[int, Any]:
        """A request with a session cookie from a program that is not a browser."""
        headers = {"Cookie": f"session={cookie}", "X-Requested-With": "test"}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        data = urlencode(form).encode() if form else None
        return await self.client.call(method, path, body, auth="", headers=headers, data=data)

    @asynccontextmanager
    async def events(self, query: str = "") -> AsyncIterator[Listener]:
        async with listening(self.client, query, auth=self.deployment.token("api", user="feeder")) as listener:
            yield listener


@asynccontextmanager
async def asking(deployment: Deployment) -> AsyncIterator[Asker]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Asker(deployment, session)
