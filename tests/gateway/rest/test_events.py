"""Server-sent events: users receive the changes that they may see."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

from services.gateway.prometheus import LIVE_CLIENTS, LIVE_DROPPED, LIVE_EVENTS
from services.jobstore.rebuild import rebuild
from services.jobstore.settings import JobstoreSettings
from services.jobstore.settings import Settings as AllJobstoreSettings
from shared.database.engine import opened
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.live.grounds import FAST, Grounds
from tests.gateway.live.listener import Event, Listener, listening
from tests.gateway.stack import Client, gateway, jobstore, token
from tests.support.builders import node_payload, start_payload, stop_payload
from tests.support.nats import client_of
from tests.support.waiting import until


async def start(api: Client, job_id: int, **fields: Any) -> None:
    status, answer = await api.post("/api/jobs/start_job/", start_payload(job_id, **fields))
    assert status == 201, answer


async def stop(api: Client, job_id: int) -> None:
    assert (await api.post("/api/jobs/stop_job/", stop_payload(job_id)))[0] == 200


async def test_all_changes_of_a_job_are_sent(live: Client) -> None:
    async with listening(live) as listener:
        assert listener.response.headers["Content-Type"].startswith("text/event-stream")
        assert listener.response.headers["Cache-Control"] == "no-store"
        assert listener.response.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in listener.response.headers
        assert int(listener.retry) > 0
        await start(live, 17)
        started = await listener.next()
        _, listed = await live.get("/api/jobs/")
        assert started.name == "job"
        assert started.data | {"duration": 0} == listed["jobs"][0] | {"duration": 0}
        key = started.data["id"]
        await live.post(f"/api/jobs/tag_job/{key}", [{"type": "t", "name": "n", "scope": "global"}])
        assert [tag["name"] for tag in (await listener.next()).data["tags"]] == ["n"]
        await live.call("PATCH", f"/api/jobs/edit_meta/{key}", {"key": "k", "value": "v"})
        assert (await listener.next()).data["id"] == key
        await stop(live, 17)
        assert (await listener.next()).data["jobState"] == "completed"
        await live.call("DELETE", "/api/tags/", [{"type": "t", "name": "n", "scope": "global"}])
        assert "tags" not in (await listener.next()).data
        await live.call("DELETE", f"/api/jobs/delete_job/{key}")
        gone = await listener.next()
        assert (gone.name, gone.data) == ("job_deleted", {"id": key, "cluster": "fritz"})


async def test_node_reports_are_sent_with_the_field_names_of_graphql(live: Client) -> None:
    async with listening(live, "?kinds=node") as listener:
        await start(live, 1)
        await live.post("/api/nodestate/", node_payload(states={"f0101": ["idle"], "f0102": ["down"]}))
        first, second = await listener.next(), await listener.next()
        assert {first.name, second.name} == {"node"}
        assert {e.data["hostname"]: e.data["schedulerState"] for e in (first, second)} == {"f0101": "idle", "f0102": "down"}
        assert (first.data["cluster"], first.data["subCluster"], first.data["metaData"]) == ("fritz", "main", {})


ALICE, BOB, CAROL, EVE = "alice", "bob", "carol", "eve"
SEES = {
    # name and roles of the viewer: the scheduler's ids of the jobs whose changes are sent
    (ALICE, ("user",)): [1, 2],
    (BOB, ("user",)): [3],
    (EVE, ("user",)): [],
    (BOB, ("manager",)): [3],
    (EVE, ("manager", "user")): [],
    (EVE, ("support",)): [1, 2, 3],
    (EVE, ("admin",)): [1, 2, 3],
    (EVE, ("admin", "api")): [1, 2, 3],
    (BOB, ("user", "api")): [3],
    ("feeder", ("api",)): [1, 2, 3],
}


async def test_each_role_gets_only_the_changes_that_it_may_see(one_live: Client) -> None:
    async with AsyncExitStack() as stack:
        listeners: dict[tuple[str, tuple[str, ...]], Listener] = {}
        for name, roles in SEES:
            listeners[name, roles] = await stack.enter_async_context(listening(one_live, auth=token(*roles, user=name)))
        await start(one_live, 1, user=ALICE, project="p1")
        await start(one_live, 2, user=ALICE, project="p2")
        await start(one_live, 3, user=BOB, project="p1")
        _, listed = await one_live.get("/api/jobs/?items-per-page=10")
        ids = {job["jobId"]: job["id"] for job in listed["jobs"]}
        for key in ids.values():
            await one_live.call("DELETE", f"/api/jobs/delete_job/{key}")
        await one_live.post("/api/nodestate/", node_payload())
        # The last event of every viewer: a job that all may see.
        for number, name in enumerate(sorted({name for name, _ in SEES})):
            await start(one_live, 100 + number, user=name, project="end")
        for (name, roles), listener in listeners.items():
            started, deleted, nodes = [], [], 0
            while True:
                event = await listener.next()
                if event.name == "node":
                    nodes += 1
                elif event.name == "job_deleted":
                    deleted.append(event.data["id"])
                elif event.data["jobId"] < 100:
                    started.append(event.data["jobId"])
                elif event.data["user"] == name:
                    break
            seen = SEES[name, roles]
            sees_nodes = roles == ("api",) or bool({"admin", "support"} & set(roles))
            assert sorted(set(started) | {job_id for job_id in seen if ids[job_id] in deleted}) == seen, (name, roles)
            assert sorted(deleted) == sorted(ids[job_id] for job_id in seen), (name, roles)
            assert nodes == (1 if sees_nodes else 0), (name, roles)


async def test_private_and_admin_tags_are_sent_only_to_users_who_may_read_them(one_live: Client) -> None:
    async with (
        listening(one_live, auth=token("user", user=ALICE)) as owner,
        listening(one_live, auth=token("admin", user=EVE)) as admin,
        listening(one_live) as program,
    ):
        await start(one_live, 1, user=ALICE)
        for listener in (owner, admin, program):
            key = (await listener.next()).data["id"]
        tags = [{"type": "t", "name": scope, "scope": scope} for scope in ("global", "admin")]
        assert (await one_live.post(f"/api/jobs/tag_job/{key}", tags))[0] == 200
        seen = [[tag["scope"] for tag in (await listener.next()).data["tags"]] for listener in (owner, admin, program)]
        assert [sorted(scopes) for scopes in seen] == [["global"], ["admin", "global"], ["global"]]


async def test_a_resume_after_a_disconnect_loses_nothing(live: Client) -> None:
    async with listening(live) as listener:
        await start(live, 1)
        first = await listener.next()
    await start(live, 2)
    await start(live, 3)
    await stop(live, 1)
    await live.post("/api/nodestate/", node_payload())
    async with listening(live, last_id=first.id) as listener, listening(live, f"?last-event-id={first.id}") as other:
        for each in (listener, other):
            events = [await each.next() for _ in range(4)]
            assert [(e.name, e.data.get("jobId")) for e in events] == [("job", 2), ("job", 3), ("job", 1), ("node", None)]
        await start(live, 4)
        assert [(await each.next()).data["jobId"] for each in (listener, other)] == [4, 4]


async def test_only_the_requested_kinds_and_clusters_are_sent(one_live: Client) -> None:
    async with listening(one_live, "?kinds=job&cluster=alex", path="/api/events") as listener:
        await start(one_live, 1)
        await one_live.post("/api/nodestate/", node_payload("alex"))
        await start(one_live, 2, cluster="alex")
        assert (await listener.next()).data["jobId"] == 2


async def test_the_numbers_of_rejections_are_sent_at_the_start_and_when_they_change(live: Client) -> None:
    async with listening(live, "?kinds=job,rejection") as listener:
        assert await listener.next() == Event("rejections", listener.last_id, {"counts": {}})
        for host in ("n1", "n2"):
            await live.post("/api/nodestate/", node_payload("elsewhere", {host: ["idle"]}))
        counts: list[dict[str, int]] = [{}]
        while counts[-1] != {"unknown_cluster": 2}:
            counts.append((await listener.next()).data["counts"])
    async with listening(live, "?kinds=rejection") as listener:
        await start(live, 1)
        assert (await listener.next()).data == {"counts": {"unknown_cluster": 2}}


async def test_a_rebuild_sends_a_reset(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> None:
    async with gateway(site, sqlite_database, archive_settings, **FAST) as api:
        async with jobstore(site, sqlite_database):
            await until_ready(api)
            await start(api, 1)
        async with listening(api) as listener:
            async with client_of(site) as client, opened(sqlite_database) as engine:
                settings = AllJobstoreSettings(site, sqlite_database, JobstoreSettings())
                await rebuild(client, engine, settings, [], lambda *_: None)
            reset = await listener.next()
            assert reset.name == "reset"
            async with jobstore(site, sqlite_database):
                await start(api, 2)
                assert (await listener.next()).data["jobId"] == 2
        async with listening(api, last_id=reset.id) as again:
            assert (await again.next()).data["jobId"] == 2


# without jobstore


async def test_an_idle_stream_gets_keep_alive_messages_and_outlasts_the_request_timeout(grounds: Grounds) -> None:
    ground = await grounds.up(live_keepalive_s=0.05, request_timeout_s=0.2)
    async with listening(ground.api, "?kinds=job") as listener:
        await ground.projected.report(["f0001"])
        for _ in range(6):
            await listener.position()
        assert listener.comments == 6
        while not listener.last_id.startswith("0-1-"):  # also advanced by changes that the listener did not request
            await listener.position()
        await ground.projected.start(1)
        assert (await listener.next()).data["id"] == 1


REFUSED = [
    ("", "", 401),
    ("", "nonsense", 401),
    ("", token(), 403),
    ("", token("anonymous"), 403),
    ("?kinds=node", token("user", user="ulla"), 403),
    ("?kinds=node", token("manager", user="ulla"), 403),
    ("?kinds=tag", None, 400),
    ("?kind=job", None, 400),
    ("?kinds=job,rejection", token("user", user="ulla"), 403),
    ("?cluster=%zz", None, 400),
]


async def test_invalid_and_forbidden_subscriptions_are_refused(bodies: Client) -> None:
    for query, auth, status in REFUSED:
        async with listening(bodies, query, auth=auth) as listener:
            assert listener.response.status == status, (query, auth)
            assert (await listener.response.json())["error"]


async def test_the_number_of_followers_is_limited(grounds: Grounds) -> None:
    ground = await grounds.up(live_clients=4)
    async with AsyncExitStack() as stack:
        for name in ("a", "b", "c"):
            await stack.enter_async_context(listening(ground.api, auth=token("admin", user=name)))
        async with listening(ground.api, auth=token("admin", user="a")) as second:  # each user may use a quarter
            assert (second.response.status, second.response.headers["Retry-After"]) == (503, "5")
        async with listening(ground.api, auth=token("admin", user="d")):
            assert await ground.number(LIVE_CLIENTS.name, kind="events") == 4
            async with listening(ground.api, auth=token("admin", user="e")) as fifth:
                assert fifth.response.status == 503
        await ground.projected.start(1)  # by then closed connections are noticed

        async def has_place() -> bool:
            async with listening(ground.api, auth=token("admin", user="e")) as listener:
                return listener.response.status == 200

        await until(has_place)


async def test_a_client_that_reads_nothing_uses_a_bounded_buffer_and_is_disconnected(grounds: Grounds) -> None:
    ground = await grounds.up(live_keepalive_s=0.3, live_buffered=10)
    host, port = ground.api.address.split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(connection, (host, int(port)))
        request = f"GET /api/events/ HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token('api')}\r\n\r\n"
        await loop.sock_sendall(connection, request.encode())
        assert b"200 OK" in await loop.sock_recv(connection, 100)
        async with listening(ground.api, auth=token("admin")) as quick:
            await ground.projected.start(*range(1, 401), footprint='{"%s": 1}' % ("x" * 2000))
            for key in range(1, 401):
                assert (await quick.next()).data["id"] == key

            async def dropped() -> bool:
                return await ground.number(LIVE_DROPPED.name) == 1

            await until(dropped)
            assert await ground.number(LIVE_CLIENTS.name, kind="events") == 1
            assert await ground.number(LIVE_EVENTS.name, kind="events") >= 400
    finally:
        connection.close()


async def test_every_stream_ends_when_the_gateway_stops(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with AsyncExitStack() as stack:
        async with gateway(nats_settings, sqlite_database, archive_settings) as api:
            listeners = [await stack.enter_async_context(listening(api)) for _ in range(3)]
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 2.0
        for listener in listeners:
            assert await listener.ended()
