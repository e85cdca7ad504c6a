"""A takeover equals an import of the archive with the running jobs, also if it is killed and repeated, or runs beside a writer."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.archive import JobPath
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, clean_environment, jobtide
from tests.support.builders import START_TIME, start_line
from tests.support.cc_backend import FormerSite
from tests.support.databases import query, settings_of
from tests.support.processes import REPOSITORY, ServiceRunner, environment
from tests.support.programs import end, run_blocking
from tests.support.waiting import until_blocking

pytestmark = pytest.mark.timeout(300)  # several sites and runs each

# Of these the first depend on the sequences of the log, the others have no place in an archive.
NOT_COMPARED = {"id", "changed_seq", "stop_seq", "former_id", "former_state"}

RUNNING: dict[str, Any] = {"startTime": START_TIME + 10**7, "metaData": {"jobName": "still running"}, "numHwthreads": 72}


@pytest.fixture
def there(tmp_path: Path) -> Iterator[FormerSite]:
    site = FormerSite(tmp_path / "cc-backend")
    site.cluster("fritz", "alex")
    yield site
    site.stop()


def rows(site: UpProcess, statement: str) -> list[tuple[Any, ...]]:
    return run_blocking(query(settings_of(f"sqlite:///{site.data / 'jobtide.db'}"), statement))


def content(site: UpProcess) -> dict[str, list[tuple[Any, ...]]]:
    """The jobs without what depends on the log, and their tags by name."""
    columns = [row[1] for row in rows(site, "SELECT * FROM pragma_table_info('job')")]
    compared = ", ".join(name for name in columns if name not in NOT_COMPARED)
    tagged = """
        SELECT cluster, job.job_id, start_time, tag_type, tag_name, tag_scope
          FROM job JOIN jobtag ON jobtag.job_id = job.id JOIN tag ON tag.id = tag_id ORDER BY 1, 2, 3, 4, 5, 6"""
    jobs = rows(site, f"SELECT {compared} FROM job ORDER BY cluster, job_id, start_time")
    return {"jobs": jobs, "tags": rows(site, tagged)}


def fill(there: FormerSite, finished: int, running: int = 0) -> None:
    """Finished jobs with entries and tags, such as requeues, arrays and shared nodes, and running ones."""
    ids = []
    there.db.execute("BEGIN")
    for number in range(1, finished + 1):
        name = f'case "{number}" ü'
        id_ = there.job(
            number % (finished - 1) + 1,  # one id has two runs
            start_time=START_TIME + 1000 * number,
            cluster="alex" if number % 7 == 0 else "fritz",
            subcluster="a40" if number % 7 == 0 else "main",
            job_state=("completed", "failed", "timeout")[number % 3],
            shared=("none", "single_user", "multi_user")[number % 3],
            array_job_id=number // 10,
            meta_data={"jobName": name, "jobScript": "#!/bin/sh\n\\srun"},
            monitoring_status=3,
            footprint={"cpu_load_avg": number / 4},
            energy=number / 8,
            energy_footprint={"cpu_power": number / 8},
        )
        ids.append(id_)
    there.tag("quality", "good", *ids[::3])
    there.tag("own", "mine", *ids[::5], scope="alice")
    as_started = {"start_time": RUNNING["startTime"], "meta_data": RUNNING["metaData"], "footprint": "null"}
    for number in range(1, running + 1):
        there.job(90_000 + number, job_state="running", duration=number, monitoring_status=1, **as_started)
    there.db.execute("COMMIT")
    for index, id_ in enumerate(ids):
        tags = [{"type": "quality", "name": "good", "scope": "global"}] * (index % 3 == 0)
        tags += [{"type": "own", "name": "mine", "scope": "alice"}] * (index % 5 == 0)
        figures = {"cpu_load_avg": (index + 1) / 4}, {"cpu_power": (index + 1) / 8}
        there.entry(id_, tags=tags, arrayJobId=(index + 1) // 10, footprint=figures[0], energyFootprint=figures[1], energy=(index + 1) / 8)


def test_a_takeover_equals_the_import_of_the_archive_with_the_running_jobs(new_up: Up, there: FormerSite) -> None:
    """The running ones start at the other site as their adapter reports them."""
    fill(there, 60, running=20)
    one, other = new_up(name="one").start(), new_up(name="other").start()
    one.run("takeover", "run", there.folder)
    other.run("import", there.archive)
    other.publish(*(start_line(90_000 + number, **RUNNING) for number in range(1, 21)))
    until_blocking(lambda: rows(other, "SELECT count(*) FROM job WHERE job_state = 'running'") == [(20,)])
    taken, imported = content(one), content(other)
    assert len(taken["jobs"]) == 80
    assert taken == imported
    for path in sorted((other.data / "archive").rglob("*.json")):
        assert (one.data / "archive" / path.relative_to(other.data / "archive")).read_bytes() == path.read_bytes()
    one.run("rebuild")
    assert content(one) == taken


async def test_a_deployment_over_postgresql_is_equal_to_its_source(
    nats_settings: NatsSettings, postgres_database: DatabaseSettings, service: ServiceRunner, there: FormerSite, tmp_path: Path
) -> None:
    fill(there, 60, running=5)
    there.user("eva", "user")
    there.setting("eva", "jobList_jobsPerPage", 10)
    there.node("f0101", "idle")
    await service.start("jobstore", nats_settings, postgres_database)
    variables = environment([nats_settings, postgres_database, ArchiveSettings(path=tmp_path / "archive")])

    def command(*words: str) -> str:
        done = jobtide("takeover", *words, there.folder, **variables)  # type: ignore[arg-type]  # variables
        assert done.returncode == 0, done
        return done.stdout

    assert "jobs      65 new" in await asyncio.to_thread(command, "run")
    there.untag(4, "good")
    there.change(65, job_state="failed", duration=7)
    there.db.execute("UPDATE hpc_user SET roles = '[\"manager\"]', projects = '[\"bio\"]'")
    assert "jobs      0 new, 2 changed, 63 unchanged" in await asyncio.to_thread(command, "run")
    assert "jobs: 65 equal, 0 missing, 0 different" in await asyncio.to_thread(command, "verify")


def test_a_damaged_entry_is_named_and_copied_when_it_has_been_mended(new_up: Up, there: FormerSite) -> None:
    fill(there, 3)
    site = new_up().start()
    path = JobPath("fritz", 2, START_TIME + 1000)
    file = path.under(there.archive) / "meta.json"
    sound = file.read_bytes()
    file.write_bytes(b"{broken")
    done = site.run("takeover", "run", there.folder)
    assert "2 entries copied, 1 are missing or unreadable" in done.stdout
    assert path.relative in done.stderr
    file.write_bytes(sound)
    assert "1 entries copied, 0 are missing or unreadable" in site.run("takeover", "run", there.folder).stdout
    (path.under(site.data / "archive") / "meta.json").write_bytes(b"{broken")
    done = jobtide("takeover", "verify", there.folder, "--data", site.data)
    assert done.returncode == 1
    assert "copies an unreadable entry again when its folder" in done.stdout
    shutil.rmtree(path.under(site.data / "archive"))
    site.run("takeover", "run", there.folder)
    assert jobtide("takeover", "verify", there.folder, "--data", site.data).returncode == 0


@contextlib.contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """A pipe in its place: whoever reads it waits."""
    aside = file.rename(file.with_name("aside"))
    os.mkfifo(file)
    try:
        yield
    finally:
        aside.replace(file)


def test_a_takeover_that_is_killed_and_repeated_gives_the_same_rows(new_up: Up, there: FormerSite) -> None:
    """It waits at an entry of the second and the third thousand of jobs when it is killed."""
    fill(there, 2500, running=20)
    whole, broken = new_up(name="whole").start(), new_up(name="broken").start()
    whole.run("takeover", "run", there.folder)
    for number, before in ((1500, 1000), (2200, 2000)):
        entry = JobPath("fritz", number + 1, START_TIME + 1000 * number).under(there.archive)
        with unreadable(entry / "meta.json"):
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "takeover", "run", str(there.folder), "--data", str(broken.data)],
                cwd=REPOSITORY,
                env=clean_environment(PYTHONPATH=str(REPOSITORY)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                until_blocking(lambda: rows(broken, "SELECT count(*) FROM job") == [(before,)] or process.poll() is not None, 60)  # noqa: B023
                assert process.poll() is None
            finally:
                end(process, signal.SIGKILL)
        assert rows(broken, "SELECT count(*) FROM job") == [(before,)]
    done = broken.run("takeover", "run", there.folder).stdout
    assert "failed" not in done
    assert content(broken) == content(whole)
    assert rows(broken, "SELECT count(*) FROM rejection") == [(0,)]
    assert jobtide("takeover", "verify", there.folder, "--data", broken.data).returncode == 0


def test_beside_a_writer_nothing_is_missed_that_a_second_run_does_not_bring(new_up: Up, there: FormerSite) -> None:
    fill(there, 1500)
    site = new_up().start()
    stop = threading.Event()
    written = []

    def write() -> None:
        """As cc-backend does: jobs start in the staging table, move to the other one, and end; tags come and go."""
        number = 50_000
        while not stop.is_set() and number < 51_000:
            number += 1
            there.db.execute("BEGIN IMMEDIATE")
            there.job(number, "job_cache", job_state="running", duration=0, start_time=START_TIME + number)
            there.db.execute("COMMIT")
            there.db.execute("BEGIN IMMEDIATE")
            columns = "job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id, duration, walltime"
            columns += ", job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared, monitoring_status"
            there.db.execute(f"INSERT INTO job ({columns}) SELECT {columns} FROM job_cache")
            there.db.execute("DELETE FROM job_cache")
            there.db.execute("COMMIT")
            if number % 2:
                there.db.execute("UPDATE job SET job_state = 'completed', duration = 9 WHERE job_id = ?", [number])
                there.db.execute("INSERT OR IGNORE INTO jobtag (job_id, tag_id) SELECT id, 1 FROM job WHERE job_id = ?", [number])
            written.append(number)

    with contextlib.ExitStack() as stack:
        writer = threading.Thread(target=write)
        stack.callback(writer.join)
        stack.callback(stop.set)
        writer.start()
        until_blocking(lambda: len(written) > 20)
        first = jobtide("takeover", "run", there.folder, "--data", site.data)
        assert first.returncode == 0, first
        seen = len(written)
    assert seen > 20
    assert there.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    site.run("takeover", "run", there.folder)
    done = jobtide("takeover", "verify", there.folder, "--data", site.data)
    assert done.returncode == 0, done.stdout
    assert f"jobs: {1500 + len(written)} equal, 0 missing, 0 different" in done.stdout
