"""The tables of the copy, in a private DuckDB. All calls block and run in worker threads."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import duckdb
from sqlalchemy import Column, ColumnElement, MetaData, Select, Table, types

from services.gateway.reading.columns.dialect import DUCKDB_LOWER, compiled
from services.gateway.reading.columns.lines import JOB_FIELDS, JOBTAG_FIELDS, NULL, TAG_FIELDS, Field
from services.gateway.reading.routing import ColumnsAway, Question, ask_blocking
from services.gateway.reading.source import FOOTPRINT_KEY, Source, lower_copy
from shared.database.tables import tables

T = TypeVar("T")

ROWS_AT_ONCE = 1000  # converted to Python values before another thread may run
MAX_FOOTPRINT_KEYS = 500  # with their own columns; queries for other keys go to the database
CHECKPOINT_ROWS = 100_000  # replaced or deleted rows after which their space is reclaimed
LOWER_TEXTS = ("hpc_user", "job_name")
MAX_LINE_BYTES = 8 * 1024 * 1024

_STORED_FIELDS = tuple(field for field in JOB_FIELDS if field.name != "footprint")
_TYPES: dict[str, Any] = {"BIGINT": types.BigInteger(), "INTEGER": types.Integer(), "DOUBLE": types.Double(), "VARCHAR": types.Text()}


# Only column names of this file and checked footprint keys are formatted into statements, never values.
# ruff: noqa: S608


class ColumnStore:
    """One writer at a time and any number of concurrent readers, which see a consistent snapshot."""

    def __init__(self, *, memory_mb: int, threads: int) -> None:
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": "",  # nothing spills to disk; queries that do not fit go to the database
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._readers = self._connection.cursor()  # creates the readers' cursors, also while the writer is busy
        self._keys: list[str] = []  # footprint keys in the order of their columns
        self._replaced = 0
        self._make_tables()
        self.source = self._make_source()

    def close(self) -> None:
        """Called by the writer. The data is freed when the last busy reader ends."""
        self._readers.close()
        self._connection.close()

    def _make_tables(self) -> None:
        lower = [Field(lower_copy(name), "VARCHAR") for name in LOWER_TEXTS]
        for name, fields in (("job", (*_STORED_FIELDS, *lower)), ("jobtag", JOBTAG_FIELDS), ("tag", TAG_FIELDS)):
            self._connection.execute(f"CREATE TABLE {name} ({', '.join(f'{field.name} {field.type}' for field in fields)})")

    def _make_source(self) -> Source:
        metadata = MetaData()
        lower = [Column(lower_copy(name), types.Text()) for name in LOWER_TEXTS]
        numbers: dict[str, Column[float]] = {key: Column(_number_column(place), types.Double()) for place, key in enumerate(self._keys)}
        job = Table(
            "job",
            metadata,
            *(Column(field.name, _TYPES[field.type], nullable=tables.job.c[field.name].nullable) for field in _STORED_FIELDS),
            *lower,
            *numbers.values(),
        )
        jobtag, tag = (
            Table(name, metadata, *(Column(field.name, _TYPES[field.type]) for field in fields))
            for name, fields in (("jobtag", JOBTAG_FIELDS), ("tag", TAG_FIELDS))
        )

        def footprint(key: str) -> ColumnElement[float] | None:
            if key not in numbers and len(numbers) >= MAX_FOOTPRINT_KEYS:
                raise ColumnsAway
            return numbers.get(key)

        return Source(job, jobtag, tag, footprint, frozenset(LOWER_TEXTS))

    @property
    def rows(self) -> int:
        found = self._readers.cursor().execute("SELECT count(*) FROM job").fetchone()
        return int(found[0]) if found else 0

    # writing

    def write(self, work: "Sequence[Callable[[CopyTransaction], None]]") -> None:
        """Commit all or nothing. Space of replaced rows is reclaimed periodically."""
        keys = list(self._keys)
        transaction = CopyTransaction(self._connection, self._keys)
        self._connection.execute("BEGIN")
        try:
            for part in work:
                part(transaction)
            self._connection.execute("COMMIT")
        except BaseException:
            self._keys[:] = keys
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            raise
        if keys != self._keys:
            self.source = self._make_source()
        self._replaced += transaction.replaced
        if self._replaced >= CHECKPOINT_ROWS:
            with suppress(duckdb.TransactionException):  # readers are active: tried again after the next transaction
                self._connection.execute("CHECKPOINT")
                self._replaced = 0

    # reading

    def reader(self) -> "Reader":
        return Reader(self._readers.cursor(), self.source)


class CopyTransaction:
    """A writing transaction. Its texts are results of the statements in ``lines``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, keys: list[str]) -> None:
        self._connection = connection
        self._keys = keys
        self.replaced = 0

    def add_jobs(self, text: str, *, are_new: bool = False) -> None:
        """Replaces existing jobs and deletes their tags. ``are_new`` skips this when none of the jobs exists yet."""
        if not text:
            return
        self._stage(text, JOB_FIELDS)
        if not are_new:
            self._delete("job", "id IN (SELECT id FROM incoming)")
            self._delete("jobtag", "job_id IN (SELECT id FROM incoming)")
        self._add_footprint_keys()
        lower = [f"{DUCKDB_LOWER.format(name)} AS {lower_copy(name)}" for name in LOWER_TEXTS]
        numbers, shape = _numbers(self._keys)
        wanted = ", ".join([*(field.name for field in _STORED_FIELDS), *lower, *numbers])
        self._connection.execute(f"INSERT INTO job SELECT {wanted} FROM (SELECT *, {shape} AS numbers FROM incoming)")

    def add_jobtags(self, text: str) -> None:
        if not text:
            return
        self._stage(text, JOBTAG_FIELDS)
        self._connection.execute("INSERT INTO jobtag SELECT job_id, tag_id FROM incoming")

    def add_tags(self, text: str) -> None:
        """Existing rows are skipped."""
        if not text:
            return
        self._stage(text, TAG_FIELDS)
        self._connection.execute("INSERT INTO tag SELECT id, tag_type, tag_scope FROM incoming WHERE id NOT IN (SELECT id FROM tag)")

    def delete_jobs(self, keys: Sequence[int]) -> None:
        for first in range(0, len(keys), ROWS_AT_ONCE):
            part = list(keys[first : first + ROWS_AT_ONCE])
            self._delete("job", "id IN (SELECT unnest($1::BIGINT[]))", part)
            self._delete("jobtag", "job_id IN (SELECT unnest($1::BIGINT[]))", part)

    def _delete(self, table: str, condition: str, *values: Any) -> None:
        gone = self._connection.execute(f"DELETE FROM {table} WHERE {condition}", list(values)).fetchone()
        self.replaced += int(gone[0]) if gone else 0

    def _add_footprint_keys(self) -> None:
        """A key gets its column when it first appears."""
        if len(self._keys) >= MAX_FOOTPRINT_KEYS:
            return
        found = self._connection.execute("SELECT DISTINCT unnest(json_keys(footprint)) FROM incoming").fetchall()
        for (key,) in sorted(found):
            if key not in self._keys and FOOTPRINT_KEY.fullmatch(key) and len(self._keys) < MAX_FOOTPRINT_KEYS:
                self._connection.execute(f"ALTER TABLE job ADD COLUMN {_number_column(len(self._keys))} DOUBLE")
                self._keys.append(key)

    def _stage(self, text: str, fields: Sequence[Field]) -> None:
        """Fill the table ``incoming`` with the rows of a text, which DuckDB reads from a pipe."""
        columns = ", ".join(f"'{field.name}': '{field.type}'" for field in fields)
        options = (
            f"columns={{{columns}}}, auto_detect=false, header=false, delim=',', quote='\"', escape='\"', new_line='\\n',"
            f" nullstr='{NULL}', allow_quoted_nulls=false, max_line_size={MAX_LINE_BYTES}"
        )
        read_end, write_end = os.pipe()
        feeder = threading.Thread(target=_feed, args=(write_end, text.encode()), name="columns-feed", daemon=True)
        feeder.start()
        try:
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE incoming AS SELECT * FROM read_csv('/dev/fd/{read_end}', {options})")
        finally:
            os.close(read_end)  # ends the feeder if DuckDB stopped reading
            feeder.join()


