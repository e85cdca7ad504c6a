"""Reads the database of a cc-backend, schema 6 to 11, without changing it and while cc-backend may write to it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from shared.errors import Unavailable, UserError

VERSIONS = range(6, 12)
T = TypeVar("T")

Row = Any  # values by place and by name

# Columns of ``job`` as named since schema 9, and what replaces each in older schemas.
_JOB_COLUMNS = {
    "id": "id",
    "job_id": "job_id",
    "cluster": "cluster",
    "subcluster": "subcluster",
    "submit_time": "0",
    "start_time": "start_time",
    "hpc_user": '"user"',
    "project": "project",
    "cluster_partition": '"partition"',
    "array_job_id": "array_job_id",
    "duration": "duration",
    "walltime": "walltime",
    "job_state": "job_state",
    "meta_data": "meta_data",
    "resources": "resources",
    "num_nodes": "num_nodes",
    "num_hwthreads": "num_hwthreads",
    "num_acc": "num_acc",
    "smt": "smt",
    "shared": "CASE exclusive WHEN 1 THEN 'none' WHEN 2 THEN 'single_user' ELSE 'multi_user' END",
    "monitoring_status": "monitoring_status",
    "energy": "0",
    "energy_footprint": "NULL",
    "footprint": "NULL",
}
_NODE_COLUMNS = """
    n.hostname, n.cluster, n.subcluster, s.time_stamp, s.node_state, s.cpus_allocated, s.memory_allocated, s.gpus_allocated, s.jobs_running,
    s.health_state, s.health_metrics
"""
_NODE_PAGE = 5000
# The fixed columns before schema 8, and the footprints that its migration made of them.
_OLD_FOOTPRINTS = {
    "mem_used_max": "mem_used_max",
    "flops_any_avg": "flops_any_avg",
    "mem_bw_avg": "mem_bw_avg",
    "load_avg": "cpu_load_avg",
    "net_bw_avg": "net_bw_avg",
    "net_data_vol_total": "net_data_vol_total",
    "file_bw_avg": "file_bw_avg",
    "file_data_vol_total": "file_data_vol_total",
}


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A row of ``job`` with its tags as (type, name, scope). ``id`` is None for a row of the staging table ``job_cache``."""

    id: int | None
    row: Row
    tags: tuple[tuple[str, str, str], ...]


class Execute(Protocol):
    """The rows of a statement, whose values are marked with ``?``."""

    def __call__(self, statement: str, values: Sequence[Any] = (), /) -> list[Row]: ...


class Reader(Protocol):
    """One kind of database. ``name`` is for people."""

    name: str

    def columns(self, table: str) -> set[str]:
        """Empty if there is no such table."""
        ...

    def read(self, work: Callable[[Execute], T]) -> T:
        """Run ``work`` in one read transaction. Raises Unavailable."""
        ...

    def close(self) -> None: ...


