"""A gateway, and on request a jobstore and an archiver, inside the test's event loop."""

import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from services.archiver.app import run as run_archiver
from services.archiver.settings import ArchiverSettings
from services.archiver.settings import Settings as AllArchiverSettings
from services.gateway.app import run as run_gateway
from services.gateway.frame.settings import GatewaySettings
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.metrics.settings import SeriesSettings
from services.gateway.people.auth.ldap.settings import LdapSettings
from services.gateway.people.auth.oidc.settings import OidcSettings
from services.gateway.people.auth.settings import AuthSettings
from services.gateway.settings import Settings as AllGatewaySettings
from services.jobstore.app import run as run_jobstore
from services.jobstore.settings import JobstoreSettings
from services.jobstore.settings import Settings as AllJobstoreSettings
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.in_process import running_in_process

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def public_key_text(key: Ed25519PrivateKey = KEY) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def token(*roles: str, user: str = "feeder", key: Ed25519PrivateKey = KEY, **claims: Any) -> str:
    return jwt.encode({"sub": user, "roles": list(roles)} | claims, key, algorithm="EdDSA")


class Client:
    """HTTP requests with a token of the role ``api``. Paths are relative to the gateway and sent unescaped."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self.address = address

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        auth: str | None = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, Any]:
        """Returns status and body: decoded if it is JSON, None if it is empty, otherwise text."""
        response = await self.raw(method, path, body, auth=auth, headers=headers, data=data)
        text = await response.text()
        if response.content_type == "application/json":
            return response.status, await response.json()
        return response.status, text or None

    async def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        auth: str | None = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> aiohttp.ClientResponse:
        """``auth`` is a token, or empty to send none. The body of the returned response has been read."""
        given = dict(headers or {})
        credentials = token("api") if auth is None else auth
        if credentials:
            given.setdefault("X-Auth-Token", credentials)
        url = URL(f"http://{self.address}{path}", encoded=True)
        response = await self._session.request(method, url, json=body, data=data, headers=given, allow_redirects=False)
        await response.read()
        return response

    async def status(self, method: str, path: str, headers: dict[str, str]) -> int:
        """The status, from the head of the response, because some responses never end."""
        url = URL(f"http://{self.address}{path}", encoded=True)
        async with self._session.request(method, url, headers=headers, allow_redirects=False) as response:
            if response.content_type == "text/event-stream":
                response.close()
            return response.status

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        return await self.call("POST", path, body, **options)


@asynccontextmanager
async def gateway(
    nats: NatsSettings,
    database: DatabaseSettings,
    archive: ArchiveSettings,
    *,
    clock: Callable[[], float] = time.time,
    key: str | None = None,
    auth: AuthSettings | None = None,
    graphql: GraphqlSettings | None = None,
    metrics: MetricsSettings | None = None,
    series: SeriesSettings | None = None,
    ldap: LdapSettings | None = None,
    oidc: OidcSettings | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    settings.setdefault("pages", False)  # the built web interface has its own tests
    settings.setdefault("outcome_timeout_s", 30.0)  # for a busy machine
    group = GatewaySettings(http="127.0.0.1:0", jwt_public_key=key or public_key_text(), **settings)
    everything = AllGatewaySettings(
        nats,
        database,
        archive,
        group,
        auth=auth or AuthSettings(),
        graphql=graphql or GraphqlSettings(),
        metrics=metrics or MetricsSettings(kind="none"),
        series=series or SeriesSettings(),
        ldap=ldap or LdapSettings(),
        oidc=oidc or OidcSettings(),
    )
    async with (
        running_in_process(lambda stop, report: run_gateway(everything, stop, report, clock=clock)) as addresses,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), auto_decompress=True) as session,
    ):
        yield Client(session, addresses["http"])


@asynccontextmanager
async def jobstore(nats: NatsSettings, database: DatabaseSettings, **settings: Any) -> AsyncIterator[None]:
    everything = AllJobstoreSettings(nats, database, JobstoreSettings(health="127.0.0.1:0", **settings))
    async with running_in_process(lambda stop, report: run_jobstore(everything, stop, report)):
        yield


@asynccontextmanager
async def archiver(
    nats: NatsSettings, database: DatabaseSettings, archive: ArchiveSettings, metrics: MetricsSettings, **settings: Any
) -> AsyncIterator[None]:
    everything = AllArchiverSettings(nats, database, archive, metrics, ArchiverSettings(health="127.0.0.1:0", **settings))
    async with running_in_process(lambda stop, report: run_archiver(everything, stop, report)):
        yield
