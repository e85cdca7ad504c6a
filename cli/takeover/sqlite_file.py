"""The SQLite file of a cc-backend, read without changing it and while cc-backend may write to it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from cli.takeover.database import Execute
from shared.errors import Unavailable, UserError

BUSY_TIMEOUT_S = 60.0
_MAX_READS = 5  # attempts for one page while cc-backend starts or stops
T = TypeVar("T")


class SqliteFile:
    """While cc-backend has the database open there is a write-ahead log beside it, which is read too. Without one, nobody has it
    open: then it is read as an immutable file, which needs no lock files that another user could not open afterwards.
    """

    def __init__(self, path: Path) -> None:
        """Raises UserError if there is no such file."""
        self.name = str(path)
        self._path = path
        if not path.is_file():
            raise UserError(f"there is no database {path}")
        self._connection: sqlite3.Connection | None = None
        self._stamp: tuple[int, int] | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def columns(self, table: str) -> set[str]:
        return {row["name"] for row in self.read(lambda execute: execute(f"PRAGMA table_info({table})"))}

    def read(self, work: Callable[[Execute], T]) -> T:
        """Again if cc-backend began to write while the file was read as immutable."""
        try:
            for _ in range(_MAX_READS):
                with self._transaction() as db:
                    result = work(lambda statement, values=(): db.execute(statement, values).fetchall())
                if self._stamp is None or self._stamp == self._quiet_stamp():
                    return result
                self.close()
        except (sqlite3.Error, OSError) as e:
            self.close()
            raise Unavailable(f"cannot read {self._path}: {e}") from e
        raise Unavailable(f"{self._path} is opened and closed all the time; try again")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.execute("BEGIN")
        try:
            yield self._connection
        finally:
            self._connection.execute("ROLLBACK")

    def _connect(self) -> sqlite3.Connection:
        self._stamp = self._quiet_stamp()
        options = "mode=ro" if self._stamp is None else "mode=ro&immutable=1"
        uri = f"file:{quote(str(self._path.absolute()))}?{options}"
        # Reads run in threads, one at a time.
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA query_only = 1")
        return db

    def _quiet_stamp(self) -> tuple[int, int] | None:
        """Identifies the content of a database that no process has open. None if there is a write-ahead log."""
        if self._path.with_name(f"{self._path.name}-wal").exists():
            return None
        state = self._path.stat()
        return state.st_mtime_ns, state.st_size
