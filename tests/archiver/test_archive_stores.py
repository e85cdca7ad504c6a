"""Every place for an archive keeps the same promises: a folder, an SQLite file, a bucket of a real S3 server."""

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.archive import ArchiveStore, ArchiveUnavailable, Entry, Finding, JobPath, bands_in, layout
from shared.archive.composed import MovedStore, RoutedStore
from shared.archive.files import FileStore
from shared.archive.imports import ArchivedJob, entries_of
from shared.archive.layout import ArchiveError, TooLarge
from shared.archive.objects import ObjectStore, S3Access
from shared.archive.places import store_at, store_of
from shared.archive.selection import Selection
from shared.archive.sqlite import SqliteStore
from shared.archive.store import Stray
from shared.archive.thumbnails import add_thumbnail
from shared.archive.transfer import transfer
from shared.archive.verify import verify_store
from shared.errors import UserError
from shared.settings import ArchiveSettings, load
from tests.cli.sites import clean_environment, jobtide
from tests.support.processes import REPOSITORY
from tests.support.programs import end
from tests.support.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFs
from tests.support.waiting import until_blocking

SAMPLE = Path(__file__).parents[1] / "data" / "archive-v1.5"
FIRST, SECOND = JobPath("emmy", 1403244, 1608923076), JobPath("emmy", 1404397, 1609300556)
New = Callable[[], ArchiveStore]


def bucket(server: SeaweedFs, prefix: str) -> ObjectStore:
    return ObjectStore("archive", prefix, S3Access(server.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY))


