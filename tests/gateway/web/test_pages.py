"""Serving the web interface, with files of the test in place of the built ones."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urljoin

import pytest
import pytest_asyncio

from services.gateway import app as gateway_app
from services.gateway.frame.pages.built import POLICY
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.errors import Unavailable
from shared.settings import NatsSettings
from tests.gateway.accounts import HASH, PASSWORD, People, people
from tests.gateway.rows import job_row, write
from tests.support.databases import SqliteTemplate

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = "console.log('a page')\n" * 100
INDEX = """<html><head><base href="/" />
<script type="application/json" id="session"></script>
<script type="module" crossorigin src="./assets/index-1a2b.js"></script>
<link rel="stylesheet" crossorigin href="./assets/Menu-3c4d.css">
<link rel="stylesheet" crossorigin href="./assets/index-5e6f.css">
</head></html>"""
TRYING = Account("tara", AuthSource.LOCAL, ("manager",), password=HASH, real_name="</script><b>Tara", projects=("p2", "p1"))
PAGES = (
    "/",
    "/monitoring/jobs/",
    "/monitoring/jobs",
    "/monitoring/job/18",
    "/monitoring/job/1002",
    "/monitoring/whatever",
    "/config",
)
GRETA = Account("greta", AuthSource.LOCAL, ("user",), password=HASH, real_name="Greta Hohl")
GRIT = Account("grit/1", AuthSource.LOCAL, ("user",), password=HASH, real_name="Grit HOHL-Weber")
GUSTL = Account("gustl", AuthSource.LOCAL, ("user",), password=HASH, real_name="Gustl Hohl, who has no jobs")
SEARCHED = [
    job_row(1010, hpc_user="greta", project="p1", former_id=None),
    job_row(1011, hpc_user="grit/1", project="phys-b", former_id=None),
    job_row(1012, hpc_user="greta", project="p1", job_id=77, former_id=None),
    job_row(1013, hpc_user="grit/1", project="phys-b", job_id=77, cluster="alex", former_id=None),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    (dist / "assets").mkdir()
    (dist / "index.html").write_text(INDEX)
    (dist / "assets" / "index-1a2b.js").write_text(SCRIPT)
    (dist / "assets" / "index-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (dist / "assets" / "index-5e6f.css").write_text("body {}")
    return dist


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(sqlite_template: SqliteTemplate, built: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    """A site below the path /tools/, as if a proxy had removed that prefix."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway_app, "DIST", built)
        database = sqlite_template.fresh(folder)
        await write(database, "job", [job_row(1002, former_id=17), job_row(16, former_id=None), job_row(1003, former_id=16), *SEARCHED])
        nats = NatsSettings(url="nats://127.0.0.1:9", first_job_id=1000)
        async with people(database, folder, nats=nats, pages=True, base_path="/tools/", site_name="Erlangen <3") as given:
            for account in (TRYING, GRETA, GRIT, GUSTL):
                await given.store.add(account)
            yield given