class Database:
    """Every read is a short transaction, so that cc-backend is not held up. Methods block."""

    def __init__(self, reader: Reader) -> None:
        """Raises UserError if it has another schema."""
        self._reader = reader
        self._read = reader.read
        self._columns = reader.columns
        self.version = self._check_version()
        columns = self._columns("job")
        self._job_columns = ", ".join(
            name if name in columns else f"{_old_footprints(columns) if name == 'footprint' else other} AS {name}"
            for name, other in _JOB_COLUMNS.items()
        )
        self._users = "hpc_user" if self._columns("hpc_user") else '"user"'
        self._scope = "t.tag_scope" if "tag_scope" in self._columns("tag") else "'global'"

    def close(self) -> None:
        self._reader.close()

    def count_jobs(self) -> int:
        return int(self._read(lambda execute: execute("SELECT count(*) FROM job")[0][0]))

    def highest_id(self) -> int:
        return int(self._read(lambda execute: execute("SELECT coalesce(max(id), 0) FROM job")[0][0]))

    def staged(self) -> list[StoredJob]:
        """Jobs that cc-backend has not moved to ``job`` yet. Read them first: a job that moves is then read twice, not missed."""
        if not self._columns("job_cache"):
            return []
        statement = f"SELECT {self._job_columns} FROM job_cache ORDER BY id"  # noqa: S608
        return [StoredJob(None, row, ()) for row in self._read(lambda execute: execute(statement))]

    def jobs(self, page: int) -> Iterator[list[StoredJob]]:
        """All jobs by ascending id, ``page`` at a time, each page as it is when it is read."""
        last: int | None = -1
        while last is not None and (found := self._jobs_after(last, page)):
            yield found
            last = found[-1].id

    def jobs_by_id(self, ids: list[int]) -> list[StoredJob]:
        marks = ", ".join("?" * len(ids))
        return self._read(lambda execute: self._select(execute, f"id IN ({marks})", ids))

    def tags(self) -> list[tuple[str, str, str]]:
        """(type, name, scope) of every tag, used or not."""
        statement = f"SELECT t.tag_type, t.tag_name, {self._scope} FROM tag t ORDER BY t.id"  # noqa: S608
        return [tuple(row) for row in self._read(lambda execute: execute(statement))]

    def users(self) -> list[Row]:
        return self._read(lambda execute: execute(f"SELECT * FROM {self._users} ORDER BY username"))  # noqa: S608

    def settings(self) -> list[tuple[str, str, str]]:
        """(user, key, JSON text) of every personal setting."""
        statement = "SELECT username, confkey, value FROM configuration WHERE value IS NOT NULL ORDER BY username, confkey"
        return [(row[0], row[1], as_text(row[2])) for row in self._read(lambda execute: execute(statement))]

    def node_states(self) -> list[Row]:
        """The newest state of each node, by time."""
        if not self._columns("node_state"):
            return []
        statement = f"""
            SELECT {_NODE_COLUMNS}
              FROM node n JOIN node_state s ON s.id = (
                   SELECT id FROM node_state WHERE node_id = n.id ORDER BY time_stamp DESC, id DESC LIMIT 1)
             ORDER BY s.time_stamp, n.cluster, n.hostname"""  # noqa: S608
        return self._read(lambda execute: execute(statement))

    def node_history(self, since: int) -> Iterator[Row]:
        """All states of nodes later than ``since``, by time, each page as it is when it is read."""
        statement = f"""
            SELECT {_NODE_COLUMNS}, s.id
              FROM node_state s JOIN node n ON n.id = s.node_id
             WHERE s.time_stamp >= ? AND (s.time_stamp, s.id) > (?, ?) ORDER BY s.time_stamp, s.id LIMIT {_NODE_PAGE}"""  # noqa: S608

        def after(time: int, id_: int) -> list[Row]:
            return self._read(lambda execute: execute(statement, (time, time, id_)))

        page = after(since + 1, -1)
        while page:
            yield from page
            page = after(page[-1]["time_stamp"], page[-1]["id"])

    def query(self, statement: str) -> list[Row]:
        """The rows of one SELECT over the current names of tables and columns; ``{job}`` stands for the table of jobs."""
        job = f"(SELECT {self._job_columns} FROM job)"  # noqa: S608
        return self._read(lambda execute: execute(statement.replace("{job}", job)))

    # pages

    def _jobs_after(self, id_: int, limit: int) -> list[StoredJob]:
        return self._read(lambda execute: self._select(execute, "id > ? ORDER BY id LIMIT ?", [id_, limit]))

    def _select(self, execute: Execute, where: str, values: list[int]) -> list[StoredJob]:
        rows = execute(f"SELECT {self._job_columns} FROM job WHERE {where}", values)  # noqa: S608
        if not rows:
            return []
        tags: dict[int, list[tuple[str, str, str]]] = {}
        statement = f"""
            SELECT j.job_id, t.tag_type, t.tag_name, {self._scope} FROM jobtag j JOIN tag t ON t.id = j.tag_id
             WHERE j.job_id BETWEEN ? AND ?"""  # noqa: S608
        for id_, *tag in execute(statement, [min(row["id"] for row in rows), max(row["id"] for row in rows)]):
            tags.setdefault(id_, []).append((tag[0], tag[1], tag[2]))
        return [StoredJob(row["id"], row, tuple(sorted(tags.get(row["id"], ())))) for row in rows]

    def _check_version(self) -> int:
        try:
            row = next(iter(self._read(lambda execute: execute("SELECT version, dirty FROM schema_migrations"))), None)
        except Unavailable as e:
            raise UserError(f"{self._reader.name} is not the database of a cc-backend: {e}") from e
        if row is None or row["version"] not in VERSIONS or row["dirty"]:
            found = "no schema" if row is None else f"schema {row['version']}{', left by a failed migration' if row['dirty'] else ''}"
            raise UserError(f"{self._reader.name} has {found}; schemas {VERSIONS[0]} to {VERSIONS[-1]} can be taken over")
        return int(row["version"])


def as_text(value: Any) -> Any:
    """JSON columns contain text or bytes, depending on the last writer."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _old_footprints(columns: set[str]) -> str:
    pairs = [f"'{name}', {column}" for column, name in _OLD_FOOTPRINTS.items() if column in columns]
    return f"json_object({', '.join(pairs)})" if pairs else "NULL"
