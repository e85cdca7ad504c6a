"""Every route with every role. A route without an expectation here fails."""

import re
from collections.abc import AsyncIterator, Iterator
from itertools import product
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio

from services.gateway.call import Call
from services.gateway.frame.credentials import Guard
from services.gateway.frame.routes import Route
from services.gateway.rest import GROUPS
from tests.gateway.accounts import FORM, PEOPLE, People, people
from tests.gateway.stack import token
from tests.support.databases import SqliteTemplate

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = sorted(set(PEOPLE.values()))  # every combination that behaves differently somewhere, and no role
ANYBODY = frozenset(ROLES)
PROGRAMS = frozenset({("api",), ("admin", "api")})
WITH_API = frozenset(roles for roles in ROLES if "api" in roles)
ADMINS = frozenset(roles for roles in ROLES if "admin" in roles)
STAFF = frozenset(roles for roles in ROLES if {"admin", "support"} & set(roles))
WITH_A_ROLE = ANYBODY - {()}
SUPPORTERS = frozenset(roles for roles in ROLES if {"admin", "support"} & set(roles))
NOBODY: frozenset[tuple[str, ...]] = frozenset()

# Roles with access: by token, by session. Credentials of the right kind are refused with 403, of the wrong kind with 401. Users
# without a role have no session.
API = (PROGRAMS, None)
ADMIN_API = (PROGRAMS & ADMINS, None)
USER_API = (WITH_API, None)
ADMIN_PAGE = (None, ADMINS)
STAFF_PAGE = (None, STAFF)
SIGNED_IN = (None, WITH_A_ROLE)
EITHER = (WITH_A_ROLE, WITH_A_ROLE)
OPEN = "open"

