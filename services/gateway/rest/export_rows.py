"""Exported jobs: their columns, and rows as CSV, NDJSON and Parquet."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

import duckdb
import orjson

from services.gateway.people.identity import User
from services.gateway.reading.jobs import shown_duration
from services.gateway.reading.model import FoundJobs, StoredTag
from services.gateway.reading.source import FOOTPRINT_KEY
from shared.domain.clusters import Cluster

Record = dict[str, Any]

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_MEMORY_MB = 256  # of the conversion to Parquet; it goes through the file in batches
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins with one of these


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """``kind`` is a type of DuckDB."""

    name: str
    kind: str
    value: Callable[[Any], Any]


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(TIME_FORMAT)


COLUMNS = (
    ExportColumn("id", "BIGINT", attrgetter("id")),
    ExportColumn("jobId", "BIGINT", attrgetter("job_id")),
    ExportColumn("jobName", "VARCHAR", attrgetter("job_name")),
    ExportColumn("user", "VARCHAR", attrgetter("hpc_user")),
    ExportColumn("project", "VARCHAR", attrgetter("project")),
    ExportColumn("cluster", "VARCHAR", attrgetter("cluster")),
    ExportColumn("subCluster", "VARCHAR", attrgetter("subcluster")),
    ExportColumn("partition", "VARCHAR", attrgetter("cluster_partition")),
    ExportColumn("state", "VARCHAR", attrgetter("job_state")),
    ExportColumn("submitTime", "TIMESTAMP", lambda job: _time(job.submit_time)),
    ExportColumn("startTime", "TIMESTAMP", lambda job: _time(job.start_time)),
    ExportColumn("walltime", "BIGINT", attrgetter("walltime")),
    ExportColumn("numNodes", "BIGINT", attrgetter("num_nodes")),
    ExportColumn("numHWThreads", "BIGINT", attrgetter("num_hwthreads")),
    ExportColumn("numAcc", "BIGINT", attrgetter("num_acc")),
    ExportColumn("shared", "VARCHAR", attrgetter("shared")),
    ExportColumn("arrayJobId", "BIGINT", attrgetter("array_job_id")),
    ExportColumn("requestedMemory", "BIGINT", attrgetter("requested_memory")),
    ExportColumn("energy", "DOUBLE", attrgetter("energy")),
    ExportColumn("nodes", "VARCHAR", lambda job: job.hosts.strip()),
)
# Columns of the table that are read.
READ = tuple(
    "job_id job_name hpc_user project cluster subcluster cluster_partition job_state submit_time start_time duration walltime num_nodes"
    " num_hwthreads num_acc shared array_job_id requested_memory energy hosts footprint".split()
)
# After the columns of the table.
_COMPUTED = {"duration": "BIGINT", "tags": "VARCHAR"}


def footprint_keys(clusters: Mapping[str, Cluster], user: User) -> list[str]:
    """The footprints of all clusters, sorted, except those of metrics that the user may not see."""
    found: dict[str, str] = {}  # DuckDB treats names that differ only in case as one
    for cluster in clusters.values():
        for subcluster in cluster.sub_clusters:
            for metric in cluster.metrics_on(subcluster.name):
                key = f"{metric.name}_{metric.footprint}"
                if metric.footprint and FOOTPRINT_KEY.fullmatch(key) and (user.sees_all_jobs or not metric.restrict):
                    found.setdefault(key.lower(), key)
    taken = {name.lower() for name in _types(())}
    return sorted(key for lower, key in found.items() if lower not in taken)


def records(found: FoundJobs[Any], footprints: Sequence[str], now: float) -> list[Record]:
    """Rows in the order of the jobs; all have the same keys in the same order."""
    return [_record(job, found.tags.get(job.id, ()), footprints, now) for job in found.jobs]


def _record(job: Any, tags: Iterable[StoredTag], footprints: Sequence[str], now: float) -> Record:
    result = {column.name: column.value(job) for column in COLUMNS}
    result["duration"] = shown_duration(job, now)
    result["tags"] = "; ".join(f"{tag.type}: {tag.name}" for tag in tags)
    values = (orjson.loads(job.footprint) if job.footprint else None) or {}
    return result | {key: values.get(key) for key in footprints}


def names(footprints: Sequence[str]) -> list[str]:
    return list(_types(footprints))


def _types(footprints: Sequence[str]) -> dict[str, str]:
    return {column.name: column.kind for column in COLUMNS} | _COMPUTED | dict.fromkeys(footprints, "DOUBLE")


def csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """RFC 4180, in UTF-8. A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def json_lines(rows: Iterable[Record]) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def write_parquet(source: Path, target: Path, footprints: Sequence[str]) -> None:
    """Convert a file of JSON lines. Blocks. Raises duckdb.Error."""
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in _types(footprints).items())  # names are ours or footprint keys
    read = f"read_json($source, format = 'newline_delimited', timestampformat = '{TIME_FORMAT}', columns = {{{columns}}})"
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": f"{_MEMORY_MB}MB",
        "temp_directory": str(target.parent),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=config) as connection:
        path = str(target).replace("'", "''")
        connection.execute(f"COPY (SELECT * FROM {read}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)", {"source": str(source)})  # noqa: S608