@pytest.fixture(params=["folder", "sqlite", "s3"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[New]:
    """Makes the same archive each time, as another process would see it."""
    made: list[ArchiveStore] = []

    def new() -> ArchiveStore:
        match request.param:
            case "folder":
                made.append(FileStore(tmp_path / "archive"))
            case "sqlite":
                made.append(SqliteStore(tmp_path / "archive.db"))
            case _:
                made.append(bucket(request.getfixturevalue("seaweedfs"), tmp_path.name))
        return made[-1]

    yield new
    for store in made:
        store.close()


@pytest.fixture
def store(new_store: New) -> ArchiveStore:
    found = new_store()
    found.open()
    return found


def entry(job_id: int, text: str = '{"cpu_load":{}}', *, cluster: str = "fritz", **meta: Any) -> Entry:
    document = {"jobId": job_id, "cluster": cluster, "startTime": 5, **meta}
    return Entry(JobPath(cluster, job_id, 5), json.dumps(document).encode(), text.encode())


def test_an_archive_is_created_once_and_recognised_by_another_process(new_store: New) -> None:
    first, second = new_store(), new_store()
    with pytest.raises(UserError):
        first.version()
    with pytest.raises(ArchiveUnavailable):
        first.require()
    first.open()
    second.open()
    second.require()
    assert second.version() == 3
    second.check(100_000)
    assert list(second.paths()) == []


def test_entries_are_read_as_written_and_changed_ones_have_another_stamp(store: ArchiveStore, new_store: New) -> None:
    packed = gzip.compress(b'{"cpu_load":{"node":{}}}')
    first = Entry(JobPath("fritz", 1, 5), entry(1).meta, packed, is_packed=True, thumbnail=b"thumbnail")
    assert store.write([first, entry(2)]) == [None, None]
    other = new_store()
    assert other.entry(first.path) == first
    assert other.texts(first.path) == {"cpu_load": b'{"node":{}}'}
    assert other.entry(entry(2).path) == entry(2)
    stamp, size = other.data_stamp(first.path)
    assert size == len(packed)
    assert store.write([entry(1, '{"cpu_load":{}}')]) == [None]
    assert other.data_stamp(first.path)[0] != stamp
    assert other.entry(first.path) == entry(1), "the packed data and the thumbnail are gone"
    assert store.write([Entry(first.path, b'{"new":1}', None)]) == [None]
    assert other.document(first.path) == {"new": 1}
    assert other.data(first.path).content == b'{"cpu_load":{}}'


def test_missing_entries_are_errors_of_their_own(store: ArchiveStore) -> None:
    for read in (store.meta, store.data, store.data_stamp, store.entry, store.document):
        with pytest.raises(ArchiveError):
            read(FIRST)
    assert (store.is_complete(FIRST), store.size(FIRST), store.thumbnail(FIRST)) == (False, 0, None)
    assert store.remove([FIRST]) == [None]
    with pytest.raises(ArchiveError):
        store.cluster_text("emmy")


def test_a_failing_entry_does_not_affect_its_group(store: ArchiveStore) -> None:
    missing = Entry(JobPath("fritz", 9, 5), b"{}", None)
    errors = store.write([entry(1), missing, entry(3)])
    assert [error is None for error in errors] == [True, False, True]
    assert isinstance(errors[1], ArchiveError)
    assert set(store.paths()) == {entry(1).path, entry(3).path}


def test_files_above_the_limit_are_neither_written_nor_read_nor_replaced(
    store: ArchiveStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps({"cpu_load": {}, "mem_bw": {"node": "x" * 5000}}).encode()
    large = Entry(entry(1).path, entry(1).meta, text)
    bomb = Entry(entry(2).path, entry(2).meta, gzip.compress(text), is_packed=True)
    described = entry(3, note="x" * 5000)
    assert store.write([large, bomb, described, entry(4)]) == [None] * 4
    monkeypatch.setattr(layout, "MAX_STORED_BYTES", 2000)
    monkeypatch.setattr(layout, "MAX_UNPACKED_BYTES", 4000)
    assert json.loads(store.meta(large.path))["jobId"] == 1
    for read in (store.data, store.texts, store.entry, store.preserved):
        with pytest.raises(TooLarge, match=r"1.*2000"):
            read(large.path)
    with pytest.raises(TooLarge, match="4000"):
        store.texts(bomb.path)
    for refused in (store.meta, store.preserved):
        with pytest.raises(TooLarge, match="2000"):
            refused(described.path)
    copy = FileStore(tmp_path / "copy")
    tally = transfer(store, copy, Selection())
    assert (tally.done, tally.failed, set(copy.paths())) == (2, 2, {bomb.path, entry(4).path}), tally.failures
    errors = store.write([entry(5), Entry(entry(6).path, entry(6).meta, text)])
    assert errors[0] is None
    assert isinstance(errors[1], TooLarge)
    assert not store.is_complete(entry(6).path)


def test_only_unchanged_entries_are_removed_when_asked_so(store: ArchiveStore) -> None:
    written = [entry(number) for number in range(1, 6)]
    store.write(written)
    store.write([Entry(written[1].path, b'{"tags":1}', None), entry(3, '{"new":{}}')])
    store.write_thumbnail(written[3].path, b"thumbnail")
    assert store.remove_unchanged([*written, entry(77)]) == [None] * 6
    assert set(store.paths()) == {entry(number).path for number in (2, 3, 4)}
    assert store.entry(entry(3).path) == entry(3, '{"new":{}}')
    assert list(store.leftovers()) == []


def test_an_entry_that_changes_just_before_its_removal_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change comes between the comparison and the renaming."""
    store = FileStore(tmp_path / "archive")
    store.open()
    store.write([entry(1)])
    utime = os.utime

    def change(place: Path) -> None:
        utime(place)
        store.write([entry(1, '{"new":{}}')])

    monkeypatch.setattr(os, "utime", change)
    assert store.remove_unchanged([entry(1)]) == [None]
    assert store.entry(entry(1).path) == entry(1, '{"new":{}}')
    assert [place.name for place in entry(1).path.under(store.root).parent.iterdir()] == ["5"]


def test_removed_entries_are_gone_and_the_others_stay(store: ArchiveStore) -> None:
    store.write([entry(number) for number in range(1, 31)])
    assert store.remove([entry(2).path, entry(4).path, entry(77).path]) == [None] * 3
    assert set(store.paths()) == {entry(number).path for number in range(1, 31) if number not in (2, 4)}
    assert not store.is_complete(entry(2).path)
    assert store.remove([entry(number).path for number in range(5, 31)]) == [None] * 26
    assert set(store.paths()) == {entry(1).path, entry(3).path}


def test_an_archive_is_copied_into_every_place_and_back_byte_for_byte(store: ArchiveStore, tmp_path: Path) -> None:
    source, back = FileStore(SAMPLE), FileStore(tmp_path / "back")
    assert transfer(source, store, Selection()).done == 2
    assert transfer(source, store, Selection()).skipped == 2
    assert store.clusters() == ["alex", "emmy", "fritz"]
    assert not store.write_cluster("emmy", source.cluster_text("emmy"))
    assert list(verify_store(store)) == []
    assert [found.path for found in entries_of(store) if isinstance(found, ArchivedJob)] == [FIRST, SECOND]
    assert transfer(store, back, Selection()).done == 2
    files = {str(file.relative_to(SAMPLE)): file.read_bytes() for file in SAMPLE.rglob("*") if file.is_file()}
    assert {str(file.relative_to(back.root)): file.read_bytes() for file in back.root.rglob("*") if file.is_file()} == files
    assert store.size(FIRST) == sum(file.stat().st_size for file in FIRST.under(SAMPLE).iterdir())


def test_thumbnails_belong_to_their_data(store: ArchiveStore) -> None:
    transfer(FileStore(SAMPLE), store, Selection(before=SECOND.start_time))
    assert bands_in(store, FIRST) is None
    add_thumbnail(store, FIRST)
    bands = bands_in(store, FIRST)
    assert bands is not None
    assert "cpu_load" in bands
    store.write([Entry(FIRST, store.meta(FIRST), b"{}")])
    assert bands_in(store, FIRST) is None


def test_what_an_entry_must_keep_is_the_same_in_every_place(store: ArchiveStore) -> None:
    assert store.preserved(FIRST).data is None
    transfer(FileStore(SAMPLE), store, Selection())
    kept, expected = store.preserved(FIRST), FileStore(SAMPLE).preserved(FIRST)
    assert (kept.data, kept.is_packed, kept.document) == (expected.data, expected.is_packed, expected.document)
    store.write([Entry(FIRST, store.meta(FIRST), b"null")])
    assert store.preserved(FIRST).data is None


def test_damage_is_found_in_every_place(store: ArchiveStore) -> None:
    transfer(FileStore(SAMPLE), store, Selection())
    store.write([Entry(FIRST, b"{", None), Entry(SECOND, store.meta(SECOND), b"damaged", is_packed=True)])
    findings = [(finding.kind, str(finding.path)) for finding in _findings(store)]
    assert findings == [("invalid", FIRST.relative), ("invalid", SECOND.relative)]


def _findings(store: ArchiveStore) -> list[Finding]:
    return list(verify_store(store))


# SQLite


def test_a_file_of_cc_backend_is_read_and_written(tmp_path: Path) -> None:
    """The tables as cc-backend makes them, without those of thumbnails."""
    file = tmp_path / "archive.db"
    connection = sqlite3.connect(file)
    connection.executescript(
        """
        CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, cluster TEXT NOT NULL,
            start_time INTEGER NOT NULL, meta_json BLOB NOT NULL, data_json BLOB, data_compressed BOOLEAN DEFAULT 0,
            created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, UNIQUE (job_id, cluster, start_time));
        CREATE TABLE clusters (name TEXT PRIMARY KEY, config_json BLOB NOT NULL, updated_at INTEGER);
        CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT);
        INSERT INTO metadata VALUES ('version', '3'), ('compress_last', '1');
        INSERT INTO clusters VALUES ('fritz', '{"name":"fritz"}', 1);
        INSERT INTO jobs VALUES (1, 7, 'fritz', 5, '{"jobId":7,"cluster":"fritz","startTime":5}', '{"a":{}}', 0, 1, 1);
        """
    )
    connection.close()
    store = SqliteStore(file)
    path = JobPath("fritz", 7, 5)
    assert store.texts(path) == {"a": b"{}"}
    assert (store.thumbnail(path), store.clusters(), store.cluster_text("fritz")) == (None, ["fritz"], b'{"name":"fritz"}')
    assert list(store.leftovers()) == []
    assert store.remove([JobPath("fritz", 8, 5)]) == [None]
    assert store.write([Entry(path, store.meta(path), b'{"b":{}}', thumbnail=b"t")]) == [None]
    assert (store.texts(path), store.thumbnail(path)) == ({"b": b"{}"}, b"t")
    store.open()
    assert sqlite3.connect(file).execute("SELECT count(*) FROM jobs").fetchone() == (1,)


def test_another_database_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").execute("CREATE TABLE photos (a)").connection.commit()
    with pytest.raises(UserError, match="has no table jobs"):
        SqliteStore(tmp_path / "x.db").open()
    (tmp_path / "text.db").write_text("this is no database, and long enough to be recognised as none")
    with pytest.raises(UserError, match="not a database"):
        SqliteStore(tmp_path / "text.db").open()


def test_a_file_that_is_moved_away_is_unavailable_until_it_is_back(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "archive.db")
    store.open()
    store.write([entry(1)])
    store.close()
    (tmp_path / "archive.db").rename(tmp_path / "away.db")
    (error,) = store.write([entry(2)])
    assert isinstance(error, ArchiveUnavailable)
    with pytest.raises(ArchiveUnavailable):
        store.meta(entry(1).path)
    assert not (tmp_path / "archive.db").exists(), "no empty one is made in its place"
    (tmp_path / "away.db").rename(tmp_path / "archive.db")
    assert store.write([entry(2)]) == [None]
    assert set(store.paths()) == {entry(1).path, entry(2).path}


# S3


def test_a_missing_bucket_and_wrong_keys_are_an_outage_without_secrets(seaweedfs: SeaweedFs) -> None:
    with pytest.raises(ArchiveUnavailable, match="s3://nowhere"):
        ObjectStore("nowhere", "", S3Access(seaweedfs.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)).open()
    wrong = ObjectStore("archive", "", S3Access(seaweedfs.endpoint, access_key=ACCESS_KEY, secret_key="another secret"))
    with pytest.raises(ArchiveUnavailable) as caught:
        wrong.require()
    assert "another secret" not in str(caught.value)


class _Failing(BaseHTTPRequestHandler):
    """Answers the first requests with an error, as an S3 server under load does."""

    left = 3

    def do_GET(self) -> None:
        fails = type(self).left > 0
        type(self).left -= 1
        body = b"" if fails else b"3\n"
        self.send_response(503 if fails else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_requests_that_a_server_refuses_under_load_are_repeated() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        access = S3Access(endpoint=f"http://127.0.0.1:{server.server_port}", access_key="a", secret_key="b")
        ObjectStore("archive", "", access).require()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert _Failing.left < 0


def test_objects_beside_the_archive_do_not_disturb_it(seaweedfs: SeaweedFs, tmp_path: Path) -> None:
    store = bucket(seaweedfs, tmp_path.name)
    store.open()
    store.write([entry(1)])
    store._put("backups/old/file", b"x")
    store._put("fritz/0/001/notes/file", b"x")
    assert store.clusters() == []
    found = list(store.paths())
    assert [path for path in found if isinstance(path, JobPath)] == [entry(1).path]
    assert len([path for path in found if isinstance(path, Stray)]) == 2
    with pytest.raises(UserError, match="neither empty nor an archive"):
        bucket(seaweedfs, f"{tmp_path.name}/backups").open()


def test_commands_take_an_address_and_the_access_from_the_settings(seaweedfs: SeaweedFs, tmp_path: Path) -> None:
    variables = {"S3_ENDPOINT": seaweedfs.endpoint, "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY}
    address = f"s3://archive/{tmp_path.name}"

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return jobtide(
            "archive", *arguments, text=b"", cwd=tmp_path, **{f"JOBTIDE_ARCHIVE_{name}": value for name, value in variables.items()}
        )

    assert run("copy", address, "--from", SAMPLE).stdout.startswith("2 jobs copied")
    assert json.loads(run("info", address, "--json").stdout)["jobs"] == 2
    assert run("verify", address, "--quick").returncode == 0
    assert run("thumbnails", address, "--workers", "1").stdout == "2 thumbnails made, 0 there already\n"
    assert run("remove", address, "--cluster", "emmy").stdout.startswith("2 jobs removed")
    assert list(bucket(seaweedfs, tmp_path.name).paths()) == []


@pytest.mark.timeout(120)
def test_a_copy_that_is_killed_and_repeated_is_complete(new_store: New, seaweedfs: SeaweedFs, tmp_path: Path) -> None:
    source, target = FileStore(tmp_path / "source"), new_store()
    source.open()
    target.open()
    entries = {one.path: one for one in (entry(number, note="x" * 3000) for number in range(1, 501))}
    assert source.write(list(entries.values())) == [None] * len(entries)
    access = {"S3_ENDPOINT": seaweedfs.endpoint, "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY}
    variables = {f"JOBTIDE_ARCHIVE_{name}": value for name, value in access.items()}
    words = ("archive", "copy", target.address, "--from", str(source.root))
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *words],
        cwd=REPOSITORY,
        env=clean_environment(PYTHONPATH=str(REPOSITORY), **variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_blocking(lambda: next(target.paths(), None) is not None or process.poll() is not None, 60)
    finally:
        end(process, signal.SIGKILL)
    found = [path for path in target.paths() if isinstance(path, JobPath) and target.is_complete(path)]
    assert all(target.entry(path) == entries[path] for path in found), "what is complete is right"
    done = jobtide(*words, text=b"", cwd=REPOSITORY, **variables)
    assert done.returncode == 0, done
    assert {path: target.entry(path) for path in entries} == entries
    assert set(target.paths()) == entries.keys()


def test_interrupted_writes_in_a_bucket_are_leftovers_once_they_are_old(
    seaweedfs: SeaweedFs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket(seaweedfs, tmp_path.name)
    store.open()
    store.write([entry(1)])
    store._put("fritz/0/002/5/data.json", b"{}")
    store._put("fritz/0/003/5/notes.txt", b"not ours")
    assert list(store.leftovers()) == [], "a writer may be at work"
    monkeypatch.setattr("shared.archive.objects.LEFTOVER_AGE_S", -3600.0)
    (found,) = store.leftovers()
    assert (found.kind, found.place, found.size) == ("incomplete", f"{store.address}/fritz/0/002/5", 2)
    found.remove()
    assert list(store.leftovers()) == []
    assert store.entry(entry(1).path) == entry(1)


def test_thumbnails_of_entries_that_another_program_removed_are_leftovers(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "archive.db")
    store.open()
    store.write([Entry(entry(number).path, b"{}", b"{}", thumbnail=b"1234") for number in (1, 2)])
    assert list(store.leftovers()) == []
    with sqlite3.connect(store.file) as connection:
        connection.execute("DELETE FROM jobs WHERE job_id = 1")
    (found,) = store.leftovers()
    assert (found.kind, found.size) == ("unused", 4)
    found.remove()
    assert list(store.leftovers()) == []
    assert store.thumbnail(entry(2).path) == b"1234"


# composed


def test_entries_go_to_the_place_of_their_cluster(tmp_path: Path) -> None:
    settings = load(ArchiveSettings, path=tmp_path / "common", clusters={"alex": f"sqlite:///{tmp_path}/alex.db"})
    store = store_of(settings)
    assert isinstance(store, RoutedStore)
    store.open()
    assert store.write([entry(1), entry(1, cluster="alex"), entry(2)]) == [None] * 3
    assert set(store_at(f"sqlite:///{tmp_path}/alex.db", settings).paths()) == {JobPath("alex", 1, 5)}
    assert set(FileStore(tmp_path / "common").paths()) == {entry(1).path, entry(2).path}
    assert set(store.paths()) == {JobPath("alex", 1, 5), entry(1).path, entry(2).path}
    assert store.entry(JobPath("alex", 1, 5)) == entry(1, cluster="alex")
    assert [part.address for part in store.parts()] == [str(tmp_path / "common"), f"sqlite:///{tmp_path}/alex.db"]
    assert store.remove([JobPath("alex", 1, 5), entry(1).path]) == [None, None]
    assert set(store.paths()) == {entry(2).path}


def test_moved_entries_are_read_changed_and_removed_where_they_are(tmp_path: Path) -> None:
    present, moved = FileStore(tmp_path / "present"), SqliteStore(tmp_path / "moved.db")
    present.open()
    moved.open()
    present.write([entry(1), entry(2)])
    moved.write([entry(2, text="{}"), entry(3)])
    store = MovedStore(present, moved)
    assert list(store.paths()) == [entry(number).path for number in (1, 2, 3)]
    assert store.entry(entry(2).path) == entry(2), "the present one is preferred"
    assert store.entry(entry(3).path) == entry(3)
    assert store.write([Entry(entry(3).path, b'{"tags":1}', None), entry(4)]) == [None, None]
    assert moved.document(entry(3).path) == {"tags": 1}
    assert not present.is_complete(entry(3).path)
    assert present.is_complete(entry(4).path)
    (tmp_path / "moved.db").rename(tmp_path / "away")
    assert store.write([entry(5)]) == [None], "archiving goes on"
    with pytest.raises(ArchiveUnavailable):
        store.meta(entry(3).path)


def test_entries_may_be_in_a_folder_of_moved_ones_that_is_not_mounted(tmp_path: Path) -> None:
    present, moved = FileStore(tmp_path / "present"), FileStore(tmp_path / "moved")
    present.open()
    moved.open()
    store = MovedStore(present, moved)
    store.write([entry(1)])
    moved.write([entry(2)])
    (tmp_path / "moved").rename(tmp_path / "away")
    (tmp_path / "moved").mkdir()
    assert store.document(entry(1).path)["jobId"] == 1
    for use in (store.document, store.preserved, store.is_complete):
        with pytest.raises(ArchiveUnavailable):
            use(entry(2).path)
    for errors in (store.write([Entry(entry(2).path, b"{}", None), entry(3)]), store.remove([entry(2).path, entry(3).path])):
        assert isinstance(errors[0], ArchiveUnavailable), "the others of its group are not affected"
        assert errors[1] is None
    with pytest.raises(ArchiveUnavailable):
        list(store.paths())


@pytest.mark.parametrize("address", ["", "ftp://x/y", "s3://", "sqlite://relative.db", "sqlite:///"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="JOBTIDE_ARCHIVE_URL"):
        load(ArchiveSettings, url=address)
    with pytest.raises(UserError, match="JOBTIDE_ARCHIVE_CLUSTERS"):
        load(ArchiveSettings, clusters={"fritz": address})


def test_keys_of_s3_go_together() -> None:
    with pytest.raises(UserError, match="go together"):
        load(ArchiveSettings, url="s3://x", s3_access_key="a")