def _feed(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(data)


class Reader:
    """One query; all its statements see the same snapshot."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, source: Source) -> None:
        self._cursor = cursor
        self._source = source

    def answer(self, question: Question[T]) -> T:
        """May be called once."""
        try:
            self._cursor.execute("BEGIN TRANSACTION READ ONLY")
            return ask_blocking(self._source, self._rows, question)
        finally:
            self._cursor.close()

    def _rows(self, statement: Select[Any]) -> Iterator[tuple[Any, ...]]:
        text, values = compiled(statement)
        self._cursor.execute(text, values)
        while rows := self._cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows

    def stop(self) -> None:
        """Interrupt the running statement, from any thread."""
        with suppress(duckdb.Error):  # the statement has ended
            self._cursor.interrupt()


def _number_column(place: int) -> str:
    return f"number_{place}"


def _numbers(keys: Sequence[str]) -> tuple[list[str], str]:
    """An expression for each key's number, and the object that most of them read from, because parsing the JSON only once is faster.

    DuckDB treats field names that differ only in case as one, so all but the first of such keys are looked up separately.
    """
    places, shape = [], dict[str, str]()
    for key in keys:
        if key.lower() in shape:
            places.append(f"TRY_CAST(json_extract_string(footprint, '$.\"{key}\"') AS DOUBLE)")
        else:
            shape[key.lower()] = key
            places.append(f'numbers."{key}"')
    text = ", ".join(f'"{key}": "DOUBLE"' for key in shape.values())
    return places, f"json_transform(footprint, '{{{text}}}')" if text else "NULL"
