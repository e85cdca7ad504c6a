"""/query over HTTP: methods, sign-in, limits, introspection, and the page for writing queries."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from services.gateway.frame.answers import encode
from services.gateway.graphql.documents import Documents
from services.gateway.graphql.schema_files import executable_schema
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.graphql.shape import shaped
from services.gateway.graphql.transport import response_type
from tests.gateway.accounts import People, people
from tests.gateway.rows import job_row, write
from tests.gateway.stack import token
from tests.support.databases import SqliteTemplate

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN = token("admin", user="adm")
LIMITS: dict[str, Any] = {"max_tokens": 200, "max_cost": 40, "max_root_fields": 25, "max_depth": 5, "max_body_bytes": 4096, "max_items": 20}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    """A gateway with small limits, and with everything optional switched off."""
    folder = tmp_path_factory.mktemp("strict")
    settings = GraphqlSettings(get=False, introspection=False, playground=False, **LIMITS)
    database = sqlite_template.fresh(folder)
    await write(database, "job", [job_row(key) for key in range(1, 23)])
    async with people(database, folder, graphql=settings) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_site(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("open")
    database = sqlite_template.fresh(folder)
    await write(database, "job", [job_row(key, hpc_user="ulla" if key % 2 else "udo") for key in range(1, 61)])
    async with people(database, folder) as site:
        yield site


async def ask(site: People, query: str, auth: str = ADMIN, **variables: Any) -> tuple[int, Any]:
    return await site.client.post("/query", {"query": query, "variables": variables}, auth=auth)


def code(answer: Any) -> str:
    found: str = answer["errors"][0].get("extensions", {}).get("code", "")
    return found


async def test_a_request_without_credentials_is_refused_in_json(open_site: People) -> None:
    for auth in ("", "nonsense"):
        status, answer = await ask(open_site, "{ tags { id } }", auth)
        assert status == 401
        assert answer["data"] is None
        assert answer["errors"][0]["message"]


async def test_a_session_may_query(open_site: People) -> None:
    cookie = await open_site.sign_in("ulla")
    status, answer = await open_site.ask("POST", "/query", cookie, body={"query": "{ jobs { count } }"})
    assert (status, answer) == (200, {"data": {"jobs": {"count": 30}}})


async def test_get_runs_queries_but_no_mutations(open_site: People) -> None:
    query = quote("query Q($n: Int!) { jobs(page: {itemsPerPage: $n, page: 1}) { items { jobId } } }")
    path = f"/query?query={query}&operationName=Q&variables={quote(json.dumps({'n': 1}))}"
    assert await open_site.client.get(path, auth=ADMIN) == (200, {"data": {"jobs": {"items": [{"jobId": 1060}]}}})
    mutation = quote('mutation { createTag(type: "a", name: "b", scope: "global") { id } }')
    status, answer = await open_site.client.get(f"/query?query={mutation}", auth=ADMIN)
    assert (status, code(answer)) == (422, "GRAPHQL_VALIDATION_FAILED")
    assert (await open_site.client.get(f"/query?query={query}&variables=%7B", auth=ADMIN))[0] == 400


async def test_get_and_introspection_can_be_switched_off(strict: People) -> None:
    assert (await strict.client.get("/query?query=%7Btags%7Bid%7D%7D", auth=ADMIN))[0] == 400
    status, answer = await ask(strict, '{ __schema { queryType { name } } __type(name: "Job") { name } tags { id } }')
    assert (status, answer["data"]) == (200, {"__schema": None, "__type": None, "tags": []})
    assert [error["path"] for error in answer["errors"]] == [["__schema"], ["__type"]]
    assert (await strict.client.get("/playground/", auth=""))[0] == 404


async def test_each_limit_refuses_larger_operations_and_is_named(strict: People) -> None:
    refusals = {
        "COMPLEXITY_LIMIT_EXCEEDED": "{ " + " ".join(f"a{n}: tags {{ id }}" for n in range(21)) + " }",
        "DEPTH_LIMIT_EXCEEDED": "{ jobs(page: {itemsPerPage: 1, page: 1}) { items { concurrentJobs { items { jobId } } } } }",
        "GRAPHQL_PARSE_FAILED": "{ tags { " + "id " * 200 + "} }",
    }
    # Only introspection allows a greater depth than the schema, because scalars have no selections.
    deep = '{ __type(name: "Job") { fields { type { ofType { ofType { ofType { name } } } } } } }'
    for expected, query in (refusals | {"DEPTH_LIMIT_EXCEEDED ": deep}).items():
        status, answer = await ask(strict, query)
        if expected == "DEPTH_LIMIT_EXCEEDED":  # exactly at the limit
            assert "errors" not in answer
            continue
        assert code(answer) == expected.strip(), answer
        assert status == (422 if "PARSE" in expected else 200)
        assert answer["data"] is None
    assert (await ask(strict, "# " + "x" * 5000))[0] == 413
    assert code((await ask(strict, "{ jobs(page: {itemsPerPage: 0, page: 1}) { count } }"))[1]) == "BAD_USER_INPUT"


async def test_root_fields_in_fragments_are_counted(strict: People) -> None:
    fragment = "fragment F on Query { " + " ".join(f"b{n}: __typename" for n in range(12)) + " }"
    inline = " ".join(f"... on Query {{ a{n}: __typename }}" for n in range(2))
    status, answer = await ask(strict, f"{{ ...F ...F {inline} }} {fragment}")
    assert (status, code(answer)) == (200, "COMPLEXITY_LIMIT_EXCEEDED")
    assert "26 root fields" in answer["errors"][0]["message"]
    assert "errors" not in (await ask(strict, f"{{ ...F ...F }} {fragment}"))[1]


async def test_a_long_document_is_limited_and_parsed_outside_the_event_loop(open_site: People) -> None:
    repeated = "{" + "jobs { count } " * 1000 + "}"
    spread = (
        "{ tags {" + " ".join(f"...f{n}" for n in range(1000)) + " } }" + "".join(f" fragment f{n} on Tag {{ id }}" for n in range(1000))
    )
    loop, longest_s, ended = asyncio.get_running_loop(), 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest_s
        while not ended.is_set():
            began = loop.time()
            await asyncio.sleep(0)
            longest_s = max(longest_s, loop.time() - began)

    watching = asyncio.ensure_future(watch())
    began = loop.time()
    answers = [await ask(open_site, query) for query in (repeated, spread)]
    took_s = loop.time() - began
    ended.set()
    await watching
    assert [code(answer) for _, answer in answers] == ["GRAPHQL_VALIDATION_FAILED"] * 2
    assert longest_s < took_s / 2


async def test_the_document_cache_is_limited_by_size() -> None:
    documents = Documents(executable_schema(), GraphqlSettings(cached_documents=100))
    texts = [f"{{ tags {{ id }} }} # {number} {'x' * 19_000}" for number in range(60)]
    for text in [*texts, texts[-1]]:
        await documents.get(text)
    assert await documents.get(texts[-1]) is await documents.get(texts[-1])
    assert sum(map(len, documents._cached)) == documents._characters <= 1_000_000


async def test_long_lists_are_shaped_outside_the_event_loop(open_site: People, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "{ jobs { items { id who: userData { username } } } }"
    threads: list[int] = []

    def noting(*arguments: Any) -> Any:
        threads.append(threading.get_ident())
        return shaped(*arguments)

    monkeypatch.setattr("services.gateway.graphql.request.shaped", noting)
    at_once = await ask(open_site, query, token("user", user="ulla"))
    monkeypatch.setattr("services.gateway.graphql.request.MANY", 10)
    assert await ask(open_site, query, token("user", user="ulla")) == at_once
    assert [thread == threading.get_ident() for thread in threads] == [True, False]


async def test_operations_that_share_a_fragment_have_their_own_shapes(open_site: People) -> None:
    document = "query A { ...F jobs { hasNextPage } } query B { ...F } fragment F on Query { jobs { count } }"
    found = [
        (await open_site.client.post("/query", {"query": document, "operationName": name}, auth=ADMIN))[1]["data"]["jobs"] for name in "AB"
    ]
    assert found == [{"count": 60, "hasNextPage": True}, {"count": 60}]


async def test_fragments_cost_at_each_use(strict: People) -> None:
    """Each fragment doubles the previous one, so a small document requests a lot."""
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} b{n}: __typename ...F{n + 1} }}" for n in range(12))
    _, answer = await ask(strict, f"{{ ...F0 }} {chain} fragment F12 on Query {{ x: tags {{ id }} }}")
    assert code(answer) == "COMPLEXITY_LIMIT_EXCEEDED"
    assert re.search(r"complexity \d{4,}", answer["errors"][0]["message"])


async def test_the_number_of_jobs_in_an_answer_is_limited(strict: People, open_site: People) -> None:
    query = "query($n: Int!) { jobs(page: {itemsPerPage: $n, page: 1}) { hasNextPage items { id } } }"
    _, answer = await ask(open_site, query, n=-1)
    assert len(answer["data"]["jobs"]["items"]) == 60
    assert answer["data"]["jobs"]["hasNextPage"] is False
    for items in (-1, 21):
        assert code((await ask(strict, query, n=items))[1]) == "BAD_USER_INPUT"
    _, answer = await ask(strict, query, n=20)
    assert answer["data"]["jobs"]["hasNextPage"] is True


async def test_long_answers_are_serialised_outside_the_event_loop(open_site: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the same."""
    query = "{ jobs(page: {itemsPerPage: -1, page: 1}) { count items { id state resources { hostname } tags { name } } } }"
    at_once = await ask(open_site, query)
    for module in ("request", "shape"):
        monkeypatch.setattr(f"services.gateway.graphql.{module}.MANY", 7)
    threads = set()

    def noted(answer: Any) -> bytes:
        threads.add(threading.current_thread())
        return encode(answer)

    monkeypatch.setattr("services.gateway.graphql.transport.encode", noted)
    assert await ask(open_site, query) == at_once
    assert threading.main_thread() not in threads
    assert len(at_once[1]["data"]["jobs"]["items"]) == 60


