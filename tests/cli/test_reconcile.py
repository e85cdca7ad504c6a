"""`jobtide reconcile`: the site beside the scheduler's accounting, made here in the forms of sacct."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cli.reconciling.accounting import Run, Unusable, read_accounting
from cli.reconciling.comparison import KnownJob, differences
from cli.reconciling.hostlists import hosts_of
from shared.domain.values import JobState
from shared.errors import UserError
from tests.cli.conftest import Up
from tests.cli.sites import assert_user_mistake, jobtide
from tests.support.builders import START_TIME, start_line, stop_line
from tests.support.waiting import until_blocking

HEADER = "JobID|JobIDRaw|Cluster|User|Account|Partition|JobName|State|Submit|Start|End|TimelimitRaw|NNodes|NodeList"


def line(raw: int, state: str, start: int | str, end: int | str = "Unknown", *, shown: str = "", nodes: str = "f0101", **more: Any) -> str:
    values = {"user": "alice", "cluster": "fritz", "count": len(hosts_of(nodes)), **more}
    return (
        f"{shown or raw}|{raw}|{values['cluster']}|{values['user']}|physics|main|sim|{state}|{START_TIME - 60}|{start}|{end}|1440|"
        f"{values['count']}|{nodes}"
    )


def read(*lines: str, cluster: str | None = None, zone: str | None = None) -> list[Run | Unusable]:
    text = "\n".join([HEADER, *lines]) + "\n"
    return list(read_accounting(text.encode(), cluster, ZoneInfo(zone) if zone else None))


def runs(*lines: str) -> list[Run]:
    found = [one for one in read(*lines) if isinstance(one, Run)]
    assert len(found) == len(read(*lines)), read(*lines)
    return found


# node lists


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", []),
        ("f0101", ["f0101"]),
        ("f[0101-0103,0110],g1", ["f0101", "f0102", "f0103", "f0110", "g1"]),
        ("r[1-2]n[08-09]x", ["r1n08x", "r1n09x", "r2n08x", "r2n09x"]),
        ("a[9-11]", ["a9", "a10", "a11"]),
    ],
)
def test_node_lists_of_slurm_are_expanded(text: str, hosts: list[str]) -> None:
    assert hosts_of(text) == hosts


@pytest.mark.parametrize("text", ["a[1-2", "a]1[", "a[x]", "a[1-]", "a[0-999999999]"])
def test_a_node_list_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        hosts_of(text)


# reading


def test_fields_of_a_line_are_read() -> None:
    (run,) = runs(line(7, "COMPLETED", 1_700_000_000, 1_700_003_600, nodes="f[0101-0102]"))
    assert (run.cluster, run.job_id, run.start, run.end, run.state) == ("fritz", 7, 1_700_000_000, 1_700_003_600, JobState.COMPLETED)
    assert (run.user, run.account, run.partition, run.name) == ("alice", "physics", "main", "sim")
    assert (run.hosts, run.num_nodes, run.walltime_s, run.submit) == (("f0101", "f0102"), 2, 86_400, START_TIME - 60)


def test_steps_and_jobs_that_never_started_are_left_out() -> None:
    assert read(line(7, "COMPLETED", 5, 9, shown="7.batch"), line(8, "PENDING", "Unknown"), line(9, "CANCELLED by 1000", "None", 9)) == []


def test_array_tasks_and_parts_of_heterogeneous_jobs_have_ids_of_their_own() -> None:
    found = runs(
        line(21, "COMPLETED", 5, 9, shown="20_1"),
        line(22, "FAILED", 5, 9, shown="20_2"),
        line(30, "COMPLETED", 5, 9, shown="30+0"),
        line(31, "COMPLETED", 5, 9, shown="30+1"),
    )
    assert [(run.job_id, run.array_job_id) for run in found] == [(21, 20), (22, 20), (30, 0), (31, 0)]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("CANCELLED by 1000", JobState.CANCELLED),
        ("REQUEUED", JobState.PREEMPTED),
        ("OUT_OF_ME+", JobState.OUT_OF_MEMORY),
        ("NODE_FAIL", JobState.NODE_FAIL),
        ("SOMETHING_NEW", JobState.FAILED),
    ],
)
def test_states_are_those_that_a_stop_would_have(word: str, state: JobState) -> None:
    (run,) = runs(line(7, word, 5, 9))
    assert run.state == state


def test_times_may_be_local_or_seconds() -> None:
    (local,) = read(line(7, "COMPLETED", "2026-01-01T13:00:00", "2026-07-01T12:00:00"), zone="Europe/Berlin")
    assert isinstance(local, Run)
    assert (local.start, local.end) == (1_767_268_800, 1_782_900_000)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("7|7", "2 fields instead of 14"),
        (line(7, "COMPLETED", "yesterday", 9), "yesterday"),
        (line(7, "COMPLETED", 5), "'COMPLETED' without an end"),
        (line(0, "COMPLETED", 5, 9), "the job id is '0'"),
        (line(7, "COMPLETED", 5, 9, cluster=""), "no cluster"),
        (line(7, "COMPLETED", 5, 9).replace("f0101", "f[1"), "brackets"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_others_are_read(text: str, why: str) -> None:
    bad, good = read(text, line(8, "RUNNING", 5))
    assert isinstance(bad, Unusable)
    assert (bad.line, why in bad.why) == (2, True), bad
    assert isinstance(good, Run)
    assert good.end is None


def test_json_of_old_and_new_versions_is_read() -> None:
    new = {
        "job_id": 7,
        "cluster": "fritz",
        "user": "alice",
        "account": "physics",
        "partition": "main",
        "name": "sim",
        "nodes": "f[0101-0102]",
        "allocation_nodes": 2,
        "array": {"job_id": 5, "task_id": {"set": True, "number": 2}},
        "state": {"current": ["CANCELLED"], "reason": "None"},
        "time": {"start": 5, "end": 9, "submission": 4, "limit": {"set": True, "infinite": False, "number": 60}},
    }
    old = new | {"job_id": 8, "state": {"current": "RUNNING"}, "time": {"start": 5, "end": 0, "submission": 4, "limit": 60}, "array": {}}
    pending = new | {"time": {"start": 0, "end": 0}}
    found = list(read_accounting(json.dumps({"jobs": [new, old, pending, {"job_id": 9}]}).encode(), None, None))
    first, second, bad = found
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert (first.job_id, first.state, first.end, first.walltime_s, first.array_job_id) == (7, JobState.CANCELLED, 9, 3600, 5)
    assert (second.job_id, second.end, second.walltime_s, second.hosts) == (8, None, 3600, ("f0101", "f0102"))
    assert isinstance(bad, Unusable)
    assert bad.line == 4


@pytest.mark.parametrize("content", [b"", b"JobID|State\n", b"State|Start|End\n", b"{}", b"{", b'{"jobs":{}}'])
def test_other_content_is_a_mistake(content: bytes) -> None:
    with pytest.raises(UserError):
        list(read_accounting(content, None, None))


def as_json(job_id: int, state: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    """A job as ``sacct --json`` shows it."""
    return {
        "job_id": job_id,
        "cluster": "fritz",
        "user": "alice",
        "account": "physics",
        "partition": "main",
        "name": "sim",
        "nodes": "f0101",
        "allocation_nodes": 1,
        "state": {"current": [state]},
        "time": {"start": start, "end": end, "submission": start - 60, "limit": {"set": True, "infinite": False, "number": 1440}},
        **more,
    }


# comparing


def known(job_id: int, start: int, end: int | None = None, state: str = "completed", *, id_: int = 1) -> KnownJob:
    return KnownJob(id_, "fritz", job_id, start, end, JobState("running" if end is None else state))


def kinds(lines: list[str], jobs: list[KnownJob]) -> list[tuple[str, int, int]]:
    return [(one.kind, one.run.job_id, one.run.start) for one in differences(runs(*lines), jobs)]


def test_every_kind_of_difference_is_found() -> None:
    lines = [
        line(1, "COMPLETED", 1000, 2000),
        line(2, "COMPLETED", 1000, 2000),
        line(3, "TIMEOUT", 1000, 2000),
        line(4, "RUNNING", 1000),
        line(5, "COMPLETED", 1000, 2000),
        line(6, "RUNNING", 1000),
    ]
    jobs = [known(2, 1000), known(3, 1000, 2000), known(4, 1000, 1500), known(5, 1003, 2001), known(6, 1000), known(7, 1000)]
    assert kinds(lines, jobs) == [("missing", 1, 1000), ("ended", 2, 1000), ("state", 3, 1000), ("running", 4, 1000)]


def test_runs_of_a_requeued_job_are_compared_one_by_one() -> None:
    lines = [line(1, "REQUEUED", 1000, 2000), line(1, "NODE_FAIL", 2200, 3000), line(1, "COMPLETED", 3200, 4000)]
    jobs = [known(1, 1000, 2000, "preempted"), known(1, 3200)]
    assert kinds(lines, jobs) == [("missing", 1, 2200), ("ended", 1, 3200)]


def test_the_same_id_on_another_cluster_is_another_job() -> None:
    assert kinds([line(1, "COMPLETED", 1000, 2000, cluster="alex")], [known(1, 1000, 2000)]) == [("missing", 1, 1000)]


def test_a_run_that_was_deleted_here_is_not_missing_and_a_job_that_is_here_goes_first() -> None:
    lines = [line(1, "COMPLETED", 1000, 2000), line(2, "COMPLETED", 1000, 2000), line(3, "COMPLETED", 9000, 9900)]
    gone = [replace(known(job_id, 1000, 2000), is_deleted=True) for job_id in (1, 2, 3)]
    assert kinds(lines, [*gone, known(2, 1030, 2000)]) == [("deleted", 1, 1000), ("missing", 3, 9000)]


# as a command


@pytest.mark.timeout(180)
def test_what_is_missing_is_published_once_and_marked(new_up: Up, tmp_path: Path) -> None:
    site = new_up().start()
    site.add_fritz()
    later = START_TIME + 10_000
    ended = [start_line(job_id, "fritz") + stop_line(job_id, "fritz", startTime=START_TIME) for job_id in (2, 4, 5)]
    site.publish(b"".join([start_line(1, "fritz"), *ended, start_line(3, "fritz")]))
    until_blocking(lambda: sorted(job["jobState"] for job in site.jobs()) == ["completed"] * 3 + ["running"] * 2, 30)
    site.delete(f"/api/jobs/delete_job/{next(job['id'] for job in site.jobs() if job['jobId'] == 5)}")
    until_blocking(lambda: len(site.jobs()) == 4, 30)
    file = tmp_path / "sacct.txt"
    file.write_text(
        "\n".join(
            [
                HEADER,
                line(1, "TIMEOUT", START_TIME, START_TIME + 500),
                line(2, "FAILED", START_TIME, START_TIME + 3600),
                line(3, "REQUEUED", START_TIME, START_TIME + 100),
                line(3, "COMPLETED", later, later + 100),
                line(4, "COMPLETED", START_TIME, START_TIME + 3600),
                line(4, "COMPLETED", START_TIME + 1000, START_TIME + 2000),  # lies within the other run
                line(5, "COMPLETED", START_TIME, START_TIME + 3600),
                line(11, "COMPLETED", START_TIME, START_TIME + 50, shown="10_1", nodes="f[0101-0102]"),
                line(21, "RUNNING", START_TIME, shown="20+1"),
                line(31, "COMPLETED", START_TIME, START_TIME + 50, nodes="unknown1"),
            ]
        )
    )

    def states() -> list[tuple[int, str]]:
        return [(job["jobId"], job["jobState"]) for job in site.jobs()]

    before = states()
    done = jobtide("reconcile", file, "--data", site.data, "--json")
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    assert sorted((one["kind"], one["jobId"]) for one in shown["differences"]) == [
        ("ended", 1),
        ("ended", 3),
        ("missing", 3),
        ("missing", 4),
        ("missing", 11),
        ("missing", 21),
        ("missing", 31),
        ("state", 2),
    ]
    assert states() == before, "nothing is changed without --apply"
    done = jobtide("reconcile", file, "--apply", "--data", site.data)
    assert done.returncode == 1
    counted = "10 runs in the accounting: 5 missing, 2 ended, 1 state, 0 running; 1 were deleted here; 5 applied\n"
    assert done.stdout.endswith(counted)
    assert done.stdout.count(" (applied)\n") == 5
    assert "line 11: " in done.stderr
    assert f"published without effect, see `jobtide rejections`: missing  fritz 4 started {START_TIME + 1000}" in done.stderr
    assert "3 differences remain" in done.stderr
    jobs = {(job["jobId"], job["startTime"]): job for job in site.jobs("?items-per-page=50")}
    assert {key: job["jobState"] for key, job in jobs.items()} == {
        (1, START_TIME): "timeout",
        (2, START_TIME): "completed",
        (3, START_TIME): "preempted",
        (3, later): "completed",
        (4, START_TIME): "completed",
        (11, START_TIME): "completed",
        (21, START_TIME): "running",
    }
    assert jobs[1, START_TIME]["duration"] == 500
    assert (jobs[11, START_TIME]["arrayJobId"], jobs[11, START_TIME]["numNodes"]) == (10, 2)
    marks = [site.get(f"/api/jobs/{jobs[key]['id']}")[1]["Meta"]["metaData"]["reconciled"] for key in ((1, START_TIME), (3, later))]
    assert [mark.split(" ", 2)[0] for mark in marks] == ["stop", "start"]
    again = jobtide("reconcile", file, "--apply", "--data", site.data, "--json")
    left = json.loads(again.stdout)
    assert sorted((one["kind"], one["jobId"]) for one in left["differences"]) == [("missing", 4), ("missing", 31), ("state", 2)]
    assert (left["applied"], left["remaining"], left["deleted"]) == (0, 3, 1)
    assert_user_mistake(jobtide("reconcile", file, "--timezone", "Nowhere/City", "--data", site.data), "--timezone")

    # As JSON: tasks of an array, the parts of a heterogeneous job, and runs of a requeued one of which the site saw only the first start.
    site.publish(start_line(50, "fritz"))
    until_blocking(lambda: (50, "running") in states(), 30)
    file.write_text(
        json.dumps(
            {
                "jobs": [
                    as_json(41, "COMPLETED", START_TIME, START_TIME + 60, array={"job_id": 40, "task_id": {"set": True, "number": 1}}),
                    as_json(42, "FAILED", START_TIME, START_TIME + 70, array={"job_id": 40, "task_id": {"set": True, "number": 2}}),
                    as_json(45, "COMPLETED", START_TIME, START_TIME + 80, het={"job_id": 45, "job_offset": {"set": True, "number": 0}}),
                    as_json(46, "COMPLETED", START_TIME, START_TIME + 80, het={"job_id": 45, "job_offset": {"set": True, "number": 1}}),
                    as_json(50, "REQUEUED", START_TIME, START_TIME + 100),
                    as_json(50, "NODE_FAIL", later, later + 100),
                    as_json(50, "RUNNING", later + 500, 0),
                ]
            }
        )
    )
    done = jobtide("reconcile", file, "--apply", "--data", site.data)
    assert done.returncode == 0, done
    assert done.stdout.endswith("7 runs in the accounting: 6 missing, 1 ended, 0 state, 0 running; 7 applied\n")
    wanted = {
        (41, START_TIME): ("completed", 60, 40),
        (42, START_TIME): ("failed", 70, 40),
        (45, START_TIME): ("completed", 80, 0),
        (46, START_TIME): ("completed", 80, 0),
        (50, START_TIME): ("preempted", 100, 0),
        (50, later): ("node_fail", 100, 0),
    }
    jobs = {(job["jobId"], job["startTime"]): job for job in site.jobs("?items-per-page=50")}
    assert {key: (jobs[key]["jobState"], jobs[key]["duration"], jobs[key].get("arrayJobId", 0)) for key in wanted} == wanted
    assert jobs[50, later + 500]["jobState"] == "running"
    assert jobtide("reconcile", file, "--data", site.data).returncode == 0, "nothing is left"
