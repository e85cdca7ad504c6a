"""Entries are complete or absent, however writing is interrupted."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.archive import Entry, JobPath, is_complete, open_archive, read_data, read_meta, verify, write_cluster, write_entries
from shared.archive import writer as module
from shared.archive.flush import syncfs_reports_errors
from shared.archive.layout import TEMPORARY_PREFIX
from shared.errors import UserError
from tests.support.clusters import cluster_text


def entry(job_id: int, text: str = "{}", *, cluster: str = "fritz") -> Entry:
    meta = json.dumps({"jobId": job_id, "cluster": cluster, "startTime": 5, "text": text})
    return Entry(JobPath(cluster, job_id, 5), meta.encode(), text.encode())


def temporary(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


def test_an_archive_is_created_once_and_recognised(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    open_archive(root)
    open_archive(root)
    assert (root / "version.txt").read_bytes() == b"3\n"
    (root / "version.txt").write_text("2")
    with pytest.raises(UserError, match="version '2'"):
        open_archive(root)
    (root / "version.txt").unlink()
    (root / "photos").mkdir()
    with pytest.raises(UserError, match="neither empty nor an archive"):
        open_archive(root)


def test_a_failing_entry_does_not_affect_others(tmp_path: Path) -> None:
    first, bad, last = write_entries(tmp_path, [entry(1), entry(2, cluster=".."), entry(3)])
    assert (first, last) == (None, None)
    assert bad is not None
    assert is_complete(tmp_path, entry(1).path)
    assert is_complete(tmp_path, entry(3).path)


@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "replaced"])
def test_a_full_disk_at_any_write_leaves_no_partial_entry(
    call: int, is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th write or flush fails."""
    if is_there:
        assert write_entries(tmp_path, [entry(1, '{"old":1}')]) == [None]
    calls = 0

    def failing(real: object) -> object:
        def inner(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)  # type: ignore[operator]

        return inner

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(Path, "write_bytes", failing(Path.write_bytes))
        (error,) = write_entries(tmp_path, [entry(1, '{"new":1}')])
    assert temporary(tmp_path) == []
    place = entry(1).path.under(tmp_path)
    if error is None:
        assert calls < call
    else:
        assert place.exists() is (is_there or is_complete(tmp_path, entry(1).path))
    if place.exists():
        assert is_complete(tmp_path, entry(1).path)
        json.loads((place / "data.json").read_bytes())
        json.loads((place / "meta.json").read_bytes())
    assert write_entries(tmp_path, [entry(1, '{"new":1}')]) == [None]
    assert (place / "data.json").read_bytes() == b'{"new":1}'


