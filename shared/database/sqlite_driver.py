"""SQLite through aiosqlite, in fewer steps: each one hands over to the connection's thread and back, which costs more than most
statements. Its own cursor takes four of them for a statement, and two more for the beginning and the end of a transaction.

For readers (the gateway reads many small things per request); it builds on what aiosqlite keeps inside, so its version is pinned.
"""

from collections import deque
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_cursor
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
    SQLiteDialect_aiosqlite,
)
from sqlalchemy.util import EMPTY_DICT, await_only

DRIVER = "sqlite+jobtide"
_BEGIN = "BEGIN"  # takes no lock before the first statement: it may as well come with it


class _Done:
    """What a statement left, with its cursor closed."""

    __slots__ = ("description", "in_transaction", "lastrowid", "rowcount", "rows")

    def __init__(self, connection: Connection, begin: bool, operation: str, parameters: Any, *, many: bool) -> None:
        """Runs in the connection's thread."""
        if begin:
            connection.execute(_BEGIN)
        cursor = connection.cursor()
        try:
            if many:
                cursor.executemany(operation, parameters)
            else:
                cursor.execute(operation, parameters)
            self.description = cursor.description
            self.rows = deque(cursor.fetchall()) if cursor.description else deque()
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()
        self.in_transaction = connection.in_transaction


class OneStepCursor(AsyncAdapt_aiosqlite_cursor):
    """A statement, all its rows and the end of its cursor in one step."""

    __slots__ = ("_done", "arraysize")

    def __init__(self, adapt_connection: Any) -> None:
        self._adapt_connection: Any = adapt_connection
        self._connection = adapt_connection._connection
        self._rows: deque[Any] = deque()
        self._soft_closed_memoized = EMPTY_DICT
        self._done: _Done | None = None
        self.arraysize = 1

    @property
    def description(self) -> Any:
        return self._done and self._done.description

    @property
    def rowcount(self) -> int:
        return self._done.rowcount if self._done else -1

    @property
    def lastrowid(self) -> Any:
        return self._done and self._done.lastrowid

    async def _async_soft_close(self) -> None:
        return

    def close(self) -> None:
        self._rows.clear()

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        if operation == _BEGIN:
            self._adapt_connection.begins = True
        else:
            await self._run(operation, parameters or (), many=False)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._run(operation, seq_of_parameters, many=True)

    async def _run(self, operation: str, parameters: Sequence[Any], *, many: bool) -> None:
        self._done = await self._adapt_connection.run(operation, parameters, many=many)
        self._rows = self._done.rows


class OneStepConnection(AsyncAdapt_aiosqlite_connection):
    """``begins``: a transaction was begun that has no statement yet. Nothing is ended that was not really begun."""

    __slots__ = ("_may_be_open", "begins")

    _cursor_cls = OneStepCursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self.begins = False
        self._may_be_open = True

    async def run(self, operation: str, parameters: Sequence[Any], *, many: bool) -> _Done:
        async with self._execute_mutex:
            begin, self.begins = self.begins, False
            # Whoever is cancelled here does not know what the thread still does.
            self._may_be_open = True
            connection: Any = self._connection
            done: _Done = await connection._execute(_Done, connection._conn, begin, operation, parameters, many=many)
            self._may_be_open = done.in_transaction
            return done

    def cursor(self, server_side: bool = False) -> AsyncAdapt_dbapi_cursor:
        if server_side and self.begins:
            await_only(self.run("SELECT 1", (), many=False))
        return super().cursor(server_side)

    def commit(self) -> None:
        self.begins = False
        if self._may_be_open:
            super().commit()
            self._may_be_open = False

    def rollback(self) -> None:
        self.begins = False
        if self._may_be_open:
            super().rollback()
            self._may_be_open = False


class _Driver(AsyncAdapt_aiosqlite_dbapi):
    def connect(self, *arguments: Any, **options: Any) -> OneStepConnection:
        connection = self.aiosqlite.connect(*arguments, **options)
        connection._thread.daemon = True
        return OneStepConnection(self, await_only(connection))


class Dialect(SQLiteDialect_aiosqlite):
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> _Driver:
        import sqlite3

        import aiosqlite

        return _Driver(aiosqlite, sqlite3)


registry.register("sqlite.jobtide", __name__, Dialect.__name__)
