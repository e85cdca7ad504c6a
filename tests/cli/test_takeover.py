"""`jobtide takeover`: a cc-backend's clusters, users, jobs, tags, node states and archive, taken over once and again."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cli.keys import generate, sign_token
from shared.archive.files import FileStore
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, assert_user_mistake, jobtide
from tests.support.builders import START_TIME, stop_line
from tests.support.cc_backend import FormerSite
from tests.support.cc_backend_mysql import MysqlSite
from tests.support.databases import query, settings_of
from tests.support.mariadb import MariaDbServer
from tests.support.programs import free_port, run_blocking
from tests.support.waiting import until_blocking

pytestmark = pytest.mark.timeout(240)  # several commands each

LATER = START_TIME + 86_400


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """A running site. The tests use different job ids and users."""
    site = UpProcess(tmp_path_factory.mktemp("here") / "data")
    try:
        yield site.start()
    finally:
        site.end()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[FormerSite]:
    site = FormerSite(tmp_path / "cc-backend")
    site.cluster("fritz")
    yield site
    site.stop()


def rows(site: UpProcess, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return run_blocking(query(settings_of(f"sqlite:///{site.data / 'jobtide.db'}"), statement, **parameters))


def run(site: UpProcess, source: FormerSite, *options: str) -> str:
    return site.run("takeover", "run", source.folder, *options).stdout


def test_everything_of_a_site_is_taken_over(here: UpProcess, there: FormerSite) -> None:
    done = there.job(101, monitoring_status=3, footprint={"cpu_load_avg": 1.5}, energy=2.5, energy_footprint={"cpu_power": 2.5})
    there.entry(done, statistics={"cpu_load": {"unit": {"base": ""}, "avg": 1.5, "min": 0, "max": 2}}, requestedMemory=64)
    running = there.job(102, job_state="running", duration=4000, monitoring_status=1, hpc_user="jürgen", meta_data={"jobName": 'a "b" ü'})
    there.job(103, table="job_cache", job_state="running", duration=0, monitoring_status=1)
    there.job(104, cluster="gone", subcluster="old", shared="multi_user", array_job_id=100, cluster_partition=None, meta_data="null")
    there.tag("quality", "good", done, running)
    there.tag("admin", "watch", done, scope="admin")
    there.tag("own", "mine", scope="eva")
    there.user("eva", "user", real_name="Eva E.")
    there.user("max", "manager", projects=["bio", "phys"])
    there.user("lara", "user", source=1)
    there.setting("eva", "plotConfiguration_plotsPerRow", 4)
    there.node("f0101", "idle", START_TIME)
    there.node("f0101", "allocated", LATER)
    before = (there.database.read_bytes(), Path(f"{there.database}-wal").read_bytes())

    announced = run(here, there, "--dry-run")
    assert "jobs      4 new, 0 changed" in announced
    assert "archive   1 entries copied, 0 are missing" in announced
    assert "no cluster.json, so no metrics are shown for their jobs: gone" in announced
    assert rows(here, "SELECT count(*) FROM job WHERE job_id BETWEEN 101 AND 109") == [(0,)]
    text = run(here, there)

    assert "jobs      4 new, 0 changed, 0 unchanged" in text
    assert "archive   1 entries copied, 0 are missing" in text
    assert "tags      3 new" in text
    assert "users     3 new" in text
    assert "no cluster.json, so no metrics are shown for their jobs: gone" in text
    assert (there.database.read_bytes(), Path(f"{there.database}-wal").read_bytes()) == before

    jobs = {job["jobId"]: job for job in here.jobs("?items-per-page=100&with-metadata=true")}
    assert {key: jobs[101][key] for key in ("jobState", "duration", "monitoringStatus", "energy", "footprint", "energyFootprint")} == {
        "jobState": "completed",
        "duration": 3600,
        "monitoringStatus": 3,
        "energy": 2.5,
        "footprint": {"cpu_load_avg": 1.5},
        "energyFootprint": {"cpu_power": 2.5},
    }
    assert {(tag["type"], tag["name"], tag["scope"]) for tag in jobs[101]["tags"]} == {
        ("quality", "good", "global"),
        ("admin", "watch", "admin"),
    } - {("admin", "watch", "admin")}  # a program does not see it
    assert jobs[101]["statistics"]["cpu_load"]["max"] == 2
    assert (jobs[102]["jobState"], jobs[102]["user"], jobs[102]["metaData"]["jobName"]) == ("running", "jürgen", 'a "b" ü')
    assert jobs[103]["jobState"] == "running"
    assert (jobs[104]["cluster"], jobs[104]["shared"], jobs[104]["arrayJobId"]) == ("gone", "multi_user", 100)
    former = rows(here, "SELECT job_id, former_id FROM job WHERE job_id BETWEEN 101 AND 109 ORDER BY 1")
    assert former == [(101, done), (102, running), (103, None), (104, 3)]
    assert rows(here, "SELECT tag_type, tag_scope FROM tag WHERE tag_name IN ('good', 'watch', 'mine') ORDER BY 1") == [
        ("admin", "admin"),
        ("own", "eva"),
        ("quality", "global"),
    ]
    users = {name: tuple(rest) for name, *rest in rows(here, "SELECT username, ldap, name, roles, projects, password FROM hpc_user")}
    assert users["eva"][:4] == (0, "Eva E.", '["user"]', "[]")
    assert users["eva"][4].startswith("$2b$")
    assert users["max"][3] == '["bio","phys"]'
    assert (users["lara"][0], users["lara"][4]) == (1, None)
    assert rows(here, "SELECT username, confkey, value FROM configuration") == [("eva", "plotConfiguration_plotsPerRow", "4")]
    assert rows(here, "SELECT hostname, node_state, time_stamp FROM node") == [("f0101", "allocated", LATER)]
    copied = here.data / "archive" / "fritz" / "0" / "101" / str(START_TIME)
    assert (copied / "meta.json").is_file()

    moved = there.folder.parent / "moved"
    FileStore(moved).open()
    shutil.copytree(copied, moved / "fritz" / "0" / "101" / str(START_TIME))
    shutil.rmtree(copied)
    for command in (("takeover", "run", there.folder), ("import", there.archive)):
        repeated = jobtide(*command, "--data", here.data, JOBTIDE_ARCHIVE_RETENTION_TARGET=str(moved))
        assert (repeated.returncode, copied.exists()) == (0, False), repeated


def test_a_second_run_brings_only_what_has_changed(here: UpProcess, there: FormerSite) -> None:
    ended = there.job(111, job_state="running", monitoring_status=1)
    tagged, same = there.job(112, monitoring_status=3), there.job(113)
    there.entry(tagged)
    there.tag("quality", "first", tagged, same)
    there.user("nina", "user")
    there.user("otto", "user")
    there.setting("nina", "jobList_jobsPerPage", 50)
    there.node("f0111", "idle")
    run(here, there)
    assert "jobs      0 new, 0 changed, 3 unchanged" in run(here, there)
    id_ = {job["jobId"]: job["id"] for job in here.jobs("?items-per-page=100")}[112]
    here.send("POST", f"/api/jobs/tag_job/{id_}", json.dumps([{"type": "site", "name": "ours"}]).encode())

    there.change(ended, job_state="failed", duration=77, monitoring_status=3, footprint={"cpu_load_avg": 3})
    there.entry(ended)
    there.untag(tagged, "first")
    there.tag("quality", "second", tagged)
    there.job(114)
    there.db.execute("UPDATE hpc_user SET roles = ? WHERE username = 'nina'", [b'["user","api"]'])
    there.setting("nina", "jobList_jobsPerPage", 10)
    there.db.execute("UPDATE hpc_user SET name = 'Otto O.' WHERE username = 'otto'")
    here.run("user", "role", "otto", "--add", "support")
    here.run("user", "password", "otto", "--password-stdin", text=b"another word\n")
    ours = rows(here, "SELECT password FROM hpc_user WHERE username = 'otto'")
    text = run(here, there)

    assert "jobs      1 new, 2 changed, 1 unchanged" in text
    assert "archive   1 entries copied" in text
    assert "tags      1 new" in text
    assert "users     0 new, 2 changed, 0 unchanged; 1 personal settings" in text
    assert "nodes     0 states" in text
    jobs = {job["jobId"]: job for job in here.jobs("?items-per-page=100")}
    assert (jobs[111]["jobState"], jobs[111]["duration"], jobs[111]["footprint"]) == ("failed", 77, {"cpu_load_avg": 3})
    assert [tag["name"] for tag in jobs[112]["tags"]] == ["ours", "second"]
    assert [tag["name"] for tag in jobs[113]["tags"]] == ["first"]
    assert rows(here, "SELECT roles FROM hpc_user WHERE username IN ('nina', 'otto') ORDER BY username") == [
        ('["user","api"]',),
        ('["user","support"]',),
    ]
    assert rows(here, "SELECT name, password FROM hpc_user WHERE username = 'otto'") == [("Otto O.", *ours[0])]
    assert rows(here, "SELECT value FROM configuration WHERE username = 'nina'") == [("10",)]
    copied = here.data / "archive" / "fritz" / "0" / "112" / str(START_TIME) / "meta.json"
    until_blocking(lambda: [tag["name"] for tag in json.loads(copied.read_text()).get("tags", ())] == ["second", "ours"])


@pytest.mark.parametrize("version", [6, 8, 9, 10, 11])
def test_older_schemas_are_read(here: UpProcess, tmp_path: Path, version: int) -> None:
    there = FormerSite(tmp_path / "old", version)
    there.cluster("fritz")
    first = 200 + 10 * version
    id_ = there.job(first, shared="single_user")
    there.job(first + 1, shared="multi_user", job_state="running")
    if version < 9:
        there.job(first + 2, shared="none", job_state="stopped")
    there.tag("version", f"v{version}", id_)
    there.user(f"user{version}", "user")
    there.stop()
    jobs = 3 if version < 9 else 2
    assert f"jobs      {jobs} new" in run(here, there)
    assert f"jobs      0 new, 0 changed, {jobs} unchanged" in run(here, there)
    found = rows(
        here, "SELECT job_id, shared, former_id, job_state FROM job WHERE job_id BETWEEN :a AND :b ORDER BY 1", a=first, b=first + 9
    )
    older = [(first + 2, "none", 3, "cancelled")] if version < 9 else []
    assert found == [(first, "single_user", 1, "completed"), (first + 1, "multi_user", 2, "running"), *older]
    assert sorted(path.name for path in there.database.parent.iterdir()) == ["job-archive", "job.db"]


@pytest.mark.parametrize("version", [6, 8])
def test_a_database_on_a_mysql_server_is_read(here: UpProcess, tmp_path: Path, mariadb_server: MariaDbServer, version: int) -> None:
    there = FormerSite(tmp_path / "old", version)
    there.cluster("fritz")
    first = 700 + 10 * version
    figures: dict[str, Any] = {"load_avg": 3.5} if version < 8 else {"footprint": {"cpu_load_avg": 3.5}}
    id_ = there.job(first, shared="single_user", meta_data={"jobName": "h\u00e4lfte '\\"}, **figures)
    there.job(first + 1, shared="multi_user", job_state="running")
    there.job(first + 2, shared="none", job_state="stopped")
    there.tag("mysql", f"v{version}", id_)
    there.user(f"mysql{version}", "user", projects=["p1"], real_name="M\u00e4x")
    there.setting(f"mysql{version}", "plot_x", 5)
    server = MysqlSite(there, mariadb_server)
    said = run(here, there)
    assert f"(schema {version})" in said
    assert "jobs      3 new" in said
    assert "jobs      0 new, 0 changed, 3 unchanged" in run(here, there)
    server.execute("UPDATE job SET job_state = 'failed', duration = 77 WHERE job_id = %s", first + 1)
    assert "jobs      0 new, 1 changed, 2 unchanged" in run(here, there)
    here.run("takeover", "verify", there.folder)
    columns = "job_id, shared, job_state, duration, job_name, footprint"
    found = rows(here, f"SELECT {columns} FROM job WHERE job_id BETWEEN :a AND :b ORDER BY 1", a=first, b=first + 9)
    assert [row[:4] for row in found] == [
        (first, "single_user", "completed", 3600),
        (first + 1, "multi_user", "failed", 77),
        (first + 2, "none", "cancelled", 3600),
    ]
    assert found[0][4:] == ("h\u00e4lfte '\\", '{"cpu_load_avg":3.5}')
    assert rows(here, "SELECT name, projects FROM hpc_user WHERE username = :name", name=f"mysql{version}") == [("M\u00e4x", '["p1"]')]
    assert rows(here, "SELECT value FROM configuration WHERE username = :name", name=f"mysql{version}") == [("5",)]


def test_a_mysql_server_is_never_read_with_less_encryption_than_asked_for(
    here: UpProcess, tmp_path: Path, mariadb_server: MariaDbServer
) -> None:
    there = FormerSite(tmp_path / "encrypted", 8)
    there.cluster("fritz")
    MysqlSite(there, mariadb_server)  # this server has no certificate
    file = there.folder / "config.json"
    plain = json.loads(file.read_text())
    for parameters, said, status in (
        ("?parseTime=true&tls=false", "jobs      0 new", 0),
        ("?tls=true", "cannot read database", 2),
        ("?tls=skip-verify", "cannot read database", 2),
        ("?tls=preferred", "tls=preferred is not supported", 2),
    ):
        file.write_text(json.dumps(plain | {"db": plain["db"] + parameters}))
        done = jobtide("takeover", "run", there.folder, "--data", here.data)
        assert said in done.stdout + done.stderr
        assert done.returncode == status


def test_a_mysql_server_that_does_not_answer_is_named_without_the_password(here: UpProcess, tmp_path: Path) -> None:
    there = FormerSite(tmp_path / "down", 8)
    config = {"db-driver": "mysql", "db": f"cc:geheim@tcp(127.0.0.1:{free_port()})/ccdb"}
    (there.stop().folder / "config.json").write_text(json.dumps(config))
    done = jobtide("takeover", "run", there.folder, "--data", here.data)
    assert done.returncode != 0
    assert "database ccdb on 127.0.0.1" in done.stderr
    assert "geheim" not in done.stdout + done.stderr


def test_rows_that_cannot_be_used_are_named_and_cost_nothing_else(here: UpProcess, there: FormerSite) -> None:
    there.job(401, resources="[]")
    there.job(402, meta_data="{broken")
    there.job(403)
    missing = there.job(404, monitoring_status=3)
    there.user("bad\tname", "user")
    done = jobtide("takeover", "run", there.folder, "--data", here.data)
    assert done.returncode == 1
    assert "jobs      2 new" in done.stdout
    assert "fritz job 401" in done.stderr
    assert "resources" in done.stderr
    assert "fritz job 402" in done.stderr
    assert "meta_data" in done.stderr
    assert f"no archive entry: fritz job 404 started at {START_TIME} (row {missing} of job)" in done.stderr
    assert "bad\\tname" in done.stderr
    assert "3 rows could not be taken over" in done.stderr
    assert [row[0] for row in rows(here, "SELECT job_id FROM job WHERE job_id BETWEEN 401 AND 409 ORDER BY 1")] == [403, 404]


def test_links_of_the_former_site_lead_to_its_jobs(new_up: Up, there: FormerSite) -> None:
    first = there.job(501)
    second = there.job(502, start_time=LATER)
    keys = generate()  # of the cc-backend
    site = new_up().start(JOBTIDE_NATS_FIRST_JOB_ID="1000", JWT_PUBLIC_KEY=keys.public)
    done = jobtide("takeover", "run", there.folder, "--data", site.data, JOBTIDE_NATS_FIRST_JOB_ID="1000")
    assert f"ids up to {second} lead to the jobs that had them there" in done.stdout
    ids = {job["jobId"]: job["id"] for job in site.jobs()}
    assert min(ids.values()) >= 1000
    for id_, job_id in ((first, 501), (second, 502), (ids[501], 501)):
        status, found = site.get(f"/api/jobs/{id_}")
        assert (status, found["Meta"]["jobId"], found["Meta"]["id"]) == (200, job_id, ids[job_id])
    assert site.get("/api/jobs/999")[0] == 404
    assert site.get(f"/api/jobs/{first}", token=sign_token(keys.private, "feeder", ["api"], 3600))[0] == 200
    query = quote(f'{{ job(id: "{second}") {{ id jobId }} }}')
    assert site.get(f"/query?query={query}")[1]["data"]["job"] == {"id": ids[502], "jobId": 502}
    site.run("rebuild")
    assert site.get(f"/api/jobs/{first}")[0] == 200


def test_verify_says_in_words_and_json_what_is_equal_and_names_every_difference(new_up: Up, there: FormerSite) -> None:
    first = there.job(601, monitoring_status=3, energy=1.5, duration=7200)
    there.entry(first)
    there.job(602, cluster="gone", monitoring_status=3)
    third = there.job(603, duration=3600)
    there.job(604, job_state="running", duration=5)
    there.tag("quality", "good", first)
    there.user("eva", "user", real_name="Eva E.")
    there.user("max", "user")
    there.setting("eva", "jobList_jobsPerPage", 10)
    there.node("f0101", "idle")
    site = new_up().start()
    run(site, there)
    done = jobtide("takeover", "verify", there.folder, "--data", site.data)
    assert done.returncode == 0, done
    assert "fritz: 3 jobs, 216.0 core hours of finished ones, 1.50 kWh there; the same here" in done.stdout
    assert "jobs: 4 equal, 0 missing, 0 different" in done.stdout
    assert "archive: 2 entries, 1 of them read" in done.stdout
    assert "1 entries are missing in the source as well" in done.stdout
    assert done.stdout.endswith("everything is here\n")

    there.job(605)
    there.change(third, duration=3700)
    there.user("new", "user")
    ids = {job["jobId"]: job["id"] for job in site.jobs()}
    site.delete(f"/api/jobs/delete_job/{ids[602]}")
    tags = json.dumps([{"type": "quality", "name": "good"}]).encode()
    site.send("DELETE", f"/api/jobs/tag_job/{ids[601]}", tags)
    site.send("PATCH", f"/api/jobs/edit_meta/{ids[601]}", json.dumps({"key": "jobName", "value": "ours"}).encode())
    site.run("user", "role", "eva", "--add", "support")
    site.run("user", "remove", "max")
    site.publish(stop_line(604, "fritz"))
    until_blocking(lambda: rows(site, "SELECT job_state FROM job WHERE job_id = 604") == [("completed",)])
    assert rows(site, "SELECT job_name FROM job WHERE job_id = 601") == [("ours",)]
    entry = site.data / "archive" / "fritz" / "0" / "601" / str(START_TIME)
    (entry / "data.json").write_text("{")
    done = jobtide("takeover", "verify", there.folder, "--data", site.data)
    assert done.returncode == 1
    assert "jobs: 1 equal, 1 missing, 1 different" in done.stdout
    assert "jobs: 1 have changed there since they were taken over" in done.stdout
    assert f"fritz job 605 started at {START_TIME}, id 5 there: is missing here" in done.stdout
    assert "fritz job 603" in done.stdout
    assert "duration is 3700 there and 3600 here (changed there since the last run)" in done.stdout
    assert "jobState is 'running' there and 'completed' here" in done.stdout
    assert "1 have tags or metadata that were edited here" in done.stdout
    assert "no differences: 2 users were changed or removed here" in done.stdout
    assert "users: 3, 1 differences\n  new is missing here" in done.stdout
    assert "unreadable: fritz/0/601" in done.stdout
    assert "NOT everything is here" in done.stdout
    report = json.loads(jobtide("takeover", "verify", there.folder, "--data", site.data, "--json").stdout)
    assert report["isEqual"] is False
    assert report["jobs"] == {
        "equal": 1,
        "missing": 1,
        "stale": 1,
        "different": 1,
        "unusable": 0,
        "deleted": 1,
        "edited": 1,
        "onlyHere": 0,
    }
    assert {(one["job"].split()[2], one["field"]) for one in report["differences"]} == {
        ("603", "duration"),
        ("604", "duration"),
        ("604", "jobState"),
        ("605", ""),
    }
    assert report["usersEdited"] == 2
    assert next(cell for cell in report["sums"] if cell["state"] == "running")["there"]["jobs"] == 1


def test_a_tag_that_was_removed_here_altogether_stays_away(here: UpProcess, there: FormerSite) -> None:
    first, second = there.job(701), there.job(702)
    there.tag("gone", "gone", first, second)
    there.tag("gone", "stays", first)
    run(here, there)
    here.send("DELETE", "/api/tags/", json.dumps([{"type": "gone", "name": "gone", "scope": "global"}]).encode())
    left = "SELECT job.job_id, tag_name FROM jobtag JOIN tag ON tag.id = tag_id JOIN job ON job.id = jobtag.job_id WHERE tag_type = 'gone'"
    until_blocking(lambda: rows(here, left) == [(701, "stays")])
    there.change(second, duration=3700)
    text = run(here, there)
    assert "jobs      0 new, 1 changed, 1 unchanged" in text
    assert "tags      0 new" in text
    assert rows(here, left) == [(701, "stays")]
    assert rows(here, "SELECT tag_name FROM tag WHERE tag_type = 'gone'") == [("stays",)]
    done = here.run("takeover", "verify", there.folder)
    assert "no differences: 1 tags were removed here" in done.stdout


def test_states_of_nodes_are_taken_over_with_their_history(here: UpProcess, there: FormerSite) -> None:
    week, day = 7 * 86_400, 86_400
    there.node("n1", "down", LATER - week - day)  # older than the site keeps, but the newest of this node
    there.node("n2", "idle", LATER - week - day)
    for minute in range(0, 180, 30):  # an unchanged node gets a row an hour
        there.node("n2", "allocated", LATER - day + 60 * minute)
    there.node("n2", "idle", LATER)
    there.node("n3", "mixed", LATER, cluster="other")

    def history() -> list[tuple[object, ...]]:
        return rows(
            here,
            """SELECT n.cluster, n.hostname, s.node_state, s.time_stamp FROM node_state s JOIN node n ON n.id = s.node_id
                WHERE n.hostname IN ('n1', 'n2', 'n3') ORDER BY 1, 2, 4""",
        )

    assert "nodes     6 states of 3 nodes" in run(here, there, "--dry-run")
    assert history() == []
    assert "nodes     6 states of 3 nodes, 0 nodes have no newer ones" in run(here, there)
    expected = [
        ("fritz", "n1", "down", LATER - week - day),
        *(("fritz", "n2", "allocated", LATER - day + 3600 * hour) for hour in (0, 1, 2)),
        ("fritz", "n2", "idle", LATER),
        ("other", "n3", "mixed", LATER),
    ]
    until_blocking(lambda: len(history()) >= len(expected))
    assert history() == expected
    there.node("n2", "down", LATER + 60)
    assert "fritz/n2 is down since" in jobtide("takeover", "verify", there.folder, "--data", here.data).stdout
    assert "nodes     1 states of 1 nodes, 2 nodes have no newer ones" in run(here, there)
    until_blocking(lambda: len(history()) > len(expected))
    assert set(history()) == {*expected, ("fritz", "n2", "down", LATER + 60)}
    assert here.run("takeover", "verify", there.folder, "--sample", "0").returncode == 0


def test_the_health_of_nodes_is_taken_over_with_its_history(here: UpProcess, there: FormerSite) -> None:
    findings = json.dumps({"missing": ["mem_bw"], "degraded": ["cpu_load"]})
    there.node("h1", "idle", LATER, health="full", findings='{"missing":[],"degraded":[]}')
    there.node("h1", "idle", LATER + 60, health="full")
    there.node("h1", "idle", LATER + 120, health="partial", findings=findings)
    there.node("h2", "idle", LATER, health="failed")
    there.node("h3", "idle", LATER, health="odd", findings="{")
    assert "nodes     4 states of 3 nodes" in run(here, there)
    found = "SELECT hostname, health_state, health_data FROM node WHERE hostname LIKE 'h_' ORDER BY 1"
    until_blocking(lambda: [row[1] for row in rows(here, found)] == ["partial", "failed", "failed"])
    assert json.loads(str(rows(here, found)[0][2])) == json.loads(findings)
    history = "SELECT n.hostname, h.time_stamp, h.health_state FROM node_health h JOIN node n ON n.id = h.node_id"
    assert rows(here, f"{history} WHERE hostname LIKE 'h_' ORDER BY 1, 2") == [
        ("h1", LATER, "full"),
        ("h1", LATER + 120, "partial"),
        ("h2", LATER, "failed"),
        ("h3", LATER, "failed"),
    ]
    assert "nodes     0 states of 0 nodes, 3 nodes" in run(here, there)


def test_a_dry_run_needs_no_site_and_says_that_it_compares_with_nothing(there: FormerSite, tmp_path: Path) -> None:
    id_ = there.job(711, monitoring_status=3)
    there.entry(id_)
    there.tag("quality", "good", id_)
    there.user("eva", "user")
    there.node("f0101", "idle")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for option in (("--data", str(folder / "new")), ()):
        done = jobtide("takeover", "run", there.folder, "--dry-run", *option, cwd=folder)
        assert done.returncode == 0, done
        assert "compared with nothing, because there is no site to compare with" in done.stdout
        assert "jobs      1 new" in done.stdout
        assert "archive   1 entries copied, 0 are missing" in done.stdout
        assert "tags      1 new" in done.stdout
        assert "users     1 new" in done.stdout
        assert "nodes     1 states of 1 nodes" in done.stdout
    for command in ("run", "verify"):
        assert_user_mistake(jobtide("takeover", command, there.folder, cwd=folder), "there is no site", "--data")
    assert list(folder.iterdir()) == []


def test_what_is_not_a_cc_backend_is_a_user_error(here: UpProcess, tmp_path: Path) -> None:
    for text, expected in (("{}", "configuration"), ("[", "not JSON"), (json.dumps({"main": {}}), "there is no database")):
        (tmp_path / "config.json").write_text(text)
        done = jobtide("takeover", "run", tmp_path, "--data", here.data)
        assert (done.returncode, expected in done.stderr) == (2, True), done.stderr
    newer = FormerSite(tmp_path / "newer")
    newer.db.execute("UPDATE schema_migrations SET version = 12")
    done = jobtide("takeover", "run", newer.folder, "--data", here.data)
    newer.stop()
    assert (done.returncode, "schema 12" in done.stderr) == (2, True), done.stderr
