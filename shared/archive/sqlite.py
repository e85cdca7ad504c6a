"""A job archive in one SQLite file, with the tables of cc-backend. Thumbnails are in a table of their own, which cc-backend ignores."""

import sqlite3
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.archive.layout import (
    VERSION,
    ArchiveError,
    ArchiveUnavailable,
    JobPath,
    is_same_file,
    require_size,
    require_version,
    version_of,
)
from shared.archive.store import ArchiveStore, Leftover, StoredData, Stray
from shared.archive.writer import Entry
from shared.errors import UserError

BUSY_TIMEOUT_S = 60.0
PAGE = 1000
_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    cluster TEXT NOT NULL,
    start_time INTEGER NOT NULL,
    meta_json BLOB NOT NULL,
    data_json BLOB,
    data_compressed BOOLEAN DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (job_id, cluster, start_time)
);
CREATE INDEX IF NOT EXISTS idx_jobs_cluster ON jobs (cluster);
CREATE INDEX IF NOT EXISTS idx_jobs_start_time ON jobs (start_time);
CREATE INDEX IF NOT EXISTS idx_jobs_order ON jobs (cluster, start_time);
CREATE INDEX IF NOT EXISTS idx_jobs_lookup ON jobs (cluster, job_id, start_time);
CREATE TABLE IF NOT EXISTS clusters (name TEXT PRIMARY KEY, config_json BLOB NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_THUMBNAILS = """
CREATE TABLE IF NOT EXISTS jobtide_thumbnails (
    cluster TEXT, job_id INTEGER, start_time INTEGER, content BLOB NOT NULL, PRIMARY KEY (cluster, job_id, start_time)
) WITHOUT ROWID
"""
_JOB = "cluster = ? AND job_id = ? AND start_time = ?"
# updated_at grows with every change, also within a second, so that readers notice it.
_UPSERT = """
INSERT INTO jobs (cluster, job_id, start_time, meta_json, data_json, data_compressed, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
ON CONFLICT (job_id, cluster, start_time) DO UPDATE SET meta_json = excluded.meta_json, data_json = excluded.data_json,
    data_compressed = excluded.data_compressed, updated_at = max(jobs.updated_at + 1, excluded.updated_at)
"""
_UPDATE_META = f"UPDATE jobs SET meta_json = ?, updated_at = max(updated_at + 1, ?) WHERE {_JOB}"  # noqa: S608 - a constant
_LOST_THUMBNAILS = """
FROM jobtide_thumbnails WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.cluster = jobtide_thumbnails.cluster
    AND jobs.job_id = jobtide_thumbnails.job_id AND jobs.start_time = jobtide_thumbnails.start_time)
"""
_PROBE = "jobtide_probe"


class SqliteStore(ArchiveStore):
    """Each thread has its own connection."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.address = f"sqlite:///{file}"
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @property
    def place(self) -> str:
        return f"sqlite:///{self.file.absolute()}"

    def is_same_place(self, other: ArchiveStore) -> bool:
        return isinstance(other, SqliteStore) and is_same_file(self.file, other.file)

    def open(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self.file.exists() or not self.file.stat().st_size
        except OSError as e:
            raise UserError(f"the archive {self.address} cannot be opened: {e.strerror}") from e
        try:
            with self._connected(creates=True) as connection:
                if not is_new and not _is_archive(connection):
                    raise UserError(f"{self.address} is neither empty nor an archive: it has no table jobs")
                connection.executescript(_TABLES)
                connection.execute(_THUMBNAILS)
                connection.execute("INSERT OR IGNORE INTO metadata (key, value) VALUES ('version', ?)", (str(VERSION),))
        except ArchiveUnavailable as e:
            raise UserError(f"the archive cannot be opened: {e}") from e
        require_version(self.version(), self.address)

    def version(self) -> int:
        try:
            with self._connected() as connection:
                if not _is_archive(connection):
                    raise UserError(f"{self.address} is not an archive: it has no table jobs")
                row = connection.execute("SELECT value FROM metadata WHERE key = 'version'").fetchone()
        except ArchiveUnavailable as e:
            raise UserError(str(e)) from e
        return version_of("" if row is None else str(row[0]), self.address)

    def require(self) -> None:
        try:
            require_version(self.version(), self.address)
        except UserError as e:
            raise ArchiveUnavailable(str(e)) from e

    def check(self, size: int) -> None:
        self.require()
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO metadata (key, value) VALUES (?, zeroblob(?))", (_PROBE, size))
        with self._transaction() as connection:
            connection.execute("DELETE FROM metadata WHERE key = ?", (_PROBE,))

    def close(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    def clusters(self) -> list[str]:
        with self._connected() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM clusters ORDER BY name")]

    def cluster_text(self, cluster: str) -> bytes:
        with self._connected() as connection:
            row = connection.execute("SELECT config_json FROM clusters WHERE name = ?", (cluster,)).fetchone()
        if row is None:
            raise ArchiveError(f"{self.address}: no cluster {cluster}")
        return _bytes(row[0])

    def write_cluster(self, cluster: str, text: bytes) -> bool:
        with self._transaction() as connection:
            row = connection.execute("SELECT config_json FROM clusters WHERE name = ?", (cluster,)).fetchone()
            if row is not None and _bytes(row[0]) == text:
                return False
            connection.execute("INSERT OR REPLACE INTO clusters VALUES (?, ?, ?)", (cluster, text, int(time.time())))
        return True

    def paths(self) -> Iterator[JobPath | Stray]:
        query = "SELECT cluster, job_id, start_time FROM jobs WHERE (cluster, job_id, start_time) > (?, ?, ?) ORDER BY 1, 2, 3 LIMIT ?"
        last: tuple[str, int, int] = ("", 0, 0)
        while True:
            with self._connected() as connection:
                rows = connection.execute(query, (*last, PAGE)).fetchall()
            yield from (JobPath(*row) for row in rows)
            if len(rows) < PAGE:
                return
            last = rows[-1]

    def size(self, path: JobPath) -> int:
        row = self._row(path, "length(meta_json) + coalesce(length(data_json), 0)")
        return 0 if row is None else int(row[0])

    def is_complete(self, path: JobPath) -> bool:
        return self._row(path, "1", " AND data_json IS NOT NULL") is not None

    def meta(self, path: JobPath) -> bytes:
        row = self._row_of_size(path, "meta_json", "meta_json")
        if row is None:
            raise ArchiveError(f"{path.relative}: not in {self.address}")
        return _bytes(row[0])

    def data(self, path: JobPath) -> StoredData:
        row = self._row_of_size(path, "data_json", "data_json, data_compressed", " AND data_json IS NOT NULL")
        if row is None:
            raise ArchiveError(f"{path.relative}: no data in {self.address}")
        return StoredData(_bytes(row[0]), bool(row[1]))

    def data_stamp(self, path: JobPath) -> tuple[Hashable, int]:
        row = self._row(path, "id, updated_at, length(data_json)", " AND data_json IS NOT NULL")
        if row is None:
            raise ArchiveError(f"{path.relative}: no data in {self.address}")
        return row, int(row[2])

    def thumbnail(self, path: JobPath) -> bytes | None:
        with suppress(ArchiveUnavailable), self._connected() as connection:
            row = connection.execute(f"SELECT content FROM jobtide_thumbnails WHERE {_JOB}", _key(path)).fetchone()  # noqa: S608
            return None if row is None else _bytes(row[0])
        return None

    def write_thumbnail(self, path: JobPath, content: bytes) -> None:
        with self._transaction() as connection:
            connection.execute(_THUMBNAILS)
            connection.execute("INSERT OR REPLACE INTO jobtide_thumbnails VALUES (?, ?, ?, ?)", (*_key(path), content))

    def write(self, entries: Sequence[Entry]) -> list[Exception | None]:
        """The group is one transaction. If it fails, each entry is written by itself."""
        try:
            with self._transaction() as connection:
                for entry in entries:
                    _write(connection, entry)
        except (ArchiveError, ArchiveUnavailable) as e:
            return [e] if len(entries) == 1 else [error for entry in entries for error in self.write([entry])]
        return [None] * len(entries)

    def remove(self, paths: Sequence[JobPath]) -> list[Exception | None]:
        try:
            with self._transaction() as connection:
                connection.execute(_THUMBNAILS)  # absent in a file that cc-backend made
                for path in paths:
                    _delete(connection, path)
        except ArchiveUnavailable as e:
            return [e] * len(paths)
        return [None] * len(paths)

    def remove_unchanged(self, entries: Sequence[Entry]) -> list[Exception | None]:
        try:
            with self._transaction() as connection:
                connection.execute(_THUMBNAILS)
                for entry in entries:
                    if _stored(connection, entry.path) == entry:
                        _delete(connection, entry.path)
        except (ArchiveError, ArchiveUnavailable) as e:
            return [e] * len(entries)
        return [None] * len(entries)

    def leftovers(self) -> Iterator[Leftover]:
        with self._connected() as connection:
            if not _has_thumbnails(connection):
                return
            count, size = connection.execute(f"SELECT count(*), coalesce(sum(length(content)), 0) {_LOST_THUMBNAILS}").fetchone()
        if count:
            yield Leftover("unused", f"{self.address}: thumbnails of {count} removed entries", size, self._remove_lost_thumbnails)

    def _remove_lost_thumbnails(self) -> None:
        with self._transaction() as connection:
            connection.execute(f"DELETE {_LOST_THUMBNAILS}")

    def vacuum(self) -> None:
        """Give the space of removed entries back to the file system."""
        with self._connected() as connection:
            connection.execute("VACUUM")

    def _row(self, path: JobPath, columns: str, condition: str = "") -> tuple[int, ...] | None:
        with self._connected() as connection:
            found: tuple[int, ...] | None = connection.execute(
                f"SELECT {columns} FROM jobs WHERE {_JOB}{condition}",  # noqa: S608 - constants
                _key(path),
            ).fetchone()
        return found

    def _row_of_size(self, path: JobPath, measured: str, columns: str, condition: str = "") -> tuple[int, ...] | None:
        """Raises TooLarge before it reads the column ``measured``."""
        if (size := self._row(path, f"length({measured})", condition)) is not None:
            require_size(f"{self.address}: {path.relative}/{measured}", size[0])
        return self._row(path, columns, condition)

    @contextmanager
    def _connected(self, *, creates: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection of this thread. A file that was moved away or replaced is noticed. Raises ArchiveUnavailable, ArchiveError."""
        try:
            yield self._connection(creates=creates)
        except (sqlite3.DataError, sqlite3.IntegrityError) as e:  # the fault of an entry, such as one above the limit of SQLite
            raise ArchiveError(f"{self.address}: {e}") from e
        except sqlite3.Error as e:
            self._forget()
            raise ArchiveUnavailable(f"{self.address}: {e}") from e

    def _connection(self, *, creates: bool) -> sqlite3.Connection:
        known: tuple[sqlite3.Connection, object] | None = getattr(self._local, "known", None)
        identity = _identity(self.file)
        if known is not None and known[1] == identity and identity is not None:
            return known[0]
        self._forget()
        if identity is None and not creates:
            raise sqlite3.OperationalError("the file does not exist")
        uri = f"{self.file.absolute().as_uri()}?mode={'rwc' if creates else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        with self._lock:
            self._connections.append(connection)
        if creates:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a reported entry must survive a power loss
        self._local.known = connection, _identity(self.file)
        return connection

    def _forget(self) -> None:
        known = getattr(self._local, "known", None)
        self._local.known = None
        if known is not None:
            with self._lock, suppress(ValueError):
                self._connections.remove(known[0])
            with suppress(sqlite3.Error):
                known[0].close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise


def _is_archive(connection: sqlite3.Connection) -> bool:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {"jobs", "metadata"} <= names


def _has_thumbnails(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobtide_thumbnails'").fetchone()
    return found is not None


def _write(connection: sqlite3.Connection, entry: Entry) -> None:
    key, now = _key(entry.path), int(time.time())
    entry.require_sizes()
    if entry.data is None:
        if not connection.execute(_UPDATE_META, (entry.meta, now, *key)).rowcount:
            raise ArchiveError(f"{entry.path.relative}: not in the archive")
        return
    connection.execute(_UPSERT, (*key, entry.meta, entry.data, int(entry.is_packed), now))
    connection.execute(_THUMBNAILS)  # absent in a file that cc-backend made
    if entry.thumbnail is None:
        connection.execute(f"DELETE FROM jobtide_thumbnails WHERE {_JOB}", key)  # noqa: S608
    else:
        connection.execute("INSERT OR REPLACE INTO jobtide_thumbnails VALUES (?, ?, ?, ?)", (*key, entry.thumbnail))


def _delete(connection: sqlite3.Connection, path: JobPath) -> None:
    connection.execute(f"DELETE FROM jobs WHERE {_JOB}", _key(path))  # noqa: S608
    connection.execute(f"DELETE FROM jobtide_thumbnails WHERE {_JOB}", _key(path))  # noqa: S608


def _stored(connection: sqlite3.Connection, path: JobPath) -> Entry | None:
    """The complete entry."""
    query = f"SELECT meta_json, data_json, data_compressed FROM jobs WHERE {_JOB} AND data_json IS NOT NULL"  # noqa: S608
    row = connection.execute(query, _key(path)).fetchone()
    if row is None:
        return None
    thumbnail = connection.execute(f"SELECT content FROM jobtide_thumbnails WHERE {_JOB}", _key(path)).fetchone()  # noqa: S608
    return Entry(path, _bytes(row[0]), _bytes(row[1]), bool(row[2]), None if thumbnail is None else _bytes(thumbnail[0]))


def _key(path: JobPath) -> tuple[str, int, int]:
    return path.cluster, path.job_id, path.start_time


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _bytes(value: object) -> bytes:
    """cc-backend's values are blobs; those of other tools may be text."""
    return value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
