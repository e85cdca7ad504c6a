"""Outcomes of writes, also while jobstore or the broker is unavailable."""

from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.stack import Client, gateway, jobstore, token
from tests.support.builders import START_TIME, start_payload
from tests.support.databases import query
from tests.support.nats import NatsServer
from tests.support.waiting import until


async def started(api: Client, job_id: int, **fields: Any) -> dict[str, Any]:
    status, answer = await api.post("/api/jobs/start_job/", start_payload(job_id, **fields))
    assert (status, answer) == (201, {"msg": "success"})
    _, listed = await api.get("/api/jobs/?items-per-page=1000")
    return next(job for job in listed["jobs"] if job["jobId"] == job_id)


async def test_a_missing_outcome_is_503_with_the_sequence_and_the_start_takes_effect(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with gateway(site, sqlite_database, archive_settings, outcome_timeout_s=0.3) as client:
        await until_ready(client)
        response = await client.raw("POST", "/api/jobs/start_job/", start_payload(5))
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert "sequence 1" in (await response.json())["error"]
        async with jobstore(site, sqlite_database):

            async def listed() -> bool:
                return [job["id"] for job in (await client.get("/api/jobs/"))[1]["jobs"]] == [1]

            await until(listed)
            assert (await client.post("/api/jobs/start_job/", start_payload(5)))[0] == 422


async def test_without_the_broker_reads_continue_and_writes_are_503(
    private_nats: NatsServer, private_site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    private_nats.kill()
    async with gateway(private_site, sqlite_database, archive_settings, outcome_timeout_s=1.0) as client:
        assert (await client.get("/api/jobs/"))[0] == 200
        assert (await client.get("/api/clusters/"))[0] == 503
        assert (await client.post("/api/jobs/start_job/", start_payload(1)))[0] == 503
        assert (await client.get("/healthz", auth=""))[0] == 200
        status, answer = await client.get("/readyz", auth="")
        assert (status, list(answer["failing"])) == (503, ["broker", "store"])
        _, state = await client.get("/api/status/")
        assert state["broker"] != "ok"
        private_nats.start()
        async with jobstore(private_site, sqlite_database):
            await until_ready(client)
            assert (await client.post("/api/jobs/start_job/", start_payload(1)))[0] == 201
            private_nats.restart()

            async def works_again() -> bool:
                return (await client.post("/api/jobs/stop_job/", {"jobId": 1, "stopTime": START_TIME + 5}))[0] in (200, 422)

            await until(works_again, 20)
            assert (await client.get("/api/jobs/?state=completed"))[1]["jobs"]


async def test_a_stop_of_an_unknown_job_is_404_at_once(api: Client) -> None:
    assert (await api.post("/api/jobs/stop_job/", {"jobId": 77, "cluster": "fritz", "stopTime": START_TIME}))[0] == 404
    _, state = await api.get("/api/status/")
    assert state["parkedStops"] == 0


async def test_a_start_with_a_scope_that_the_user_may_not_write_starts_nothing(sqlite_api: Client) -> None:
    tags = [{"type": "mine", "name": "x", "scope": "ulla"}]
    assert (await sqlite_api.post("/api/jobs/start_job/", start_payload(9, tags=tags)))[0] == 403
    assert (await sqlite_api.get("/api/jobs/"))[1]["jobs"] == []


async def test_tags_are_added_read_by_scope_and_removed(api: Client) -> None:
    job = await started(api, 3, tags=[{"type": "app", "name": "lbm"}])
    path = f"/api/jobs/tag_job/{job['id']}"
    added = [{"type": "note", "name": "watch", "scope": "admin"}, {"type": "topic", "name": "a<b", "scope": ""}]
    status, tagged = await api.post(path, added)
    assert status == 200
    assert {(t["type"], t["scope"]) for t in tagged["tags"]} == {("app", "global"), ("topic", "global")}
    _, as_admin = await api.get(f"/api/jobs/{job['id']}", auth=token("admin", "api"))
    assert "admin" in {tag["scope"] for tag in as_admin["Meta"]["tags"]}
    assert (await api.call("DELETE", path, [{"type": "no", "name": "such"}]))[0] == 404
    status, rest = await api.call("DELETE", path, [{"type": "app", "name": "lbm"}, {"type": "topic", "name": "a<b"}])
    assert (status, rest.get("tags")) == (200, None)


async def test_metadata_is_set_key_by_key(api: Client) -> None:
    job = await started(api, 4, metaData={"jobName": "x"})
    path = f"/api/jobs/edit_meta/{job['id']}"
    await api.call("PATCH", path, {"key": "note", "value": "first"})
    _, edited = await api.call("PATCH", "/api/jobs/edit_meta/", {"jobId": 4, "payload": {"key": "note", "value": "<second>"}})
    assert edited["metaData"] == {"jobName": "x", "note": "<second>"}
    assert (await api.call("PATCH", "/api/jobs/edit_meta/", {"jobId": 4, "cluster": "alex", "payload": {"key": "a"}}))[0] == 404


async def test_deleting_names_the_job_and_is_404_the_second_time(api: Client) -> None:
    job = await started(api, 6)
    path = f"/api/jobs/delete_job/{job['id']}"
    assert await api.call("DELETE", path) == (200, {"msg": f"Successfully deleted job {job['id']}"})
    assert (await api.call("DELETE", path))[0] == 404
    assert (await api.call("DELETE", "/api/jobs/delete_job/", {"jobId": 6}))[0] == 404


async def test_deleting_before_a_time_keeps_tagged_jobs_on_request(api: Client) -> None:
    await started(api, 1, startTime=100)
    await started(api, 2, startTime=200, tags=[{"type": "app", "name": "lbm"}])
    await started(api, 3, startTime=300, tags=[{"type": "note", "name": "keep"}])
    await started(api, 4, startTime=400)
    path = "/api/jobs/delete_job_before/400"
    assert await api.call("DELETE", f"{path}?omit-tagged=all") == (200, {"msg": "Successfully deleted 1 jobs"})
    assert await api.call("DELETE", f"{path}?omit-tagged=user") == (200, {"msg": "Successfully deleted 1 jobs"})
    assert [job["jobId"] for job in (await api.get("/api/jobs/"))[1]["jobs"]] == [4, 3]
    assert await api.call("DELETE", path) == (200, {"msg": "Successfully deleted 1 jobs"})


async def test_a_report_of_nodes_stores_the_known_ones_and_names_the_refused(api: Client, database: DatabaseSettings) -> None:
    nodes = [{"hostname": "f0101", "states": ["IDLE*", "DRAIN"]}, {"hostname": "nowhere", "states": ["IDLE"]}]
    response = await api.raw("POST", "/api/nodestate/", {"cluster": "fritz", "nodes": nodes})
    assert (response.status, response.headers["Jobtide-Refused"], response.headers["Jobtide-Refused-Nodes"]) == (200, "no_subcluster", "1")
    assert [refused["field"] for refused in (await response.json())["refused"]] == ["nodes.1.hostname"]

    async def stored() -> list[tuple[Any, ...]]:
        return await query(database, "SELECT hostname, node_state FROM node")

    assert await until(stored) == [("f0101", "idle")]
    response = await api.raw("POST", "/api/nodestate/", {"cluster": "fritz", "nodes": nodes[:1]})
    assert (response.status, await response.text(), "Jobtide-Refused" in response.headers) == (200, "", False)


WHOLLY_REFUSED = {
    "unknown cluster": ({"cluster": "nope", "nodes": [{"hostname": "f0101", "states": ["IDLE"]}]}, "unknown_cluster", 1),
    "no cluster": ({"nodes": [{"hostname": "f0101", "states": ["IDLE"]}]}, "missing_field", 1),
    "empty object": ({}, "missing_field", 1),
    "unknown hosts": ({"cluster": "fritz", "nodes": [{"hostname": "x1"}, {"hostname": "x2"}]}, "no_subcluster", 2),
    "empty host": ({"cluster": "fritz", "nodes": [{"hostname": ""}]}, "missing_field", 1),
    "host too long": ({"cluster": "fritz", "nodes": [{"hostname": "x" * 1000}]}, "invalid_value", 1),
    "null as a node": ({"cluster": "fritz", "nodes": [None]}, "missing_field", 1),
}


@pytest.mark.parametrize(("body", "code", "count"), WHOLLY_REFUSED.values(), ids=WHOLLY_REFUSED)
@pytest.mark.parametrize("path", ["/api/nodestate/", "/api/healthcheck/"])
async def test_a_report_that_is_refused_as_a_whole_is_200_and_a_rejection(
    sqlite_api: Client, path: str, body: dict[str, Any], code: str, count: int
) -> None:
    response = await sqlite_api.raw("POST", path, body)
    assert (response.status, response.headers["Jobtide-Refused"], response.headers["Jobtide-Refused-Nodes"]) == (200, code, str(count))
    assert [refused["code"] for refused in (await response.json())["refused"]] == [code] * count

    async def recorded() -> list[dict[str, Any]]:
        _, found = await sqlite_api.get("/api/rejections/")
        return found["rejections"] if len(found["rejections"]) == count else []

    rejections = await until(recorded)
    assert {(row["code"], row["subject"], row["intakeSequence"]) for row in rejections} == {(code, f"POST {path}", None)}


async def test_a_report_of_many_unknown_hosts_has_a_bounded_number_of_rejections(sqlite_api: Client) -> None:
    nodes = [{"hostname": f"x{number}"} for number in range(1005)]
    response = await sqlite_api.raw("POST", "/api/nodestate/", {"cluster": "fritz", "nodes": nodes})
    answered = await response.json()
    assert (response.status, answered["count"], len(answered["refused"])) == (200, 1005, 100)

    async def last() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await sqlite_api.get("/api/rejections/?code=more_bad_lines"))[1]["rejections"]
        return found

    assert [row["text"] for row in await until(last)] == ["5 further rejections of this request are not listed"]


async def test_a_cluster_that_was_just_added_can_start_jobs(sqlite_api: Client, site: NatsSettings) -> None:
    from shared.broker.clusters import add_cluster
    from tests.support.clusters import cluster_text
    from tests.support.nats import client_of

    async with client_of(site) as client:
        await add_cluster(client, site, cluster_text("fritz").replace(b'"fritz"', b'"fresh"', 1))
    assert (await sqlite_api.post("/api/jobs/start_job/", start_payload(1, cluster="fresh", nodes=["f0101"])))[0] == 201


BAD_BODIES = [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"jobId":1,"jobId":null}', b"[" * 100_000]


@pytest.mark.parametrize("path", ["/api/jobs/start_job/", "/api/jobs/stop_job/", "/api/nodestate/"])
async def test_an_invalid_payload_is_400(bodies: Client, path: str) -> None:
    answers = {(method, body[:30]): await bodies.call(method, path, data=body) for method in ("POST", "PUT") for body in BAD_BODIES}
    assert {key: status for key, (status, _) in answers.items() if status != 400} == {}
    assert {answer["status"] for _, answer in answers.values()} == {"Bad Request"}
