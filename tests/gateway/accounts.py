"""A gateway with users in its database, a controllable clock, and sign-in."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import bcrypt
from pydantic import SecretStr

from services.gateway.people.auth.settings import AuthSettings
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.database.engine import opened
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.stack import KEY, Client, gateway

PASSWORD = "correct horse"  # of every user
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, b"2a")).decode()
SESSION_KEY = bytes(range(100, 132))
SEED_KEY = base64.b64encode(KEY.private_bytes_raw()).decode()
PEOPLE = {
    "feeder": ("api",),
    "opsapi": ("admin", "api"),
    "adm": ("admin",),
    "sup": ("support",),
    "mgr": ("manager",),
    "ulla": ("user",),
    "udo": ("user",),
    "uapi": ("user", "api"),
    "mapi": ("manager", "api"),
    "sapi": ("support", "api"),
    "nobody": (),
}


class Clock:
    def __init__(self, now: float = 1_770_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class People:
    client: Client
    store: UserStore
    clock: Clock

    async def sign_in(self, name: str, password: str = PASSWORD, **fields: str) -> str:
        """The value of the cookie, empty if the sign-in is refused."""
        return cookie_of(await self.login(username=name, password=password, **fields))

    async def login(self, headers: Mapping[str, str] | None = None, /, **fields: str) -> Any:
        return await self.client.raw(
            "POST", "/login", auth="", data=urlencode(fields).encode(), headers={"Content-Type": FORM} | dict(headers or {})
        )

    async def ask(self, method: str, path: str, cookie: str, **options: Any) -> tuple[int, Any]:
        """A request with a session, sent by a program instead of a browser."""
        headers = {"Cookie": f"session={cookie}", "X-Requested-With": "test"} | options.pop("headers", {})
        return await self.client.call(method, path, auth="", headers=headers, **options)

    async def form(self, path: str, cookie: str, method: str = "POST", **fields: str) -> tuple[int, Any]:
        return await self.ask(method, path, cookie, data=urlencode(fields).encode(), headers={"Content-Type": FORM})


FORM = "application/x-www-form-urlencoded"


def cookie_of(response: Any) -> str:
    return response.cookies["session"].value if "session" in response.cookies else ""


def auth_settings(**settings: Any) -> AuthSettings:
    return AuthSettings(session_key=SecretStr(base64.b64encode(SESSION_KEY).decode()), **settings)


async def add_people(store: UserStore, *, but: str = "") -> None:
    for name, roles in PEOPLE.items():
        if name == but:
            continue
        await store.add(Account(name, AuthSource.LOCAL, roles, password=HASH))


@asynccontextmanager
async def store_of(database: DatabaseSettings) -> AsyncIterator[UserStore]:
    async with opened(database, read_only=True) as reading, opened(database, durable=True, connections=2) as writing:
        yield UserStore(reading, writing)


@asynccontextmanager
async def people(
    database: DatabaseSettings,
    folder: Path,
    *,
    auth: AuthSettings | None = None,
    nats: NatsSettings | None = None,
    has_people: bool = False,
    **settings: Any,
) -> AsyncIterator[People]:
    """A gateway with users. Without ``nats`` it has no broker, and answers 503 to requests that publish."""
    clock = Clock()
    broker = nats or NatsSettings(url="nats://127.0.0.1:9")
    settings = {"jwt_private_key": SecretStr(SEED_KEY)} | settings
    async with (
        store_of(database) as store,
        gateway(
            broker, database, ArchiveSettings(path=folder / "archive"), clock=clock, auth=auth or auth_settings(), **settings
        ) as client,
    ):
        if not has_people:
            await add_people(store)
        yield People(client, store, clock)


def changed(account: Account, **fields: Any) -> Account:
    return replace(account, **fields)
