"""Every root field of the GraphQL schema with every role. A field without an expectation here fails."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.gateway.graphql.failures import FORBIDDEN
from services.gateway.graphql.schema_files import executable_schema
from services.gateway.people.users.rules import with_project
from tests.gateway.accounts import PEOPLE, People, people
from tests.gateway.rows import job_row, write
from tests.gateway.stack import token
from tests.support.databases import SqliteTemplate

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Job 1 is ulla's, of phys-a, which the managers supervise; job 2 is udo's, of chem-b.
JOB_1, JOB_2 = 1, 2
EVERYBODY = frozenset(PEOPLE)
SITE = frozenset(name for name, roles in PEOPLE.items() if {"admin", "support"} & set(roles))
MANAGERS = frozenset(name for name, roles in PEOPLE.items() if "manager" in roles)
PROGRAM = frozenset({"feeder"})
ADMINS = frozenset(name for name, roles in PEOPLE.items() if "admin" in roles)
NOBODY: frozenset[str] = frozenset()
WITH_A_ROLE = EVERYBODY - {"nobody"}
SEES_JOB_1 = SITE | MANAGERS | PROGRAM | {"ulla"}
SEES_JOB_2 = SITE | PROGRAM | {"udo"}

RANGE = 'from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z"'
# Documents by root field, and the users who are not refused. A job that a user may not see is not found.
EXPECTED: dict[str, list[tuple[str, frozenset[str]]]] = {
    "clusters": [("{ clusters { name } }", WITH_A_ROLE)],
    "tags": [("{ tags { id } }", WITH_A_ROLE)],
    "globalMetrics": [("{ globalMetrics { name } }", WITH_A_ROLE)],
    "user": [
        ('{ user(username: "ulla") { username } }', SITE | MANAGERS | {"ulla"}),
        ('{ user(username: "nobody") { username } }', SITE | MANAGERS),
    ],
    "allocatedNodes": [('{ allocatedNodes(cluster: "fritz") { count } }', WITH_A_ROLE)],
    "node": [("{ node(id: 7) { hostname } }", WITH_A_ROLE)],
    "nodes": [("{ nodes { count } }", SITE)],
    "nodesWithMeta": [("{ nodesWithMeta { count } }", SITE)],
    "nodeStates": [("{ nodeStates { state } }", SITE)],
    "nodeStatesTimed": [('{ nodeStatesTimed(type: "node") { state } }', SITE)],
    "nodeHistory": [(f"{{ nodeHistory(id: 7, {RANGE}) {{ node {{ hostname }} }} }}", SITE)],
    "job": [("{ job(id: 1) { id } }", SEES_JOB_1), ("{ job(id: 2) { id } }", SEES_JOB_2)],
    "jobNodeEvents": [("{ jobNodeEvents(id: 1) { time } }", SEES_JOB_1), ("{ jobNodeEvents(id: 2) { time } }", SEES_JOB_2)],
    "jobMetrics": [("{ jobMetrics(id: 1) { name } }", SEES_JOB_1), ("{ jobMetrics(id: 2) { name } }", SEES_JOB_2)],
    "jobStats": [("{ jobStats(id: 1) { name } }", SEES_JOB_1), ("{ jobStats(id: 2) { name } }", SEES_JOB_2)],
    "scopedJobStats": [("{ scopedJobStats(id: 1) { name } }", SEES_JOB_1), ("{ scopedJobStats(id: 2) { name } }", SEES_JOB_2)],
    "jobsTimeline": [("{ jobsTimeline(bin: MONTH) { totalJobs } }", WITH_A_ROLE)],
    "jobsDistribution": [
        ('{ jobsDistribution(x: {quantity: "mem_used_max"}) { outside } }', WITH_A_ROLE),
        ('{ jobsDistribution(x: {quantity: "duration"}, y: {quantity: "flops_any_avg", per: "mem_bw_avg"}) { outside } }', WITH_A_ROLE),
    ],
    "jobsMetrics": [("{ jobsMetrics(ids: [1, 2]) { id } }", WITH_A_ROLE)],  # without the jobs that the user may not see
    "jobs": [("{ jobs { count items { id } } }", WITH_A_ROLE)],
    "jobsStatistics": [("{ jobsStatistics { totalJobs } }", WITH_A_ROLE)],
    "jobsMetricStats": [('{ jobsMetricStats(metrics: ["cpu_load"]) { jobId } }', WITH_A_ROLE)],
    "jobsMetricStatsHasMore": [("{ jobsMetricStatsHasMore }", WITH_A_ROLE)],
    "jobsFootprints": [('{ jobsFootprints(metrics: ["cpu_load"]) { timeWeights { nodeHours } } }', WITH_A_ROLE)],
    "rooflineHeatmap": [("{ rooflineHeatmap(filter: [], rows: 2, cols: 2, minX: 1, minY: 1, maxX: 2, maxY: 2) }", WITH_A_ROLE)],
    "nodeMetrics": [(f'{{ nodeMetrics(cluster: "fritz", {RANGE}) {{ host }} }}', SITE)],
    "nodeMetricsList": [
        (f'{{ nodeMetricsList(cluster: "fritz", subCluster: "", stateFilter: "", nodeFilter: "", {RANGE}) {{ totalNodes }} }}', SITE)
    ],
    "nodesNow": [('{ nodesNow(cluster: "fritz") { host } }', SITE)],
    "clusterMetrics": [(f'{{ clusterMetrics(cluster: "fritz", {RANGE}) {{ nodeCount }} }}', SITE)],
    # Programs can tag only through REST.
    "createTag": [
        ('mutation { createTag(type: "a", name: "b", scope: "global") { id } }', SITE),
        ('mutation { createTag(type: "a", name: "b", scope: "admin") { id } }', ADMINS),
        ('mutation { createTag(type: "a", name: "b", scope: "ulla") { id } }', frozenset({"ulla"})),
    ],
    "deleteTag": [("mutation { deleteTag(id: 1) }", ADMINS)],
    "addTagsToJob": [
        ("mutation { addTagsToJob(job: 2, tagIds: [1]) { id } }", ADMINS),
        ("mutation { addTagsToJob(job: 2, tagIds: [2]) { id } }", SITE),
        ("mutation { addTagsToJob(job: 1, tagIds: [3]) { id } }", frozenset({"ulla"})),
        ("mutation { addTagsToJob(job: 2, tagIds: [3]) { id } }", NOBODY),  # ulla's tag, udo's job
    ],
    "removeTagsFromJob": [
        ("mutation { removeTagsFromJob(job: 2, tagIds: [1]) { id } }", ADMINS),
        ("mutation { removeTagsFromJob(job: 2, tagIds: [2]) { id } }", SITE),
        ("mutation { removeTagsFromJob(job: 1, tagIds: [3]) { id } }", frozenset({"ulla"})),
        ("mutation { removeTagsFromJob(job: 2, tagIds: [3]) { id } }", NOBODY),
    ],
    "removeTagFromList": [
        ("mutation { removeTagFromList(tagIds: [1]) }", ADMINS),
        ("mutation { removeTagFromList(tagIds: [2]) }", ADMINS),
        ("mutation { removeTagFromList(tagIds: [3]) }", frozenset({"ulla"})),
    ],
    "muteAdvice": [('mutation { muteAdvice(job: 1, rule: "hangs") { rule } }', SEES_JOB_1 - PROGRAM)],
    "updateConfiguration": [('mutation { updateConfiguration(name: "a", value: "1") }', WITH_A_ROLE)],
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("graphql")
    database = sqlite_template.fresh(folder)
    advice = '[{"rule":"hangs","severity":"info","text":"It hangs."}]'
    rows = [job_row(JOB_1, changed_seq=1, advice=advice), job_row(JOB_2, changed_seq=2, hpc_user="udo", project="chem-b", advice=None)]
    await write(database, "job", rows)
    scopes = {1: "admin", 2: "global", 3: "ulla"}
    await write(database, "tag", [{"id": key, "tag_type": "t", "tag_name": "n", "tag_scope": scope} for key, scope in scopes.items()])
    node = {"id": 7, "hostname": "f0001", "cluster": "fritz", "subcluster": "main", "time_stamp": 1, "node_state": "idle", "states": "[]"}
    counts = dict.fromkeys(("cpus_allocated", "memory_allocated", "gpus_allocated", "jobs_running", "report_seq", "kept_at"), 0)
    await write(database, "node", [node | counts])
    async with people(database, folder) as given:
        for name in MANAGERS:
            await given.store.change(name, with_project("phys-a"))
        yield given


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sessions(site: People) -> dict[str, str]:
    return {name: await site.sign_in(name) for name in PEOPLE}


WITH_TOKENS_TOO = frozenset({"feeder", "mgr", "ulla"})


async def ask(site: People, name: str, document: str, session: str | None) -> tuple[int, Any]:
    """A request with the session, or without one as the same user with a token."""
    if session is not None:
        return await site.ask("POST", "/query", session, body={"query": document})
    return await site.client.post("/query", {"query": document}, auth=token(*PEOPLE[name], user=name))


def is_refused(status: int, answer: Any) -> bool:
    codes = {error.get("extensions", {}).get("code") for error in answer.get("errors", [])}
    return status in (401, 403) or bool(codes & {FORBIDDEN, "NOT_FOUND"})


def test_every_root_field_has_an_expectation() -> None:
    schema = executable_schema()
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    assert set(schema.query_type.fields) | set(schema.mutation_type.fields) == set(EXPECTED)
    assert schema.subscription_type is not None
    assert set(schema.subscription_type.fields) == {"jobs", "nodes"}  # tested with the change feed


async def test_every_root_field_with_every_role(site: People, sessions: dict[str, str]) -> None:
    wrong = []
    for documents in EXPECTED.values():
        for document, admitted in documents:
            for name in PEOPLE:
                for session in (sessions[name], None) if name in WITH_TOKENS_TOO else (sessions[name],):
                    status, answer = await ask(site, name, document, session)
                    if is_refused(status, answer) == (name in admitted) or status >= 500:
                        wrong.append((document, name, session is not None, status, answer))
    assert wrong == [], "\n".join(map(str, wrong))


async def test_every_role_lists_the_jobs_it_may_see(site: People, sessions: dict[str, str]) -> None:
    for name in WITH_A_ROLE:
        expected = [key for key, seen_by in ((JOB_2, SEES_JOB_2), (JOB_1, SEES_JOB_1)) if name in seen_by]
        _, answer = await ask(site, name, "{ jobs { count items { id } } jobsStatistics { totalJobs } }", sessions[name])
        assert [int(job["id"]) for job in answer["data"]["jobs"]["items"]] == expected, name
        assert answer["data"]["jobs"]["count"] == len(expected)
        assert answer["data"]["jobsStatistics"][0]["totalJobs"] == len(expected)


async def test_without_credentials_nothing_is_answered(site: People) -> None:
    for documents in EXPECTED.values():
        for document, _ in documents:
            status, answer = await site.client.post("/query", {"query": document}, auth="")
            assert (status, answer["data"]) == (401, None)


async def test_a_mutation_from_another_site_is_refused(site: People, sessions: dict[str, str]) -> None:
    document = 'mutation { updateConfiguration(name: "a", value: "2") }'
    headers = {"Cookie": f"session={sessions['ulla']}", "Origin": "https://evil.example"}
    assert (await site.client.post("/query", {"query": document}, auth="", headers=headers))[0] == 403
