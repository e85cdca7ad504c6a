"""Following changes with a session or a token ends when it does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.graphql import websocket
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.accounts import People, people
from tests.gateway.live.grounds import FAST
from tests.gateway.live.listener import Listener, listening
from tests.gateway.live.projected import Projected
from tests.gateway.live.socket import connected
from tests.gateway.stack import token

JOBS = "subscription { jobs { kind job { user } } }"


@pytest.fixture
async def site(sqlite_database: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[People]:
    monkeypatch.setattr(websocket, "INIT_S", 0.1)  # the sign-in is first checked after this time
    async with people(sqlite_database, tmp_path, live_recheck_s=0.1, **FAST) as found:
        yield found


async def test_a_session_follows_until_its_user_is_removed(site: People, sqlite_database: DatabaseSettings) -> None:
    cookie = await site.sign_in("ulla")
    own_page = {"Cookie": f"session={cookie}", "Origin": f"http://{site.client.address}"}
    async with (
        opened(sqlite_database) as engine,
        listening(site.client, cookie=cookie) as listener,
        listening(site.client, cookie=await site.sign_in("udo")) as other,
        connected(site.client, headers=own_page) as socket,
    ):
        projected = Projected(engine)
        await projected.begin()
        await resets(listener, other)
        await socket.send("connection_init")
        assert await socket.receive() == {"type": "connection_ack"}
        await socket.subscribe(JOBS)
        assert (await socket.next())["data"]["jobs"]["kind"] == "START"
        await projected.start(1, hpc_user="ulla")
        assert (await listener.next()).data["user"] == "ulla"
        assert (await socket.next())["data"]["jobs"]["job"] == {"user": "ulla"}
        await site.store.remove("ulla")
        assert await socket.closed() == 4403
        assert (await listener.next()).name == "end"
        assert await listener.ended()
        await projected.start(2, hpc_user="udo")
        assert (await other.next()).data["user"] == "udo"


async def resets(*listeners: Listener) -> None:
    """The listeners get a reset, because the log began after them."""
    for listener in listeners:
        assert (await listener.next()).name == "reset"


async def test_a_session_is_not_accepted_from_pages_of_other_sites(site: People) -> None:
    cookie = await site.sign_in("adm")
    async with connected(site.client, headers={"Cookie": f"session={cookie}", "Origin": "https://elsewhere.example"}) as socket:
        await socket.send("connection_init")
        assert await socket.closed() == 4403


async def test_a_token_follows_until_it_expires(site: People) -> None:
    short = token("admin", user="short", exp=int(site.clock()) + 60)
    async with listening(site.client, auth=short) as listener, connected(site.client) as socket:
        await socket.initialise(Authorization=f"Bearer {short}")
        site.clock.now += 61
        assert await socket.closed() == 4403
        assert (await listener.next()).name == "end"