EXPECTED: dict[str, Any] = {
    "GET /api/jobs/": API,
    "GET /api/jobs/{id}": API,
    "POST /api/jobs/{id}": API,
    "GET /api/jobs/used_nodes": API,
    "POST /api/jobs/start_job/": API,
    "PUT /api/jobs/start_job/": API,
    "POST /api/jobs/stop_job/": API,
    "PUT /api/jobs/stop_job/": API,
    "PATCH /api/jobs/edit_meta/{id}": API,
    "PATCH /api/jobs/edit_meta/": API,
    "POST /api/jobs/tag_job/{id}": API,
    "PATCH /api/jobs/tag_job/{id}": API,
    "DELETE /api/jobs/tag_job/{id}": API,
    "DELETE /api/tags/": API,
    "DELETE /api/jobs/delete_job/{id}": API,
    "DELETE /api/jobs/delete_job/": API,
    "DELETE /api/jobs/delete_job_before/{ts}": API,
    "GET /api/clusters/": API,
    "POST /api/nodestate/": API,
    "PUT /api/nodestate/": API,
    "POST /api/healthcheck/": API,
    "GET /api/rejections/": API,
    "POST /api/rejections/replay/": API,
    "POST /api/rejections/dismiss/": API,
    "GET /api/archiving/failures/": API,
    "POST /api/archiving/retry/": API,
    "GET /frontend/archiving/failures/": STAFF_PAGE,
    "POST /frontend/archiving/retry/": ADMIN_PAGE,
    "GET /api/status/": API,
    "PUT /api/machine_state/{cluster}/{host}": API,
    "POST /api/machine_state/{cluster}/{host}": API,
    "GET /api/machine_state/{cluster}/{host}": API,
    "GET /api/users/": ADMIN_API,
    "POST /api/user/{name}": ADMIN_API,
    "GET /config/users/": ADMIN_PAGE,
    "POST /config/user/{name}": ADMIN_PAGE,
    "POST /config/users/": ADMIN_PAGE,
    "PUT /config/users/": ADMIN_PAGE,
    "DELETE /config/users/": ADMIN_PAGE,
    "GET /config/roles/": ADMIN_PAGE,
    "POST /config/user/{name}/password/": ADMIN_PAGE,
    "POST /frontend/password/": SIGNED_IN,
    "POST /config/notice/": ADMIN_PAGE,
    "GET /config/taggers/": ADMIN_PAGE,
    "POST /config/taggers/run/": ADMIN_PAGE,
    "GET /frontend/session/": SIGNED_IN,
    **{f"GET /frontend/export/jobs.{form}": EITHER for form in ("csv", "ndjson", "parquet")},
    "GET /frontend/status/": STAFF_PAGE,
    "GET /frontend/rules/": STAFF_PAGE,
    "GET /frontend/rejections/": STAFF_PAGE,
    "GET /frontend/rejections/summary/": STAFF_PAGE,
    "GET /frontend/rejections/{stream}/{sequence}": STAFF_PAGE,
    "GET /frontend/rejections/replayed/": STAFF_PAGE,
    "POST /frontend/rejections/replay/": ADMIN_PAGE,
    "POST /frontend/rejections/dismiss/": ADMIN_PAGE,
    "GET /frontend/jwt/": (None, ADMINS),  # without a name; tokens for oneself are tested below
    "GET /frontend/tokens/": SIGNED_IN,
    "DELETE /frontend/tokens/{id}": SIGNED_IN,
    "GET /config/tokens/": ADMIN_PAGE,
    "DELETE /config/tokens/{id}": ADMIN_PAGE,
    "POST /config/walls/": ADMIN_PAGE,
    "GET /frontend/wall/": (None, None),  # a link to a wall screen is no user: tests/gateway/rest/test_walls.py
    "GET /api/tokens/": ADMIN_API,
    "DELETE /api/tokens/{id}": ADMIN_API,
    "POST /frontend/configuration/": SIGNED_IN,
    "PUT /frontend/jobs/{id}/note/": (None, SUPPORTERS),
    "GET /frontend/logs/": ADMIN_PAGE,
    "GET /userapi/jobs/": USER_API,
    "GET /userapi/jobs/{id}": USER_API,
    "POST /userapi/jobs/{id}": USER_API,
    "GET /api/jobs/metrics/{id}": API,
    "GET /userapi/jobs/metrics/{id}": USER_API,
    "GET /api/events/": EITHER,
    "GET /oidc-login": OPEN,
    "GET /oidc-callback": OPEN,
    "GET /login": OPEN,
    "POST /login": OPEN,
    "GET /jwt-login": OPEN,
    "POST /jwt-login": OPEN,
    "POST /logout": OPEN,
}


def routes() -> Iterator[tuple[str, Route[Call], str]]:
    for route in (route for group in GROUPS for route in group.routes):
        for method in route.methods:
            yield f"{method} {route.path}", route, method


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("permissions")
    async with people(sqlite_template.fresh(folder), folder, machine_state_dir=folder / "machines") as given:
        yield given


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sessions(site: People) -> dict[tuple[str, ...], str]:
    return {roles: await site.sign_in(name) for name, roles in PEOPLE.items()}


def filled(path: str, value: str = "999999999") -> str:
    return re.sub(r"\{\w+\}", value, path)


def test_every_route_has_an_expectation() -> None:
    assert {name for name, _, _ in routes()} == set(EXPECTED)


async def test_every_route_with_every_role(site: People, sessions: dict[tuple[str, ...], str]) -> None:
    wrong = []
    for name, route, method in routes():
        path, expected = filled(route.path), EXPECTED[name]
        if expected == OPEN:
            continue
        by_token, by_session = expected
        for kind, admitted, roles in [*product(["token"], [by_token], ROLES), *product(["session"], [by_session], ROLES)]:
            if kind == "token":
                headers = {"X-Auth-Token": token(*roles, user="somebody")}
            else:
                headers = {"Cookie": f"session={sessions[roles]}", "X-Requested-With": "test"}
            found = await site.client.status(method, path, headers)
            if admitted is None or (kind == "session" and not roles):
                fits = found == 401
            elif roles in admitted:
                fits = found not in (401, 403) and (found < 500 or found == 503)  # 503: there is no broker
            else:
                fits = found == 403
            if not fits:
                wrong.append((name, kind, roles, found))
    assert wrong == []


