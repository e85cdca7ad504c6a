"""Cases that every deployment must pass, in this order: each continues where the previous one ended."""

from collections.abc import Awaitable, Callable
from difflib import unified_diff
from typing import Any

from shared.domain.values import ARCHIVED
from tests.acceptance.deployments import Asker
from tests.support.builders import START_TIME, node_line, start_line, start_payload, stop_line, stop_payload
from tests.support.clusters import FIRST_NODE
from tests.support.waiting import until

Case = Callable[[Asker], Awaitable[None]]

PASSWORD = "correct horse battery"
JOBS = (1, 2, 3, 4, 5)
LIST = """
query ($filter: [JobFilter!], $page: PageRequest, $order: OrderByInput) {
  jobs(filter: $filter, page: $page, order: $order) {
    count hasNextPage
    items { id jobId user project cluster subCluster state startTime numNodes resources { hostname } tags { type name scope } metaData }
  }
}
"""
BY_JOB_ID = {"field": "jobId", "type": "col", "order": "ASC"}


async def is_ready(asker: Asker) -> None:
    for path in ("/healthz", "/readyz"):
        await until(lambda path=path: _is_ok(asker, path), 20, path)


async def _is_ok(asker: Asker, path: str) -> bool:
    return (await asker.client.get(path, auth=""))[0] == 200


async def jobs_start_over_nats_and_rest(asker: Asker) -> None:
    async with asker.events("?kinds=job&cluster=fritz") as events:
        await asker.publish(
            start_line(1, user="alice", metaData={"jobName": "first light"}),
            start_line(2, user="alice", startTime=START_TIME + 10),
            start_line(3, user="bob", project="chemistry", startTime=START_TIME + 20),
            start_line(4, "alex", user="bob", startTime=START_TIME + 30),
        )
        told = [await events.next() for _ in range(3)]
        assert {(event.name, event.data["jobId"], event.data["jobState"]) for event in told} == {("job", n, "running") for n in (1, 2, 3)}
    status, answer = await asker.rest("POST", "/api/jobs/start_job/", start_payload(5, user="carol", startTime=START_TIME + 40))
    assert status == 201, answer
    found = await until(lambda: _listed(asker, ""), 30, "all jobs are listed")
    asker.ids = {job["jobId"]: job["id"] for job in found}
    assert all(job["jobState"] == "running" for job in found)


async def _listed(asker: Asker, query: str, count: int = len(JOBS)) -> list[dict[str, Any]]:
    """The jobs, or None while there are fewer."""
    status, answer = await asker.rest("GET", f"/api/jobs/?{query}")
    assert status == 200, answer
    jobs: list[dict[str, Any]] = answer["jobs"]
    return jobs if len(jobs) == count else []


async def jobs_stop_over_nats_and_rest(asker: Asker) -> None:
    await asker.publish(
        stop_line(1, None, stopTime=START_TIME + 3600),
        stop_line(2, None, stopTime=START_TIME + 7300, jobState="failed"),
        stop_line(4, "alex", stopTime=START_TIME + 100, jobState="timeout"),
    )
    status, answer = await asker.rest("POST", "/api/jobs/stop_job/", stop_payload(5, startTime=START_TIME + 40, stopTime=START_TIME + 60))
    assert status == 200, answer
    running = await until(lambda: _listed(asker, "state=running", 1), 30, "one job runs")
    assert [job["jobId"] for job in running] == [3]


async def lists_are_filtered_and_counted(asker: Asker) -> None:
    expected: list[tuple[Any, list[int]]] = [
        ([{"user": {"eq": "alice"}}], [1, 2]),
        ([{"user": {"contains": "LIC"}, "state": ["failed"]}], [2]),
        ([{"jobName": {"contains": "light"}}], [1]),
        ([{"cluster": {"eq": "fritz"}, "duration": {"from": 10, "to": 4000}}], [1, 5]),
        ([{"node": {"eq": FIRST_NODE["alex"]}}], [4]),
        ([{"project": {"in": ["chemistry", "none"]}}], [3]),
        ([{"state": ["running"]}], [3]),
        (None, list(JOBS)),
    ]
    for where, jobs in expected:
        answer = (await asker.graphql(LIST, filter=where, order=BY_JOB_ID))["jobs"]
        assert ([job["jobId"] for job in answer["items"]], answer["count"]) == (jobs, len(jobs)), where
        assert [job["id"] for job in answer["items"]] == [asker.ids[job] for job in jobs]
    page = (await asker.graphql(LIST, order=BY_JOB_ID, page={"itemsPerPage": 2, "page": 2}))["jobs"]
    assert ([job["jobId"] for job in page["items"]], page["count"], page["hasNextPage"]) == ([3, 4], len(JOBS), True)
    assert [job["jobId"] for job in await _listed(asker, "cluster=alex", 1)] == [4]
    assert [job["jobId"] for job in await _listed(asker, f"start-time={START_TIME + 15}-{START_TIME + 35}", 2)] == [4, 3]