async def test_only_selected_fields_are_computed(open_site: People) -> None:
    """Tested with ``count`` alone and ``hasNextPage`` alone."""
    assert (await ask(open_site, "{ jobs { count } }"))[1] == {"data": {"jobs": {"count": 60}}}
    assert (await ask(open_site, "{ jobs { hasNextPage } }"))[1] == {"data": {"jobs": {"hasNextPage": True}}}


async def test_accounts_of_other_users_are_null_with_an_error_each(open_site: People) -> None:
    cookie = token("api")
    query = (
        '{ jobs(page: {itemsPerPage: 2, page: 1}) { items { who: userData { username } user } } me: user(username: "feeder") { username } }'
    )
    status, answer = await ask(open_site, query, cookie)
    assert status == 200
    assert answer["data"]["jobs"]["items"] == [{"who": None, "user": "udo"}, {"who": None, "user": "ulla"}]
    assert answer["data"]["me"] == {"username": "feeder"}
    assert [error["path"] for error in answer["errors"]] == [["jobs", "items", 0, "who"], ["jobs", "items", 1, "who"]]
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}


async def test_unexpected_errors_are_answered_with_a_log_number(open_site: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: Any) -> None:
        raise RuntimeError("inner text")

    monkeypatch.setattr("services.gateway.graphql.fields.jobs.order_of", burst)
    status, answer = await ask(open_site, "{ jobs { count } }")
    assert status == 200
    assert code(answer) == "INTERNAL_SERVER_ERROR"
    assert re.fullmatch(r"internal error, see the log for error [0-9a-f]{12}", answer["errors"][0]["message"])