async def page(site: People, path: str, cookie: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    response = await site.client.raw("GET", path, auth="", headers={"Cookie": f"session={cookie}"} | headers)
    return response.status, await response.text(), dict(response.headers)


async def test_every_page_is_the_same_document_with_the_session_of_its_reader(site: People) -> None:
    cookie = await site.sign_in("tara")
    await site.store.set_setting("tara", "web_theme", '"dark"')
    for path in PAGES:
        status, text, headers = await page(site, path, cookie)
        assert (status, headers["Cache-Control"], headers["Content-Security-Policy"]) == (200, "no-store", POLICY)
        assert '<base href="/tools/" />' in text
        written = re.search(r'<script type="application/json" id="session">(.*?)</script>', text)
        assert written is not None
        session = json.loads(written[1])
        assert session["user"] == {
            "username": "tara",
            "name": "</script><b>Tara",
            "roles": ["manager"],
            "projects": ["p1", "p2"],
            "scopes": ["global", "tara"],
            "allJobs": False,
            "nodes": False,
            "password": True,
        }
        assert session["settings"] == {"web_theme": "dark"}
        assert session["rules"]["lowload"] == "Low CPU load"
        assert re.fullmatch("0-0-[0-9a-z]+", session["cursor"])  # of a database to which no event has been applied


async def test_the_page_of_a_link_to_a_wall_screen_needs_no_session_and_says_nothing_of_its_reader(site: People) -> None:
    cookie = await site.sign_in("tara")
    texts = [await page(site, path, given) for path in ("/wall/", "/wall") for given in ("", "forged", cookie)]
    assert {(status, headers["Cache-Control"], headers["Content-Security-Policy"]) for status, _, headers in texts} == {
        (200, "no-store", POLICY)
    }
    (text,) = {text for _, text, _ in texts}
    written = re.search(r'<script type="application/json" id="session">(.*?)</script>', text)
    assert written is not None
    session = json.loads(written[1])
    assert session.pop("site") == "Erlangen <3"
    assert {key: value for key, value in session.pop("user").items() if value} == {}
    assert {key: value for key, value in session.items() if value} == {}


async def test_without_a_session_a_page_leads_to_the_sign_in_and_back(site: People) -> None:
    status, _, headers = await page(site, "/monitoring/jobs/?state=failed&user=a%26b", "forged")
    assert (status, headers["Cache-Control"]) == (302, "no-store")
    assert headers["Location"] == "/tools/login?redirect=/tools/monitoring/jobs/%3Fstate%3Dfailed%26user%3Da%2526b"
    _, form, _ = await page(site, headers["Location"].removeprefix("/tools"), "")
    assert 'value="/tools/monitoring/jobs/?state=failed&amp;user=a%26b"' in form
    assert 'action="/tools/login"' in form
    assert '<link rel="stylesheet" href="/tools/assets/index-5e6f.css">' in form


async def test_the_page_of_a_job_of_the_former_site_leads_to_the_job_here(site: People) -> None:
    cookie = await site.sign_in("tara")
    for path in ("/monitoring/job/17", "/monitoring/job/17/"):
        status, _, headers = await page(site, f"{path}?metric=cpu_load", cookie)
        assert (status, headers["Location"]) == (302, "/tools/monitoring/job/1002?metric=cpu_load")


async def test_the_page_of_a_job_here_is_shown_although_another_job_had_its_id_there(site: People) -> None:
    status, _, _ = await page(site, "/monitoring/job/16", await site.sign_in("tara"))
    assert status == 200


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("sup", "2010", "job/1010"),
        ("sup", "77", "jobs/?jobId=77"),
        ("greta", "77", "job/1012"),
        ("greta", "2011", "jobs/?jobId=2011"),
        ("sup", "9" * 30, f"jobs/?jobId={'9' * 30}"),
        ("sup", " greta ", "user/greta"),
        ("sup", "grit/1", "user/grit%2F1"),
        ("sup", "phys-b", "project/phys-b"),
        ("tara", "phys-b", "jobs/?jobName=phys-b&startTime=last30d"),
        ("sup", "hohl", "users/?user=greta&user=grit%2F1&userMatch=eq&startTime=last30d"),
        ("tara", "hohl", "user/greta"),
        ("greta", "hohl", "jobs/?jobName=hohl&startTime=last30d"),
        ("sup", "h_hl", "jobs/?jobName=h_hl&startTime=last30d"),
        ("sup", "a&b: c\r\n\0", "jobs/?jobName=a%26b%3A+c%0D%0A%00&startTime=last30d"),
        ("sup", "..", "jobs/?jobName=..&startTime=last30d"),
        ("sup", "", "jobs/"),
        ("sup", "jobId: 2010", "jobs/?jobId=2010"),
        ("sup", "jobName:a:b", "jobs/?jobName=a%3Ab&startTime=last30d"),
        ("sup", "projectId:phys", "jobs/?project=phys"),
        ("sup", "arrayJobId:5", "jobs/?arrayJobId=5&startTime=last30d"),
        ("sup", "arrayJobId:five", "jobs/?jobName=arrayJobId%3Afive&startTime=last30d"),
        ("sup", "username:gre", "users/?user=gre&startTime=last30d"),
        ("greta", "username:gre", "jobs/?user=gre&startTime=last30d"),
        ("sup", "name:Greta H", "users/?user=greta&userMatch=eq&startTime=last30d"),
        ("sup", "name:nobody", "users/?user=nobody&userMatch=eq&startTime=last30d"),
        ("greta", "name:Grit", "jobs/?jobName=name%3AGrit&startTime=last30d"),
    ],
)
async def test_a_search_leads_to_what_it_names_among_what_its_reader_sees(site: People, name: str, text: str, place: str) -> None:
    cookie = await site.sign_in(name, PASSWORD)
    status, _, headers = await page(site, f"/search?searchId={quote(text)}", cookie)
    assert (status, headers["Location"], headers["Cache-Control"]) == (302, f"/tools/monitoring/{place}", "no-store")