async def test_nothing_but_the_open_routes_answers_without_credentials(site: People) -> None:
    statuses = {name: await site.client.status(method, filled(route.path), {}) for name, route, method in routes()}
    open_routes = {name for name, expected in EXPECTED.items() if expected == OPEN}
    assert {name: found for name, found in statuses.items() if name not in open_routes} == dict.fromkeys(EXPECTED.keys() - open_routes, 401)
    assert {name: statuses[name] for name in open_routes} == {
        "GET /login": 200,
        "POST /login": 401,  # the request has no name and password
        "GET /jwt-login": 401,
        "POST /jwt-login": 401,
        "POST /logout": 200,
        "GET /oidc-login": 404,  # no provider is configured
        "GET /oidc-callback": 404,
    }


async def test_writes_with_a_session_require_our_own_origin(site: People, sessions: dict[tuple[str, ...], str]) -> None:
    """Tested with all writing routes of the route table that accept a cookie."""
    cookie = {"Cookie": f"session={sessions['admin', 'api']}"}
    writes = [(m, r) for _, r, m in routes() if r.guard.takes_session and m != "GET"]
    assert writes
    for method, route in writes:
        for headers in ({"Origin": "https://evil.example", "X-Requested-With": "x"}, {"Content-Type": FORM}):
            assert await site.client.status(method, filled(route.path), cookie | headers) == 403, (method, route.path)


async def test_users_issue_tokens_for_themselves_and_admins_for_anyone(site: People, sessions: dict[tuple[str, ...], str]) -> None:
    for name, roles in PEOPLE.items():
        if name in ("ulla", "udo", "nobody"):
            continue  # two have the same roles, one has no session
        code, text = await site.ask("GET", f"/frontend/jwt/?username={name}", sessions[roles])
        assert (code, text.count(".")) == (200, 2)
        others = (await site.ask("GET", "/frontend/jwt/?username=ulla", sessions[roles]))[0]
        assert others == (200 if "admin" in roles else 403)


INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE hpc_user; --",
    '" UNION SELECT password FROM hpc_user --',
    "../../../../etc/passwd",
    "%00",
    "\\..\\x",
    "ü" * 300,
    "9" * 40,
    "--output=cat",
]
LEAKS = re.compile(r"sqlite|postgres|traceback|syntax error|sqlalchemy|root:x|no such (table|column)", re.IGNORECASE)


def parameters(route: Route[Call]) -> Iterator[str]:
    for model in (route.query, route.form):
        if model is not None:
            yield from (info.alias or name for name, info in model.model_fields.items())


async def test_injection_in_every_parameter_of_every_route_changes_nothing(site: People, sessions: dict[tuple[str, ...], str]) -> None:
    before = {account.name: account.roles for account in await site.store.all()}
    wrong = []
    for name, route, method in routes():
        if name == "GET /api/events/" or (route.guard is Guard.NONE and "login" in route.path):
            continue  # the first never ends; passwords and their names have tests of their own
        headers = {"X-Auth-Token": token("admin", "api", user="opsapi")}
        if not route.guard.takes_token:
            headers = {"Cookie": f"session={sessions['admin', 'api']}", "X-Requested-With": "test"}
        requests: list[tuple[str, bytes | None]] = []
        for text in INJECTIONS:
            if "{" in route.path:
                requests.append((filled(route.path, quote(text, safe="")), None))
            for parameter in parameters(route):
                requests.append((f"{filled(route.path)}?{urlencode({parameter: text})}", None))
                if route.form is not None:
                    requests.append((filled(route.path), urlencode({parameter: text}).encode()))
        for path, data in requests:
            given = headers | ({"Content-Type": FORM} if data else {})
            response = await site.client.raw(method, path, auth="", headers=given, data=data)
            text = await response.text()
            if (response.status >= 500 and response.status != 503 and route.path != "/frontend/logs/") or LEAKS.search(text):
                wrong.append((name, path, data, response.status, text[:200]))
    assert wrong == []
    assert {account.name: account.roles for account in await site.store.all()} == before