@pytest.mark.parametrize("call", [1, 2])
def test_a_group_whose_flush_fails_is_reported_and_can_be_written_again(call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first flush makes the files durable, the second their names."""
    calls = 0

    def failing(_: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.EIO, "Input/output error")

    group = [entry(job) for job in range(1, 21)]
    with monkeypatch.context() as patch:
        patch.setattr(module, "flush_filesystem", failing)
        errors = write_entries(tmp_path, group)
    assert [type(error) for error in errors] == [OSError] * 20
    assert temporary(tmp_path) == []
    assert [is_complete(tmp_path, one.path) for one in group] == [call == 2] * 20
    assert write_entries(tmp_path, group) == [None] * 20
    assert all(is_complete(tmp_path, one.path) for one in group)


@pytest.mark.parametrize(
    ("system", "release", "reports"),
    [
        ("Linux", "6.18.44-fc", True),
        ("Linux", "5.8.0", True),
        ("Linux", "5.10.0-21-amd64", True),
        ("Linux", "5.7.19", False),
        ("Linux", "4.18.0-553.el8_10.x86_64", False),
        ("Linux", "3.10.0-1160.el7", False),
        ("Linux", "unknown", False),
        ("Darwin", "23.4.0", False),
    ],
)
def test_the_file_system_is_flushed_at_once_only_where_the_kernel_reports_errors(system: str, release: str, reports: bool) -> None:
    assert syncfs_reports_errors(system, release) is reports


def test_without_a_shared_flush_every_file_and_folder_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(module, "can_flush_filesystem", False)
    monkeypatch.setattr(module, "flush_file", flushed.append)
    monkeypatch.setattr(module, "flush_directory", flushed.append)
    assert write_entries(tmp_path, [entry(job) for job in range(1, 21)]) == [None] * 20
    assert len([path for path in flushed if path.name in ("meta.json", "data.json")]) == 40
    assert {entry(job).path.under(tmp_path).parent for job in range(1, 21)} <= set(flushed)


def test_leftovers_of_a_dead_writer_are_removed_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = entry(1).path.under(tmp_path).parent
    (parent / f"{TEMPORARY_PREFIX}5-abc").mkdir(parents=True)
    assert write_entries(tmp_path, [entry(1)]) == [None]
    assert len(temporary(tmp_path)) == 1  # recent, so it may belong to a running replica
    monkeypatch.setattr(module, "LEFTOVER_AGE_S", -1.0)
    again = Entry(JobPath("fritz", 1, 6), b"{}", b"{}")
    assert write_entries(tmp_path, [again]) == [None]
    assert temporary(tmp_path) == []


def test_the_next_write_of_a_job_removes_leftovers_of_a_killed_one(tmp_path: Path) -> None:
    code = "import os, sys; from shared.archive.writer import temporary_name; print(temporary_name('5'))"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    place = entry(1).path.under(tmp_path)
    (place.parent / dead).mkdir(parents=True)
    (place.parent / module.temporary_name("5")).mkdir()
    assert write_entries(tmp_path, [entry(1)]) == [None]
    assert [path.name == dead for path in temporary(tmp_path)] == [False]
    (place / dead).write_bytes(b"half a file")
    assert write_entries(tmp_path, [entry(1)]) == [None]
    assert [path.name for path in place.iterdir() if path.name.startswith(TEMPORARY_PREFIX)] == []


def test_two_writers_of_the_same_job_produce_one_entry(tmp_path: Path) -> None:
    start = threading.Barrier(2)
    errors: list[Exception | None] = []

    def write() -> None:
        for job in range(1, 40):
            start.wait(10)
            errors.extend(write_entries(tmp_path, [entry(job)]))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == [None] * 78
    assert temporary(tmp_path) == []
    assert all(is_complete(tmp_path, entry(job).path) for job in range(1, 40))


_ENDLESS = """
import itertools, json, sys
from pathlib import Path
from shared.archive import Entry, JobPath, write_entries
root = Path(sys.argv[1])
print("up", flush=True)
for turn in itertools.count(int(sys.argv[2])):
    # Two jobs are written again and again, the others are new; large groups are flushed at once, small ones file by file.
    jobs = [1, 2, *(1000 + 20 * turn + job for job in range(12 if turn % 2 else 2))]
    text = json.dumps({"turn": turn, "fill": "x" * 5000}).encode()
    metas = [json.dumps({"jobId": job, "cluster": "fritz", "startTime": 5, "turn": turn}).encode() for job in jobs]
    errors = write_entries(root, [Entry(JobPath("fritz", job, 5), meta, text) for job, meta in zip(jobs, metas)])
    assert not any(errors), errors
"""


def test_a_writer_killed_at_any_moment_leaves_complete_entries(tmp_path: Path) -> None:
    random.seed(3)
    for turn in range(12):
        process = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(tmp_path), str(turn * 100_000)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            process.wait(random.uniform(0.01, 0.12))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        process.stdout.close()
    found = list(tmp_path.glob("fritz/*/*/5"))
    assert len(found) >= 12  # one per process on average, even on a busy machine
    for place in found:
        assert {"meta.json", "data.json"} <= {file.name for file in place.iterdir()}
        assert json.loads((place / "meta.json").read_bytes())["turn"] <= json.loads((place / "data.json").read_bytes())["turn"]


def test_the_cluster_definition_follows_its_changes(tmp_path: Path) -> None:
    assert write_cluster(tmp_path, "fritz", cluster_text("fritz")) is True
    assert write_cluster(tmp_path, "fritz", cluster_text("fritz")) is False
    assert write_cluster(tmp_path, "fritz", b"{}") is True
    assert [file.name for file in (tmp_path / "fritz").iterdir()] == ["cluster.json"]


def test_written_entries_can_be_read(tmp_path: Path) -> None:
    open_archive(tmp_path)
    write_cluster(tmp_path, "fritz", cluster_text("fritz"))
    write_entries(tmp_path, [entry(1)])
    assert read_meta(tmp_path, entry(1).path)["jobId"] == 1
    assert read_data(tmp_path, entry(1).path) == {}
    assert [finding.kind for finding in verify(tmp_path)] == ["invalid"]  # a meta.json with three keys is not a job