async def test_a_search_without_a_session_is_done_after_the_sign_in(site: People) -> None:
    status, _, headers = await page(site, "/search?searchId=a%26b", "")
    assert (status, headers["Location"]) == (302, "/tools/login?redirect=/tools/search%3FsearchId%3Da%2526b")


async def test_a_refused_sign_in_keeps_the_name_and_where_it_should_lead(site: People) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}
    response = await site.login(browser, username='<b>"ulla"', password="wrong", redirect="/tools/config")
    text = await response.text()
    assert (response.status, response.content_type) == (401, "text/html")
    assert "<title>Erlangen &lt;3: sign in</title>" in text
    assert 'name="username" value="&lt;b&gt;&quot;ulla&quot;"' in text
    assert 'value="/tools/config"' in text


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nothing?x=<b>", 404, "There is no such page"),
        ("GET", "/config/roles/", 403, "You may not open this"),
        ("DELETE", "/login", 405, "This address is not a page"),
    ],
)
async def test_people_see_errors_as_pages_and_programs_get_json(site: People, method: str, path: str, status: int, says: str) -> None:
    cookie = await site.sign_in("ulla")
    headers = {"Cookie": f"session={cookie}", "Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    response = await site.client.raw(method, path, auth="", headers=headers)
    text = await response.text()
    assert (response.status, response.content_type) == (status, "text/html")
    assert says in text
    assert '<link rel="stylesheet" href="/tools/assets/index-5e6f.css">' in text
    assert '<a href="/tools/">To the overview</a>' in text
    assert "<b>" not in text
    for other in ({"Accept": "*/*"}, {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}):
        response = await site.client.raw(method, path, auth="", headers=headers | {"Sec-Fetch-Mode": "cors"} | other)
        assert (response.status, response.content_type) != (status, "text/html")
    assert (await site.client.raw("GET", "/api/nothing", auth="", headers=headers)).content_type == "application/json"


async def test_without_its_database_the_site_says_so_and_wall_screens_try_again(site: People, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = await site.sign_in("ulla")

    async def away(*_: object) -> None:
        raise Unavailable("database: connection refused at db.site.internal")

    monkeypatch.setattr(UserStore, "in_session", away)
    for path, refresh in (("/monitoring/jobs/?state=failed&user=a%26b", None), ("/monitoring/dashboard/alex", "15")):
        response = await site.client.raw("GET", path, auth="", headers={"Cookie": f"session={cookie}", "Accept": "text/html"})
        text = await response.text()
        assert (response.status, response.headers.get("Refresh"), response.headers["Retry-After"]) == (503, refresh, "5")
        assert "The site cannot answer at the moment" in text
        assert "site.internal" not in text
        assert f'href="/tools{path.replace("&", "&amp;")}"' in text


async def test_pages_that_were_built_again_are_served_without_a_restart(site: People, built: Path) -> None:
    cookie = await site.sign_in("ulla")
    (built / "assets" / "index-9999.js").write_text("console.log('newer')")
    (built / "index.html").write_text(INDEX.replace("index-1a2b.js", "index-9999.js"))
    try:
        assert "index-9999.js" in (await page(site, "/", cookie))[1]
        assert (await site.client.raw("GET", "/assets/index-9999.js", auth="")).status == 200
        (built / "index.html").write_text("half of a pa")
        assert "index-9999.js" in (await page(site, "/", cookie))[1]
        (built / "index.html").unlink()
        assert "index-9999.js" in (await page(site, "/", cookie))[1]
    finally:
        (built / "index.html").write_text(INDEX)
    assert "index-1a2b.js" in (await page(site, "/", cookie))[1]


async def test_the_descriptions_of_the_api_work_below_a_sub_path(site: People) -> None:
    for path in ("/swagger", "/playground"):
        response = await site.client.raw("GET", path, auth="")
        assert (response.status, urljoin(f"http://site/tools{path}", response.headers["Location"])) == (301, f"http://site/tools{path}/")
    response = await site.client.raw("GET", "/swagger/doc.json", auth="")
    assert (await response.json())["servers"] == [{"url": "/tools"}]
    script = await (await site.client.raw("GET", "/playground/start.js", auth="")).text()
    assert "/query" not in script.replace("../query", "")


async def test_somebody_else_who_signs_in_in_the_same_browser_ends_the_session_before(site: People) -> None:
    ulla = await site.sign_in("ulla")
    await site.login({"Cookie": f"session={ulla}"}, username="ulla", password=PASSWORD)
    assert (await page(site, "/frontend/session/", ulla))[0] == 200
    await site.login({"Cookie": f"session={ulla}"}, username="udo", password="wrong")
    assert (await page(site, "/frontend/session/", ulla))[0] == 200
    await site.login({"Cookie": f"session={ulla}"}, username="udo", password=PASSWORD)
    assert (await page(site, "/frontend/session/", ulla))[0] == 401


async def test_after_a_sign_in_without_a_target_the_home_page_is_that_of_the_base_path(site: People) -> None:
    for target in ("", "https://elsewhere.example/"):
        assert (await site.login(username="tara", password="correct horse", redirect=target)).headers["Location"] == "/tools/"


async def test_files_are_sent_compressed_and_stay_in_caches(site: People) -> None:
    for coding in ("gzip", "identity"):
        response = await site.client.raw("GET", "/assets/index-1a2b.js", auth="", headers={"Accept-Encoding": coding})
        assert (response.status, await response.text()) == (200, SCRIPT)
        assert response.headers.get("Content-Encoding", "identity") == coding
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.content_type in ("text/javascript", "application/javascript")


@pytest.mark.parametrize("name", ["index-1a2b.js.gz", "..%2findex.html", "%2e%2e/index.html", "other.js"])
async def test_no_other_files_are_served(site: People, name: str) -> None:
    assert (await site.client.raw("GET", f"/assets/{name}", auth="")).status == 404


async def test_the_session_can_be_requested_and_is_sent_only_if_it_has_changed(site: People) -> None:
    cookie = await site.sign_in("adm")
    response = await site.client.raw("GET", "/frontend/session/", auth="", headers={"Cookie": f"session={cookie}"})
    assert (response.status, (await response.json())["user"]["allJobs"]) == (200, True)
    tag = {"If-None-Match": response.headers["ETag"]}
    assert (await page(site, "/frontend/session/", cookie, **tag))[:2] == (304, "")
    await site.store.set_site_text("notice", "maintenance on Friday")
    status, text, _ = await page(site, "/frontend/session/", cookie, **tag)
    assert (status, json.loads(text)["notice"]) == (200, "maintenance on Friday")
    assert (await page(site, "/frontend/session/", ""))[0] == 401


async def test_other_pages_keep_their_own_policy(site: People) -> None:
    _, _, headers = await page(site, "/swagger/", "")
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'; object-src 'none'; base-uri 'self'"


async def test_an_installation_without_pages_serves_the_api_and_logs_it(
    sqlite_template: SqliteTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_app, "DIST", tmp_path / "missing")
    async with people(sqlite_template.fresh(tmp_path), tmp_path, pages=True) as bare:
        status, text, _ = await page(bare, "/", await bare.sign_in("ulla"))
        assert (status, "not part of this installation" in text) == (200, True)
        assert (await page(bare, "/monitoring/jobs/", ""))[0] == 404


async def test_an_answer_without_a_body_has_none_even_where_the_client_accepts_compression(site: People) -> None:
    """Bytes after it would be taken for the beginning of the next answer on the connection."""
    host, port = site.client.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        tag = b"none"
        for method, status in (("GET", b"200"), ("GET", b"304"), ("HEAD", b"200"), ("GET", b"304")):
            writer.write(
                f"{method} /assets/index-5e6f.css HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n".encode()
                + (b"If-None-Match: " + tag + b"\r\n" if status == b"304" else b"")
                + b"\r\n"
            )
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            assert head.startswith(b"HTTP/1.1 " + status), head
            if method == "GET" and status == b"200":
                assert await asyncio.wait_for(reader.readexactly(len("body {}")), 20) == b"body {}"
                tag = re.search(rb"(?i)etag: ([^\r]+)", head)[1]  # type: ignore[index]
    finally:
        writer.close()