async def statistics_add_up(asker: Asker) -> None:
    whole = """{ jobsStatistics(filter: {state: [completed, failed, timeout]}, numDurationBins: "1h") {
        totalJobs totalUsers shortJobs totalWalltime histDuration { value count } histNumNodes { value count } } }"""
    (found,) = (await asker.graphql(whole))["jobsStatistics"]
    assert (found["totalJobs"], found["totalUsers"], found["shortJobs"], found["totalWalltime"]) == (4, 3, 2, 3)
    assert {point["value"]: point["count"] for point in found["histDuration"] if point["count"]} == {3600: 2, 7200: 1, 10800: 1}
    assert {point["value"]: point["count"] for point in found["histNumNodes"]} == {1: 4}
    by_user = "{ jobsStatistics(groupBy: USER, sortBy: TOTALJOBS) { id totalJobs runningJobs } }"
    groups = (await asker.graphql(by_user))["jobsStatistics"]
    assert {(group["id"], group["totalJobs"], group["runningJobs"]) for group in groups} == {
        ("alice", 2, 0),
        ("bob", 2, 1),
        ("carol", 1, 0),
    }
    assert groups[-1]["id"] == "carol"


async def nodes_have_states(asker: Asker) -> None:
    await asker.publish(node_line("fritz", {FIRST_NODE["fritz"]: ["allocated"]}), to_nodes=True)
    query = '{ nodeStates(filter: {cluster: {eq: "fritz"}}) { state count } }'

    async def known() -> bool:
        return {"state": "allocated", "count": 1} in (await asker.graphql(query))["nodeStates"]

    await until(known, 30, "the node is allocated")


async def tags_come_and_go(asker: Asker) -> None:
    job = str(asker.ids[1])
    tag = (await asker.graphql('mutation { createTag(type: "review", name: "odd", scope: "global") { id } }'))["createTag"]["id"]
    add = "mutation ($job: ID!, $tags: [ID!]!) { addTagsToJob(job: $job, tagIds: $tags) { type name } }"
    assert _reviews((await asker.graphql(add, job=job, tags=[tag]))["addTagsToJob"]) == ["odd"]
    status, answer = await asker.rest("POST", f"/api/jobs/tag_job/{job}", [{"type": "review", "name": "slow", "scope": "global"}])
    assert status == 200, answer
    found = (await asker.graphql(LIST, filter=[{"tags": [tag]}]))["jobs"]["items"]
    assert [(item["jobId"], _reviews(item["tags"])) for item in found] == [(1, ["odd", "slow"])]
    remove = "mutation ($job: ID!, $tags: [ID!]!) { removeTagsFromJob(job: $job, tagIds: $tags) { type name } }"
    assert _reviews((await asker.graphql(remove, job=job, tags=[tag]))["removeTagsFromJob"]) == ["slow"]
    status, answer = await asker.rest("DELETE", "/api/tags/", [{"type": "review", "name": "odd", "scope": "global"}])
    assert status == 200, answer
    assert _reviews((await asker.graphql("{ tags { type name } }"))["tags"]) == ["slow"]


def _reviews(tags: list[dict[str, str]]) -> list[str]:
    """The tags without those from advice."""
    return sorted(tag["name"] for tag in tags if tag["type"] == "review")


async def metadata_is_edited(asker: Asker) -> None:
    status, answer = await asker.rest("PATCH", f"/api/jobs/edit_meta/{asker.ids[2]}", {"key": "note", "value": "disk was full"})
    assert status == 200, answer
    found = await asker.graphql("query ($id: ID!) { job(id: $id) { metaData } }", id=str(asker.ids[2]))
    assert found["job"]["metaData"]["note"] == "disk was full"


async def every_role_sees_its_jobs(asker: Asker) -> None:
    query = "{ jobs { count } }"
    for roles, user, count in (
        (("api",), "feeder", 5),
        (("admin",), "adm", 5),
        (("support",), "sup", 5),
        (("manager",), "bob", 2),
        (("user",), "alice", 2),
        (("user",), "nobody", 0),
    ):
        assert (await asker.graphql(query, roles=roles, user=user))["jobs"]["count"] == count, roles
        status, _ = await asker.rest("GET", "/api/jobs/", roles=roles, user=user)
        assert status == (200 if roles == ("api",) else 403), roles
    status, _ = await asker.client.get("/api/jobs/", auth="")
    assert status == 401
    status, answer = await asker.client.post("/query", {"query": query}, auth="")
    assert (status, answer["data"]) == (401, None)


