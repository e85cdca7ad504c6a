"""Wall screens by link: who creates one, what it shows, and that its token opens nothing else."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import jwt
import pytest

from services.gateway.frame.credentials import Guard
from services.gateway.people.users.rules import without_role
from services.gateway.rest import GROUPS
from shared.settings import DatabaseSettings, NatsSettings
from tests.gateway.accounts import PEOPLE, People, auth_settings, people
from tests.gateway.live.socket import connected
from tests.gateway.people.test_permissions import filled
from tests.gateway.rows import NODE_COLUMNS, job_row, write
from tests.gateway.stack import KEY, token
from tests.support.waiting import until

NOW = 1_770_000_000
NODE = NODE_COLUMNS | {"time_stamp": NOW - 60}
NODES = {"f0101": ("allocated", 72), "f0102": ("mixed", 10), "f0103": ("idle", 0)}


class Opened(Protocol):
    def __call__(self, database: DatabaseSettings, **auth: Any) -> AbstractAsyncContextManager[People]: ...


@pytest.fixture
def opened(site: NatsSettings, tmp_path: Path) -> Opened:
    """Opens a site with clusters and people."""

    @asynccontextmanager
    async def start(database: DatabaseSettings, **auth: Any) -> AsyncIterator[People]:
        async with people(database, tmp_path, auth=auth_settings(**auth), nats=site) as given:

            async def knows_clusters() -> bool:
                return (await given.client.get("/api/clusters/"))[0] == 200

            await until(knows_clusters, 60)
            yield given

    return start


async def link(site: People, cookie: str, **fields: str) -> dict[str, Any]:
    status, made = await site.form("/config/walls/", cookie, **{"cluster": "fritz"} | fields)
    assert status == 200, made
    found: dict[str, Any] = made
    return found


def token_of(made: dict[str, Any]) -> str:
    path, _, found = made["link"].partition("#")
    assert path == "/wall/"
    return str(found)


async def wall(site: People, text: str) -> tuple[int, Any]:
    return await site.client.get("/frontend/wall/", auth=text)


async def test_a_link_shows_sums_of_its_cluster_and_no_names(opened: Opened, database: DatabaseSettings) -> None:
    running = {"job_state": "running", "start_time": NOW - 100, "duration": 0}
    jobs = [
        job_row(1, **running, hpc_user="ulla"),
        job_row(2, **running, hpc_user="ulla"),
        job_row(3, **running, hpc_user="udo", project="chem-b"),
        job_row(4, **running, cluster="emmy"),
        job_row(5),
    ]
    nodes = [
        {**NODE, "id": key, "hostname": host, "node_state": state, "cpus_allocated": cores}
        for key, (host, (state, cores)) in enumerate(NODES.items(), 1)
    ]
    await write(database, "job", jobs)
    await write(database, "node", [*nodes, {**NODE, "id": 9, "cluster": "emmy", "hostname": "e0101", "node_state": "down"}])
    async with opened(database) as site:
        text = token_of(await link(site, await site.sign_in("adm"), label="hall"))
        status, found = await wall(site, text)
        assert status == 200, found
        assert (found["cluster"], found["time"], found["runningJobs"], found["users"]) == ("fritz", NOW, 3, 2)
        (part,) = found["subClusters"]
        assert part["states"] == {"allocated": 1, "mixed": 1, "idle": 1}
        assert (part["name"], part["coresAllocated"], part["cores"]) == ("main", 82, 3 * 72)
        assert found["powerKw"] is None  # this site has no metric store
        names = {"ulla", "udo", "phys-a", "chem-b", "job <1>", "1001", "hall", "adm", *NODES}
        assert [name for name in names if name in json.dumps(found)] == []


def routes_with_a_token() -> Iterator[tuple[str, str, str]]:
    for group in GROUPS:
        for route in group.routes:
            if route.guard not in (Guard.NONE, Guard.WALL):
                yield from ((f"{method} {route.path}", method, filled(route.path)) for method in route.methods)


async def test_the_token_of_a_link_is_refused_by_every_other_route(opened: Opened, sqlite_database: DatabaseSettings) -> None:
    async with opened(sqlite_database, jwt_cookie_name="portal") as site:
        text = token_of(await link(site, await site.sign_in("adm")))
        found = {
            name: await site.client.status(method, path, {"Authorization": f"Bearer {text}"})
            for name, method, path in routes_with_a_token()
        }
        assert {"GET /api/jobs/", "GET /config/users/", "POST /frontend/password/", "GET /frontend/session/"} <= found.keys()
        assert found == dict.fromkeys(found, 401)
        assert (await site.client.post("/query", {"query": "{ jobs { count } }"}, auth=text))[0] == 401
        assert await site.client.status("POST", "/jwt-login", {"Cookie": f"portal={text}"}) == 401
        async with connected(site.client) as socket:
            await socket.send("connection_init", payload={"Authorization": f"Bearer {text}"})
            assert await socket.closed() == 4403
        claims = jwt.decode(text, KEY.public_key(), algorithms=["EdDSA"], options={"verify_exp": False, "verify_iat": False})
        assert (claims["roles"], claims["wall"], claims["sub"]) == ([], "fritz", "wall screen of fritz")


async def test_only_tokens_of_links_that_were_created_here_open_a_wall_screen(opened: Opened, sqlite_database: DatabaseSettings) -> None:
    async with opened(sqlite_database) as site:
        cookie = await site.sign_in("opsapi")
        _, of_api = await site.ask("GET", "/frontend/jwt/?username=opsapi", cookie)
        for other in (of_api, token("admin", "api"), token(wall="fritz"), token(wall="fritz", jti="jobtide-" + "a" * 22), "x"):
            assert (await wall(site, other))[0] == 401
        assert await site.client.status("GET", "/frontend/wall/", {"Cookie": f"session={cookie}"}) == 401


async def test_only_admins_create_links_and_only_for_clusters_of_the_site(opened: Opened, sqlite_database: DatabaseSettings) -> None:
    async with opened(sqlite_database) as site:
        for name, roles in PEOPLE.items():
            if roles and "admin" not in roles:
                assert (await site.form("/config/walls/", await site.sign_in(name), cluster="fritz"))[0] == 403
        admin = await site.sign_in("adm")
        for cluster in ("", "nowhere", "Fritz"):
            assert (await site.form("/config/walls/", admin, cluster=cluster))[0] == 400
        assert (await site.form("/config/walls/", admin, cluster="fritz", label="a\nb"))[0] == 400


async def test_a_link_ends_when_it_is_revoked_or_expires_or_its_admin_is_none_any_more(
    opened: Opened, sqlite_database: DatabaseSettings
) -> None:
    async with opened(sqlite_database, wall_link_max_age_hours=1) as site:
        cookie = await site.sign_in("adm")
        revoked, personal, lasting = [await link(site, cookie, program=program) for program in ("", "", "true")]
        listed = (await site.ask("GET", "/config/tokens/", cookie))[1]
        assert [(one["wall"], one["roles"], one["expires"], one["program"]) for one in listed if one["id"] == lasting["id"]] == [
            ("fritz", [], NOW + 3600, True)
        ]
        assert (await site.ask("DELETE", f"/config/tokens/{revoked['id']}", cookie))[0] == 200
        assert [(await wall(site, token_of(one)))[0] for one in (revoked, personal, lasting)] == [401, 200, 200]
        await site.store.change("opsapi", without_role("api"))  # somebody else
        await site.store.change("adm", lambda account, _: account)
        assert (await wall(site, token_of(personal)))[0] == 200
        await site.store.remove("adm")
        assert [(await wall(site, token_of(one)))[0] for one in (personal, lasting)] == [401, 200]
        site.clock.now += 3600
        assert (await wall(site, token_of(lasting)))[0] == 401
