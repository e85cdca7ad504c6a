"""`jobtide archive info`, `copy`, `convert`, `remove` and `clean` on folders."""

import gzip
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.commands import counting
from shared.archive import add_thumbnail, bands_in, read_data, verify
from shared.archive.contents import contents_of
from shared.archive.files import FileStore
from shared.archive.layout import ArchiveError, JobPath
from shared.archive.selection import OmitTagged, Selection
from shared.archive.transfer import transfer
from shared.archive.versions import upgraded_meta
from shared.errors import UserError
from tests.cli.sites import assert_user_mistake, jobtide, shown_on_a_terminal
from tests.support.waiting import until_blocking

SAMPLE = Path(__file__).parents[1] / "data" / "archive-v1.5"
FIRST, SECOND = JobPath("emmy", 1403244, 1608923076), JobPath("emmy", 1404397, 1609300556)  # 2020-12-25 and 2020-12-30

EVERYTHING = Selection()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A copy of the sample archive, whose second job has an automatic tag, and the first one of a person."""
    root = Path(shutil.copytree(SAMPLE, tmp_path / "archive"))
    tag(root, FIRST, "project", "keep")
    tag(root, SECOND, "app", "gromacs")
    return root


def tag(root: Path, path: JobPath, type_: str, name: str) -> None:
    change(root, path, tags=[{"type": type_, "name": name, "scope": "global", "id": 1}])


def change(root: Path, path: JobPath, **values: Any) -> None:
    file = path.under(root) / "meta.json"
    meta = json.loads(file.read_bytes()) | values
    file.write_text(json.dumps({key: value for key, value in meta.items() if value is not ...}))


def files_of(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(file.relative_to(root)): (file.read_bytes(), file.stat().st_mtime_ns) for file in root.rglob("*") if file.is_file()}


def copied(source: Path, target: Path, selection: Selection = EVERYTHING, **options: Any) -> tuple[int, int, int]:
    tally = transfer(FileStore(source), FileStore(target), selection, **options)
    return tally.done, tally.skipped, tally.failed


# info


def test_the_contents_of_an_archive_are_counted_by_cluster_and_month(archive: Path) -> None:
    found = contents_of(FileStore(archive))
    sizes = [sum(file.stat().st_size for file in path.under(archive).iterdir()) for path in (FIRST, SECOND)]
    assert (found.total.jobs, found.total.size, found.total.first, found.total.last) == (2, sum(sizes), 1608923076, 1609300556)
    assert {name: amount.jobs for name, amount in found.clusters.items()} == {"alex": 0, "emmy": 2, "fritz": 0}
    assert {key: amount.jobs for key, amount in found.months.items()} == {("emmy", "2020-12"): 2}
    assert found.strays == []


def test_strays_are_named_and_do_not_end_the_walk(archive: Path) -> None:
    (archive / "emmy" / "1403" / "244" / "notes").mkdir()
    (archive / "lost+found").mkdir()
    found = contents_of(FileStore(archive))
    assert found.total.jobs == 2
    assert [Path(stray.place).name for stray in found.strays] == ["notes"]


# selection


@pytest.mark.parametrize(
    ("selection", "jobs"),
    [
        (Selection(), {FIRST, SECOND}),
        (Selection(before=SECOND.start_time), {FIRST}),
        (Selection(after=SECOND.start_time), {SECOND}),
        (Selection(after=FIRST.start_time, before=FIRST.start_time + 1), {FIRST}),
        (Selection(clusters=frozenset({"fritz"})), set()),
        (Selection(clusters=frozenset({"fritz", "emmy"})), {FIRST, SECOND}),
        (Selection(omit_tagged="all"), set()),
        (Selection(omit_tagged="user"), {SECOND}),
    ],
)
def test_only_selected_jobs_are_copied(selection: Selection, jobs: set[JobPath], archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert copied(archive, target, selection)[0] == len(jobs)
    assert {path for path in FileStore(target).paths() if isinstance(path, JobPath)} == jobs


# copy and convert


def test_a_copy_has_the_same_bytes_and_a_second_one_changes_nothing(archive: Path, tmp_path: Path) -> None:
    before, target = files_of(archive), tmp_path / "target"
    add_thumbnail(FileStore(archive), FIRST)
    assert copied(archive, target, dry_run=True) == (2, 0, 0)
    assert not target.exists()
    assert copied(archive, target) == (2, 0, 0)
    expected = {name: content for name, (content, _) in files_of(archive).items()}
    assert {name: content for name, (content, _) in files_of(target).items()} == expected
    after = files_of(target)
    assert copied(archive, target) == (0, 2, 0)
    assert copied(archive, target, dry_run=True) == (0, 2, 0)
    assert files_of(target) == after
    assert {name: content for name, content in files_of(archive).items() if "thumbnail" not in name} == before


def test_damaged_entries_are_named_and_the_others_are_copied(archive: Path, tmp_path: Path) -> None:
    (FIRST.under(archive) / "data.json.gz").unlink()
    tally = transfer(FileStore(archive), FileStore(tmp_path / "target"), Selection())
    assert (tally.done, tally.failed) == (1, 1)
    assert "emmy/1403/244/1608923076" in tally.failures[0]
    change(archive, SECOND, jobId=5)
    tally = transfer(FileStore(archive), FileStore(tmp_path / "other"), Selection())
    assert (tally.done, tally.failed) == (0, 2)
    assert "meta.json belongs to job 5" in tally.failures[1]


@pytest.mark.parametrize(("version", "exclusive", "shared"), [(2, 1, "none"), (1, 0, "multi_user"), (1, 2, "single_user")])
def test_older_versions_are_converted_and_the_source_is_not_touched(
    version: int, exclusive: int, shared: str, archive: Path, tmp_path: Path
) -> None:
    (archive / "version.txt").write_text(f"{version}\n")
    for path in (FIRST, SECOND):
        change(archive, path, shared=..., exclusive=exclusive, mem_used_max=3.5, load_avg=1, jobState="stopped")
    before, target = files_of(archive), tmp_path / "target"
    with pytest.raises(UserError, match="jobtide archive convert"):
        copied(archive, target)
    assert copied(archive, target, converts=True) == (2, 0, 0)
    assert files_of(archive) == before
    assert list(verify(target)) == []
    meta = FileStore(target).document(FIRST)
    assert (meta["shared"], meta["jobState"], meta["metaData"]["receivedState"]) == (shared, "cancelled", "stopped")
    assert not {"exclusive", "mem_used_max", "load_avg"} & set(meta)
    assert meta["submitTime"] == FIRST.start_time
    assert (FIRST.under(target) / "data.json.gz").read_bytes() == (FIRST.under(SAMPLE) / "data.json.gz").read_bytes()


def test_an_unknown_value_of_exclusive_fails_that_entry_and_names_the_field(archive: Path, tmp_path: Path) -> None:
    (archive / "version.txt").write_text("2")
    change(archive, FIRST, shared=..., exclusive=7)
    tally = transfer(FileStore(archive), FileStore(tmp_path / "target"), Selection(), converts=True)
    assert (tally.done, tally.failed) == (1, 1)
    assert "exclusive: 7 is not 0, 1 or 2" in tally.failures[0]
    with pytest.raises(ArchiveError, match="exclusive"):
        upgraded_meta({"exclusive": True}, 1)


def test_other_versions_cannot_be_converted(archive: Path, tmp_path: Path) -> None:
    (archive / "version.txt").write_text("4\n")
    with pytest.raises(UserError, match="version 4"):
        copied(archive, tmp_path / "target", converts=True)


def test_data_are_decompressed_and_compressed_again_with_their_thumbnail(archive: Path, tmp_path: Path) -> None:
    add_thumbnail(FileStore(archive), FIRST)
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    assert copied(archive, plain, form="plain", converts=True) == (2, 0, 0)
    text = gzip.decompress((FIRST.under(SAMPLE) / "data.json.gz").read_bytes())
    assert (FIRST.under(plain) / "data.json").read_bytes() == text
    assert not list(plain.rglob("data.json.gz"))
    assert copied(plain, packed, form="compressed", converts=True) == (2, 0, 0)
    assert gzip.decompress((FIRST.under(packed) / "data.json.gz").read_bytes()) == text
    assert not list(packed.rglob("data.json"))
    first = bands_in(FileStore(archive), FIRST)
    assert first is not None
    for root in (plain, packed):
        thumbnail = bands_in(FileStore(root), FIRST)
        assert thumbnail is not None
        assert {name: bytes(band.max) for name, band in thumbnail.items()} == {name: bytes(band.max) for name, band in first.items()}
        assert bands_in(FileStore(root), SECOND) is None
    assert read_data(packed, FIRST).keys() == read_data(SAMPLE, FIRST).keys()


# remove


def test_removed_entries_leave_no_empty_folders(archive: Path) -> None:
    store = FileStore(archive)
    assert store.remove([FIRST, JobPath("emmy", 5, 5)]) == [None, None]
    assert not (archive / "emmy" / "1403").exists()
    assert list(store.paths()) == [SECOND]
    assert list(verify(archive)) == []


@pytest.mark.parametrize(("omit", "left"), [("none", set()), ("user", {FIRST}), ("all", {FIRST, SECOND})])
def test_remove_keeps_tagged_jobs_as_asked(omit: OmitTagged, left: set[JobPath], archive: Path) -> None:
    arguments = ("archive", "remove", archive, "--before", "2021-Jan-01", "--omit-tagged", omit)
    before = files_of(archive)
    dry = json.loads(jobtide(*arguments, "--dry-run", "--json").stdout)
    assert (dry["removed"], dry["dryRun"]) == (2 - len(left), True)
    assert files_of(archive) == before
    assert json.loads(jobtide(*arguments, "--json").stdout) == dry | {"dryRun": False}
    assert set(FileStore(archive).paths()) == left


def test_remove_needs_a_selection_and_a_range_in_order(archive: Path) -> None:
    assert_user_mistake(jobtide("archive", "remove", archive), "--before")
    done = jobtide("archive", "remove", archive, "--before", "2020-01-01", "--after", "2021-01-01")
    assert_user_mistake(done, "--before must be later")
    assert_user_mistake(jobtide("archive", "remove", archive, "--before", "yesterday"), "--before")
    assert_user_mistake(jobtide("archive", "remove", archive, "--cluster", "emmy", "--database"), "ARCHIVE")
    assert set(FileStore(archive).paths()) == {FIRST, SECOND}


def test_a_range_is_the_time_between_both_ends(archive: Path) -> None:
    done = jobtide("archive", "remove", archive, "--after", "2020-12-26", "--before", "2021-01-01", "--cluster", "emmy")
    assert (done.returncode, done.stdout.split(" (")[0]) == (0, "1 job removed")
    assert set(FileStore(archive).paths()) == {FIRST}


# clean


def test_leftovers_are_removed_and_entries_stay(archive: Path) -> None:
    old = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    dead = archive / "emmy" / "1403" / "244" / ".tmp-5-abc"
    dead.mkdir()
    (dead / "data.json").write_text("{}")
    os.utime(dead, (old, old))
    (archive / "emmy" / "1403" / "244" / ".tmp-young").mkdir()
    (archive / "fritz" / "7" / "007" / "5").mkdir(parents=True)
    (FIRST.under(archive) / "data.json").write_text("{}")
    young = shutil.copytree(FIRST.under(archive), FIRST.under(archive).with_name("5"))
    os.utime(FIRST.under(archive) / "data.json", (old, old))
    (SECOND.under(archive) / "data.json").write_text("{}")
    os.utime(SECOND.under(archive) / "data.json", (old, old))
    (SECOND.under(archive) / "data.json.gz").write_bytes(b"damaged")
    before = files_of(archive)
    found = {(one.kind, str(Path(one.place).relative_to(archive))) for one in FileStore(archive).leftovers()}
    assert found == {
        ("temporary", "emmy/1403/244/.tmp-5-abc"),
        ("unused", "emmy/1403/244/1608923076/data.json"),
        ("empty", "fritz/7/007/5"),
    }
    assert jobtide("archive", "clean", archive, "--dry-run").stdout.endswith("3 leftovers would be removed (4 B)\n")
    assert files_of(archive) == before
    cleaned = json.loads(jobtide("archive", "clean", archive, "--json").stdout)
    assert (cleaned["removed"], cleaned["failed"]) == (5, 0), "with the two folders above the empty one"
    assert not (archive / "fritz" / "7").exists()
    assert (archive / "fritz" / "cluster.json").exists()
    assert (archive / "emmy" / "1403" / "244" / ".tmp-young").exists()
    assert (SECOND.under(archive) / "data.json").exists(), "the packed file is damaged"
    assert (young / "data.json").exists(), "a writer may be about to remove the packed file"


def test_folders_that_disappear_during_a_walk_do_not_end_it(archive: Path) -> None:
    paths = FileStore(archive).paths()
    assert next(paths) == FIRST
    shutil.rmtree(archive / "emmy" / "1404")
    assert list(paths) == []
    (archive / "alex" / "1" / "001").mkdir(parents=True)
    found = FileStore(archive).leftovers()
    assert Path(next(found).place) == archive / "alex" / "1" / "001"
    shutil.rmtree(archive / "alex")
    shutil.rmtree(archive / "fritz")
    assert {Path(one.place) for one in found} <= {archive / "alex" / "1"}


# as commands


def test_info_copy_and_verify_answer_as_text_and_json(archive: Path, tmp_path: Path) -> None:
    shown = jobtide("archive", "info", archive).stdout
    assert "version 3: 2 jobs, 1.7 MB" in shown
    assert [line.split()[:2] for line in shown.splitlines()[3:]] == [["alex", "all"], ["emmy", "all"], ["2020-12", "2"], ["fritz", "all"]]
    info = json.loads(jobtide("archive", "info", archive, "--json").stdout)
    assert info["clusters"][1]["months"][0]["month"] == "2020-12"
    assert (info["jobs"], info["first"]) == (2, "2020-12-25T19:04:36Z")
    target = tmp_path / "target"
    done = jobtide("archive", "copy", target, "--from", archive, "--json")
    assert (done.returncode, json.loads(done.stdout)["copied"]) == (0, 2)
    assert jobtide("archive", "verify", target, "--json").returncode == 0
    (FIRST.under(archive) / "meta.json").write_text("{")
    done = jobtide("archive", "copy", tmp_path / "other", "--from", archive)
    assert (done.returncode, done.stdout.count("emmy/1403/244")) == (1, 1)
    assert done.stderr == "jobtide: 1 entry failed\n"
    done = jobtide("archive", "verify", archive, "--json")
    assert (done.returncode, json.loads(done.stdout)["listed"][0]["kind"]) == (1, "invalid")
    assert_user_mistake(jobtide("archive", "copy", archive, "--from", f"{archive}/../archive"), "itself")
    for mistyped in (str(tmp_path / "none/archive"), f"sqlite:///{tmp_path}/none/archive.db"):
        assert_user_mistake(jobtide("archive", "copy", mistyped, "--from", archive), f"the folder {tmp_path}/none does not exist")
    assert_user_mistake(jobtide("archive", "convert", target, "--compress", "--decompress"), "--compress")
    assert_user_mistake(jobtide("archive", "info", tmp_path), "is not an archive")


def test_an_archive_is_created_in_an_empty_place_only(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    for address, status in (
        (str(tmp_path / "new"), 0),
        (f"sqlite:///{tmp_path}/new.db", 0),
        (str(archive), 0),
        (str(tmp_path / "other"), 2),
    ):
        assert jobtide("archive", "create", address).returncode == status
    FileStore(tmp_path / "new").require()
    assert set(FileStore(archive).paths()) == {FIRST, SECOND}


def test_the_total_is_counted_beside_the_work(archive: Path) -> None:
    all_entries = counting._Total(FileStore(archive), lambda _: True)
    of_one = counting._Total(FileStore(archive), lambda path: path == FIRST)
    until_blocking(lambda: (all_entries.number, of_one.number) == (2, 1), what="the number of entries")


def test_progress_of_copy_convert_and_remove_has_a_total(archive: Path, tmp_path: Path) -> None:
    for command in (
        ("copy", tmp_path / "one", "--from", archive),
        ("convert", tmp_path / "two", "--from", archive, "--decompress"),
        ("remove", archive, "--cluster", "emmy", "--omit-tagged", "user"),
    ):
        assert "2/2" in shown_on_a_terminal("archive", *command)
    assert set(FileStore(archive).paths()) == {FIRST}