async def test_mutations_without_a_broker_are_unavailable(open_site: People) -> None:
    _, answer = await ask(open_site, 'mutation { createTag(type: "a", name: "b", scope: "global") { id } }')
    assert code(answer) == "UNAVAILABLE"


async def test_graphiql_loads_nothing_from_other_hosts(open_site: People) -> None:
    status, page = await open_site.client.get("/playground/", auth="")
    assert status == 200
    loaded = [name for name in re.findall(r'(?:src|href)="([^"]+)"', page) if name != "data:,"]
    assert len(loaded) == 7
    for name in loaded:
        response = await open_site.client.raw("GET", f"/playground/{name}", auth="")
        assert response.status == 200, name
        assert response.content_type in ("text/css", "text/javascript", "application/javascript")
    assert (await open_site.client.get("/playground/../settings.py", auth=""))[0] == 404
    assert (await open_site.client.raw("GET", "/playground", auth="")).headers["Location"] == "playground/"


@pytest.mark.parametrize(
    ("accepts", "expected"),
    [
        ([], "application/json"),
        (["*/*"], "application/json"),
        (["text/html, application/*;q=0.5"], "application/json"),
        (["text/html", "application/graphql-response+json, application/json"], "application/graphql-response+json"),
        (["text/html"], "application/graphql-response+json"),
    ],
)
async def test_the_first_supported_accept_type_is_answered(accepts: list[str], expected: str) -> None:
    assert response_type(accepts) == expected


NOBODY_S = ("admin", "support", "manager", "user", "api", "none")
STAFF = {"admin", "support"}
WHO = {
    "{ jobs { count } }": {"admin", "support", "manager", "user", "api"},
    "{ jobsStatistics { totalJobs } }": {"admin", "support", "manager", "user", "api"},
    "{ nodes { count } }": STAFF,
    "{ nodesWithMeta { count } }": STAFF,
    "{ nodeStates { count } }": STAFF,
    '{ nodeStatesTimed(type: "node") { state } }': STAFF,
    '{ user(username: "ulla") { name } }': {"admin", "support", "manager"},
    '{ allocatedNodes(cluster: "fritz") { count } }': set(NOBODY_S),
    "{ tags { id } }": set(NOBODY_S),
}


@pytest.mark.parametrize("query", WHO)
async def test_each_role_may_use_its_fields_only(open_site: People, query: str) -> None:
    allowed = set()
    for role in NOBODY_S:
        _, answer = await ask(open_site, query, token(role, user="somebody"))
        if "errors" not in answer:
            allowed.add(role)
        else:
            assert code(answer) == "FORBIDDEN"
    assert allowed == WHO[query]
