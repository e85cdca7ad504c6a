"""Reads the Parquet files that the retention of cc-backend writes: ``<cluster>/cc-archive-YYYY-MM-DD-NNN.parquet``, a row for each job."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shared.archive.layout import CLUSTER_FILE, VERSION, ArchiveError, JobPath, is_directory_name
from shared.archive.meta import render_meta
from shared.archive.reader import unpacked
from shared.archive.store import Stray
from shared.archive.writer import Entry
from shared.errors import UserError

_FILES = "cc-archive-*.parquet"
_KEYS = ("cluster", "job_id", "start_time")
_DATA = "metric_data_gz"
_BATCH_ROWS = 16  # in memory at once: the data of one job may have hundreds of megabytes
_BUFFER_BYTES = 1024 * 1024
# Columns and keys of meta.json; the optional ones are absent there when they are empty or 0.
_ALWAYS = {
    "job_id": "jobId",
    "cluster": "cluster",
    "sub_cluster": "subCluster",
    "project": "project",
    "user": "user",
    "job_state": "jobState",
    "start_time": "startTime",
    "duration": "duration",
    "num_nodes": "numNodes",
    "energy": "energy",
}
_OPTIONAL = {"partition": "partition", "walltime": "walltime", "num_hwthreads": "numHwthreads", "num_acc": "numAcc", "smt": "smt"}
_JSON = {
    "resources_json": "resources",
    "statistics_json": "statistics",
    "tags_json": "tags",
    "meta_data_json": "metaData",
    "footprint_json": "footprint",
    "energy_footprint_json": "energyFootprint",
}
_COLUMNS = (*_ALWAYS, *_OPTIONAL, *_JSON, _DATA)
# These are not in the files. A job without ``shared`` is refused by cc-backend, and by the schema of the archive.
_LOST = {"shared": "none"}


@dataclass(frozen=True, slots=True, order=True)
class _Row(JobPath):
    file: Path = field(compare=False)
    index: int = field(compare=False)


class ParquetArchive:
    """``entry`` is fast for paths in the order in which ``paths`` gives them, since a file can only be read from its start."""

    def __init__(self, root: Path) -> None:
        self.address = f"parquet:///{root}"
        self._root = root
        self._cursor: _Cursor | None = None

    def version(self) -> int:
        """The version of the entries as given. Raises UserError when there are no such files."""
        if next(self._root.glob(f"*/{_FILES}"), None) is None:
            raise UserError(f"{self._root} has no files <cluster>/{_FILES}")
        return VERSION

    def clusters(self) -> list[str]:
        return sorted(file.parent.name for file in self._root.glob(f"*/{CLUSTER_FILE}") if is_directory_name(file.parent.name))

    def cluster_text(self, cluster: str) -> bytes:
        return (self._root / cluster / CLUSTER_FILE).read_bytes()

    def paths(self) -> Iterator[JobPath | Stray]:
        """The jobs of one file after the other, the newest first: a job may be in several."""
        for file in sorted(self._root.glob(f"*/{_FILES}"), reverse=True):
            try:
                with _opened(file) as parquet:
                    if missing := sorted(set(_COLUMNS) - set(parquet.schema_arrow.names)):
                        raise ArchiveError(f"no column {', '.join(missing)}")
                    keys = parquet.read(list(_KEYS)).to_pydict()
            except ArchiveError as e:
                yield Stray(str(file), str(e))
                continue
            for index, (cluster, job_id, start_time) in enumerate(zip(*(keys[name] for name in _KEYS), strict=True)):
                yield _Row(cluster, job_id, start_time, file, index)

    def entry(self, path: JobPath) -> Entry:
        """Raises ArchiveError."""
        assert isinstance(path, _Row)
        if self._cursor is None or not self._cursor.can_reach(path):
            self.close()
            self._cursor = _Cursor(path.file)
        row = self._cursor.row(path)
        job = JobPath(path.cluster, path.job_id, path.start_time)
        data = row[_DATA] or b""
        unpacked(data, f"{job.relative}/data.json.gz")  # raises for damaged data
        return Entry(job, render_meta(_document(row)), data, True)

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None


class _Cursor:
    """Goes through the rows of one file, with few of them in memory."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows = self._read()
        self._at = -1
        self._row: dict[str, Any] = {}

    def can_reach(self, path: _Row) -> bool:
        return path.file == self._file and path.index >= self._at

    def row(self, path: _Row) -> dict[str, Any]:
        """Raises ArchiveError."""
        while self._at < path.index:
            try:
                self._row = next(self._rows)
            except StopIteration:
                raise ArchiveError(f"{self._file}: has no row {path.index}") from None
            self._at += 1
        return self._row

    def close(self) -> None:
        self._rows.close()

    def _read(self) -> Generator[dict[str, Any], None, None]:
        with _opened(self._file) as parquet:
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(_COLUMNS)):
                for index in range(batch.num_rows):
                    yield {name: batch.column(name)[index].as_py() for name in _COLUMNS}


@contextmanager
def _opened(file: Path) -> Iterator[pq.ParquetFile]:
    """Raises ArchiveError, also for damage that is found while reading."""
    try:
        stream: BinaryIO
        with file.open("rb") as stream, pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False) as parquet:
            yield parquet
    except (OSError, pa.ArrowException, MemoryError, ValueError) as e:
        raise ArchiveError(f"{file}: {e}") from e


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """Raises ArchiveError, which names the column."""
    document = {key: row[column] for column, key in _ALWAYS.items()} | _LOST
    document |= {key: row[column] for column, key in _OPTIONAL.items() if row[column]}
    for column, key in _JSON.items():
        try:
            value = orjson.loads(row[column] or b"null")
        except orjson.JSONDecodeError as e:
            raise ArchiveError(f"{column}: not JSON: {e}") from e
        if value is not None:
            document[key] = value
    return {"statistics": {}, **document}
