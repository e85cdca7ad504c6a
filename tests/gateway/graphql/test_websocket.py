"""GraphQL over web sockets: protocol, permissions, pushed changes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from services.gateway.graphql import websocket
from services.gateway.graphql.protocol import SUBPROTOCOL, Closed, read_message, read_operation
from services.gateway.prometheus import LIVE_CLIENTS
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.live.grounds import Grounds
from tests.gateway.live.listener import listening
from tests.gateway.live.socket import Socket, connected
from tests.gateway.rest.test_events import start, stop
from tests.gateway.stack import Client, gateway, token
from tests.support.builders import node_payload
from tests.support.waiting import until

JOBS = """subscription ($after: ID, $filter: [JobFilter!]) {
  jobs(after: $after, filter: $filter) { cursor kind id job { jobId user state tags { name } resources { hostname } } }
}"""
NODES = "subscription ($filter: [NodeFilter!]) { nodes(filter: $filter) { kind id node { id hostname cluster schedulerState } } }"


async def begun(socket: Socket, query: str = JOBS, *, key: str = "1", **variables: Any) -> dict[str, Any]:
    """Subscribe and read the first message."""
    await socket.subscribe(query, key=key, **variables)
    (first,) = (await socket.next(key=key))["data"].values()
    assert first["kind"] == "START"
    found: dict[str, Any] = first
    return found


async def test_a_subscription_sends_jobs_with_the_selected_fields(one_live: Client) -> None:
    async with connected(one_live) as socket:
        await socket.initialise()
        await begun(socket)
        await start(one_live, 17)
        pushed = (await socket.next())["data"]["jobs"]
        job = {"jobId": 17, "user": "alice", "state": "running", "tags": [], "resources": [{"hostname": "f0101"}]}
        assert pushed["kind"] == "CHANGED"
        assert pushed["job"] == job
        await one_live.post(f"/api/jobs/tag_job/{pushed['id']}", [{"type": "t", "name": "n", "scope": "global"}])
        assert (await socket.next())["data"]["jobs"]["job"]["tags"] == [{"name": "n"}]
        await stop(one_live, 17)
        assert (await socket.next())["data"]["jobs"]["job"]["state"] == "completed"
        await one_live.call("DELETE", f"/api/jobs/delete_job/{pushed['id']}")
        gone = (await socket.next())["data"]["jobs"]
        assert (gone["kind"], gone["id"], gone["job"]) == ("DELETED", pushed["id"], None)
        await socket.send("complete", id="1")
        await start(one_live, 18)
        await socket.send("ping", payload={"n": 1})
        assert await socket.receive() == {"type": "pong", "payload": {"n": 1}}


async def test_a_subscription_resumes_after_a_cursor_of_either_interface(one_live: Client) -> None:
    async with connected(one_live) as socket, listening(one_live) as listener:
        await socket.initialise()
        cursor = (await begun(socket))["cursor"]
        await start(one_live, 1)
        await socket.next()
        event = await listener.next()
        await socket.send("complete", id="1")
        await start(one_live, 2)
        for key, after, expected in (("a", cursor, [1, 2]), ("b", event.id, [2])):
            await begun(socket, key=key, after=after)
            assert [(await socket.next(key=key))["data"]["jobs"]["job"]["jobId"] for _ in expected] == expected
            await socket.send("complete", id=key)
        await socket.subscribe(JOBS, key="c", after="nonsense")
        assert [(await socket.next(key="c"))["data"]["jobs"]["kind"] for _ in range(2)] == ["START", "RESET"]


async def test_a_subscription_sends_nodes(one_live: Client) -> None:
    async with connected(one_live) as socket:
        await socket.initialise()
        await begun(socket, NODES)
        await one_live.post("/api/nodestate/", node_payload(states={"f0102": ["down"]}))
        pushed = (await socket.next())["data"]["nodes"]
        assert pushed["node"] == {"id": pushed["id"], "hostname": "f0102", "cluster": "fritz", "schedulerState": "down"}


async def test_a_subscription_sends_only_visible_jobs(one_live: Client) -> None:
    async with connected(one_live) as alice, connected(one_live) as admin:
        await alice.initialise(**{"X-Auth-Token": token("user", user="alice")})
        await admin.initialise(authorization=token("admin", user="root"))
        await begun(alice)
        await begun(admin)
        await start(one_live, 1, user="bob")
        await start(one_live, 2, user="alice")
        assert [(await admin.next())["data"]["jobs"]["job"]["jobId"] for _ in range(2)] == [1, 2]
        assert (await alice.next())["data"]["jobs"]["job"]["jobId"] == 2
        await alice.subscribe(NODES, key="n")
        refused = await alice.next(key="n")
        assert (refused["data"], refused["errors"][0]["extensions"]) == (None, {"code": "FORBIDDEN"})
        assert await alice.receive() == {"id": "n", "type": "complete"}


async def test_a_subscription_sends_only_jobs_that_match_the_filter(one_live: Client) -> None:
    running = [{"user": {"startsWith": "AL"}}, {"state": ["running"]}]
    async with connected(one_live) as socket:
        await socket.initialise()
        await begun(socket, filter=running)
        await begun(socket, NODES, key="n", filter=[{"hostname": {"endsWith": "02"}, "schedulerState": "idle"}])
        await start(one_live, 1, user="bob")
        await start(one_live, 2, user="alice")
        assert (await socket.next())["data"]["jobs"]["job"]["jobId"] == 2
        await stop(one_live, 2)
        await start(one_live, 3, user="alfred")
        assert (await socket.next())["data"]["jobs"]["job"]["jobId"] == 3
        reports: list[dict[str, Sequence[str]]] = [{"f0101": ["idle"], "f0102": ["down"]}, {"f0101": ["idle"], "f0102": ["idle"]}]
        for states in reports:
            await one_live.post("/api/nodestate/", node_payload(states=states))
        assert (await socket.next(key="n"))["data"]["nodes"]["node"]["hostname"] == "f0102"
        await socket.subscribe(JOBS, key="x", filter=[{"startTime": {"range": "lastyear"}}])
        refused = await socket.next(key="x")
        assert (refused["data"], refused["errors"][0]["extensions"]) == (None, {"code": "BAD_USER_INPUT"})


async def test_fields_that_the_feed_lacks_are_read_from_the_database(one_live: Client) -> None:
    fields = "id meta: metaData jobName submitTime requestedMemory userData { username } concurrentJobs { count }"
    query = f"subscription {{ changed: jobs {{ j: job {{ {fields} }} }} }}"
    async with connected(one_live) as socket:
        await socket.initialise()
        await socket.subscribe(query)
        assert await socket.next() == {"data": {"changed": {"j": None}}}
        await start(one_live, 1, metaData={"jobName": "n"}, submitTime=1_699_999_000, requestedMemory=4096)
        job = (await socket.next())["data"]["changed"]["j"]
        requested = {"jobName": "n", "submitTime": "2023-11-14T21:56:40Z", "requestedMemory": 4096}
        assert job == {"id": job["id"], "meta": {"jobName": "n"}, **requested, "userData": None, "concurrentJobs": None}
        await start(one_live, 2)
        job = (await socket.next())["data"]["changed"]["j"]
        assert (job["jobName"], job["submitTime"], job["requestedMemory"]) == (None, None, 0)


async def test_queries_run_over_the_same_web_socket(one_live: Client) -> None:
    async with connected(one_live, headers={"X-Auth-Token": token("api")}) as socket:
        await socket.send("connection_init")
        assert await socket.receive() == {"type": "connection_ack"}
        await socket.subscribe("{ clusters { name } }")
        assert [c["name"] for c in (await socket.next())["data"]["clusters"]] == ["alex", "emmy", "fritz", "slurmlab"]
        assert await socket.receive() == {"id": "1", "type": "complete"}
        for query in ("{ nonsense }", "{", "subscription { jobs { kind } nodes { kind } }"):
            await socket.subscribe(query)
            message = await socket.receive()
            assert (message["type"], message["id"], len(message["payload"]) > 0) == ("error", "1", True), query


# errors of clients


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "1", "{}", '{"type": 1}', '{"type": "next"}', '{"type": "subscribe"}', '{"type": "subscribe", "id": ""}',
     '{"type": "complete", "id": 7}', '{"type": "ping", "payload": []}', '{"type": "subscribe", "id": "%s"}' % ("x" * 201),
     "[" * 100_000],
)  # fmt: skip
def test_an_invalid_message_closes_the_connection(text: str) -> None:
    with pytest.raises(Closed) as e:
        read_message(text)
    assert (e.value.code, 0 < len(e.value.reason) <= 123) == (4400, True)


@pytest.mark.parametrize(
    "payload",
    [None, {}, {"query": 1}, {"query": "", "variables": []}, {"query": "", "operationName": 1}, {"query": "", "extensions": "x"}],
)
def test_an_invalid_operation_closes_the_connection(payload: dict[str, Any] | None) -> None:
    with pytest.raises(Closed) as e:
        read_operation(payload)
    assert e.value.code == 4400


async def _subscribe_first(socket: Socket) -> None:
    await socket.subscribe("{ clusters { name } }")


async def _initialise_twice(socket: Socket) -> None:
    await socket.initialise()
    await socket.send("connection_init")


async def _use_an_identifier_twice(socket: Socket) -> None:
    await socket.initialise()
    await begun(socket)
    await socket.subscribe(JOBS)


async def _send_no_json(socket: Socket) -> None:
    await socket.raw.send_str("{")


async def _send_bytes(socket: Socket) -> None:
    await socket.raw.send_bytes(b"{}")


async def _send_much(socket: Socket) -> None:
    await socket.raw.send_str("x" * (websocket.MAX_MESSAGE_BYTES + 1))


async def _do_nothing(socket: Socket) -> None:
    """The wrong subprotocol alone closes the connection."""


MISUSE = {
    _subscribe_first: 4401,
    _initialise_twice: 4429,
    _use_an_identifier_twice: 4409,
    _send_no_json: 4400,
    _send_bytes: 4400,
    _send_much: 1009,
    _do_nothing: 4406,
}


async def test_each_protocol_violation_has_its_close_code(bodies: Client) -> None:
    for misuse, code in MISUSE.items():
        protocols = ("graphql-ws",) if misuse is _do_nothing else (SUBPROTOCOL,)
        async with connected(bodies, headers={"X-Auth-Token": token("api")}, protocols=protocols) as socket:
            await misuse(socket)
            assert await socket.closed() == code, misuse.__name__
    assert (await bodies.get("/api/clusters/"))[0] == 200


async def test_a_client_that_does_not_initialise_is_disconnected(bodies: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INIT_S", 0.05)
    async with connected(bodies) as socket:
        assert await socket.closed() == 4408


FOREIGN_PAGE = {"Cookie": "session=x", "Origin": "https://elsewhere.example"}
NOBODY: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"Authorization": "Bearer nonsense"}, {}),
    ({"Authorization": f"Bearer {token('api', exp=1)}"}, {}),
    ({"Authorization": {"token": token("api")}}, {}),
    ({}, {"Cookie": "session=nonsense"}),
    ({}, FOREIGN_PAGE),
]


async def test_a_client_without_credentials_is_forbidden(bodies: Client) -> None:
    for payload, headers in NOBODY:
        async with connected(bodies, headers=headers) as socket:
            await socket.send("connection_init", payload=payload)
            assert await socket.closed() == 4403, (payload, headers)
    with pytest.raises(aiohttp.WSServerHandshakeError) as e:
        async with connected(bodies, headers={"X-Auth-Token": "nonsense"}):
            pass
    assert e.value.status == 401


async def test_operations_per_connection_are_limited(bodies: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MAX_OPERATIONS", 2)
    async with connected(bodies) as socket:
        await socket.initialise()
        for key in ("a", "b"):
            await begun(socket, key=key)
        await socket.subscribe(JOBS, key="c")
        assert (await socket.receive())["type"] == "error"
        await socket.send("complete", id="a")
        await begun(socket, key="c")
        await begun_after_complete(socket)


async def begun_after_complete(socket: Socket) -> None:
    """An identifier may be used again as soon as its operation is complete."""
    await socket.send("complete", id="b")
    await begun(socket, key="b")


async def test_connections_are_limited_and_released(grounds: Grounds) -> None:
    ground = await grounds.up(live_clients=4)
    async with connected(ground.api), connected(ground.api, headers={"X-Auth-Token": token("api")}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as e:  # only one connection may be waiting for sign-in
            async with connected(ground.api):
                pass
        assert e.value.status == 503
        assert await ground.number(LIVE_CLIENTS.name, kind="websocket") == 2

    async def all_gone() -> bool:
        return await ground.number(LIVE_CLIENTS.name, kind="websocket") == 0

    await until(all_gone)


async def test_silent_connections_count_only_against_their_address(grounds: Grounds) -> None:
    ground = await grounds.up(live_clients=4, trusted_proxies=["127.0.0.1"])
    async with connected(ground.api, headers={"X-Forwarded-For": "10.0.0.1"}):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with connected(ground.api, headers={"X-Forwarded-For": "10.0.0.1"}):
                pass
        async with connected(ground.api, headers={"X-Forwarded-For": "10.0.0.2"}) as socket:
            await socket.initialise()


async def test_web_sockets_close_when_the_gateway_stops(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with aiohttp.ClientSession() as session:
        async with gateway(nats_settings, sqlite_database, archive_settings) as api:
            raw = await session.ws_connect(f"http://{api.address}/query", protocols=("graphql-transport-ws",))
            socket = Socket(raw)
            await socket.initialise()
            await begun(socket)
            closing = asyncio.ensure_future(socket.closed())
        assert await closing == 1001
        await raw.close()