async def people_sign_in_and_out(asker: Asker) -> None:
    add, run = ("user", "add"), asker.deployment.jobtide
    await run(*add, "adm", "--role", "admin", "--password-stdin", text=f"{PASSWORD}\n".encode())
    await run(*add, "mona", "--role", "manager", "--project", "chemistry", "--password-stdin", text=f"{PASSWORD}\n".encode())
    assert (await asker.sign_in("mona", "wrong"))[0] == 401
    status, cookie = await asker.sign_in("mona", PASSWORD)
    assert (status, bool(cookie)) == (200, True)
    assert await as_mona(asker, cookie) == [3]
    status, _ = await asker.as_person("GET", "/config/users/", cookie)
    assert status == 403
    status, text = await asker.as_person("POST", "/frontend/configuration/", cookie, key="plot_view", value='"wide"')
    assert (status, text) == (200, "success")
    _, admin = await asker.sign_in("adm", PASSWORD)
    status, users = await asker.as_person("GET", "/config/users/?not-just-user=true", admin)
    assert (status, {user["username"] for user in users}) == (200, {"adm", "mona"})
    status, answer = await asker.as_person("POST", "/config/user/mona", admin, **{"add-role": "user"})
    assert status == 200, answer
    assert (await asker.as_person("POST", "/logout", cookie))[0] == 200
    status, _ = await asker.as_person("POST", "/query", cookie, {"query": "{ tags { id } }"})
    assert status == 401


async def as_mona(asker: Asker, cookie: str) -> list[int]:
    """The jobs visible to the manager of a project."""
    status, answer = await asker.as_person("POST", "/query", cookie, {"query": "{ jobs { items { jobId } } }"})
    assert status == 200, answer
    return [job["jobId"] for job in answer["data"]["jobs"]["items"]]


async def finished_jobs_are_archived(asker: Asker) -> None:
    async def archived() -> bool:
        items = (await asker.graphql("{ jobs(filter: {state: [completed, failed, timeout]}) { items { monitoringStatus } } }"))["jobs"][
            "items"
        ]
        return [item["monitoringStatus"] for item in items] == [ARCHIVED] * 4

    await until(archived, 60, "four jobs are archived")


async def a_restart_of_the_gateway_changes_nothing(asker: Asker) -> None:
    async def state() -> list[str]:
        """One line per job, project and tag. Advice may follow the archiving of a job at any time, so its tags are left out."""
        jobs = (await asker.graphql(LIST, order=BY_JOB_ID))["jobs"]
        for job in jobs["items"]:
            job["tags"] = _reviews(job["tags"])
        projects = (await asker.graphql("{ jobsStatistics(groupBy: PROJECT) { id totalJobs } }"))["jobsStatistics"]
        tags = _reviews((await asker.graphql("{ tags { type name } }"))["tags"])
        return [repr(line) for line in [jobs["count"], jobs["hasNextPage"], *jobs["items"], *projects, tags]]

    status, cookie = await asker.sign_in("mona", PASSWORD)
    assert status == 200
    before = await state()
    await asker.deployment.restart_gateway()
    await is_ready(asker)
    after = await state()
    assert after == before, "\n".join(unified_diff(before, after, "before", "after", lineterm="", n=0))
    assert await as_mona(asker, cookie) == [3]


async def jobs_are_deleted(asker: Asker) -> None:
    async with asker.events("?kinds=job") as events:
        status, answer = await asker.rest("DELETE", f"/api/jobs/delete_job/{asker.ids[5]}")
        assert status == 200, answer
        while (event := await events.next()).name != "job_deleted":
            pass
        assert event.data == {"id": asker.ids[5], "cluster": "fritz"}
    assert (await asker.graphql("{ jobs { count } }"))["jobs"]["count"] == 4
    status, _ = await asker.rest("GET", f"/api/jobs/{asker.ids[5]}")
    assert status == 404
    groups = (await asker.graphql("{ jobsStatistics(groupBy: USER) { id } }"))["jobsStatistics"]
    assert {group["id"] for group in groups} == {"alice", "bob"}


CASES: list[Case] = [
    is_ready,
    jobs_start_over_nats_and_rest,
    jobs_stop_over_nats_and_rest,
    lists_are_filtered_and_counted,
    statistics_add_up,
    nodes_have_states,
    tags_come_and_go,
    metadata_is_edited,
    every_role_sees_its_jobs,
    people_sign_in_and_out,
    finished_jobs_are_archived,
    a_restart_of_the_gateway_changes_nothing,
    lists_are_filtered_and_counted,
    jobs_are_deleted,
]
