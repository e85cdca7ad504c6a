"""A takeover of files that cc-backend 1.5.4 wrote itself, beside what it answered about them. Jobs and users in them are invented.

The archive is taken over from a folder into an SQLite file.
"""

import json
import tarfile
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import urlencode

import pytest

from cli.keys import read_keys, sign_token
from shared.archive import JobPath
from shared.archive.files import FileStore
from shared.archive.sqlite import SqliteStore
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, jobtide
from tests.support.processes import REPOSITORY

FILES = Path(__file__).parents[1] / "data" / "cc-backend-site.tar.xz"
PASSWORD = "held-out-1"
QUERY = "{ jobs { count } jobsStatistics(groupBy: CLUSTER) { id totalJobs runningJobs } tags { type name scope } job(id: 243) { jobId } }"


def answer(site: UpProcess, user: str, query: str) -> Any:
    """Sign in with the password of the former site, and ask."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    form = urlencode({"username": user, "password": PASSWORD}).encode()
    opener.open(f"{site.run_json['http']}/login", form, timeout=60).close()
    with opener.open(f"{site.run_json['http']}/query?{urlencode({'query': query})}", timeout=60) as response:
        return json.load(response)["data"]


def by_name(items: list[dict[str, Any]], *keys: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(item[key] for key in keys) for item in items)


@pytest.mark.timeout(240)
def test_the_site_answers_about_the_same_jobs_tags_and_users(new_up: Up, tmp_path: Path) -> None:
    with tarfile.open(FILES) as archive:
        archive.extractall(tmp_path, filter="data")
    there = tmp_path / "cc-backend-site"
    facts = json.loads((there / "facts.json").read_text())
    files = {path: path.read_bytes() for path in there.rglob("*") if path.is_file()}
    copied = SqliteStore(tmp_path / "archive.db")
    variables = {"JOBTIDE_NATS_FIRST_JOB_ID": "1000", "JOBTIDE_ARCHIVE_URL": copied.address}
    site = new_up().start(**variables)

    def takeover(command: str, *options: str) -> CompletedProcess[str]:
        return jobtide("takeover", command, there, "--data", site.data, *options, text=b"", cwd=REPOSITORY, **variables)

    for expected in ("243 new, 0 changed, 0 unchanged", "0 new, 0 changed, 243 unchanged"):
        done = takeover("run")
        assert done.returncode == 0, done
        assert f"jobs      {expected}" in done.stdout
    done = takeover("verify", "--sample", "1000")
    assert done.returncode == 0, done.stdout
    assert "archive: 203 entries, 201 of them read" in done.stdout
    assert done.stdout.endswith("everything is here\n")

    said, found = facts["answers"]["data"], answer(site, "ada", QUERY)
    assert found["jobs"]["count"] == said["jobs"]["count"]
    figures = ("id", "totalJobs", "runningJobs")
    assert by_name(found["jobsStatistics"], *figures) == by_name(said["jobsStatistics"], *figures)
    assert by_name(found["tags"], "type", "name", "scope") == by_name(said["tags"], "type", "name", "scope")
    assert found["job"]["jobId"] == site.get("/api/jobs/243")[1]["Meta"]["jobId"]
    assert answer(site, "uwe", "{ jobs { count } }")["jobs"]["count"] < said["jobs"]["count"], "people see their own jobs"
    token = sign_token(read_keys(site.data / "keys.json").private, "ada", ["admin", "api"], 3600)
    users = site.get("/api/users/?not-just-user=false", token=token)[1]
    accounts = [{**user, "projects": [name for name in user["projects"] if name]} for user in facts["users"]]
    assert by_name(users, "username", "name", "email", "roles", "projects") == by_name(
        accounts, "username", "name", "email", "roles", "projects"
    )
    entries = FileStore(there / "var" / "job-archive")
    paths = {path for path in entries.paths() if isinstance(path, JobPath)}
    assert set(copied.paths()) == paths
    assert all(copied.entry(path) == entries.entry(path) for path in paths)
    copied.close()
    assert {path: path.read_bytes() for path in there.rglob("*") if path.is_file()} == files, "nothing was written there"
