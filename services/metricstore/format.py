"""The format of a file of samples: one cluster and period as Parquet, sorted by metric, host and part.

The metadata of a file say how far the stream had been read when it was written, so that the position needs no place of its own.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.metricstore.grids import Integers, Names, Values
from shared.errors import Unavailable

# Arrow's own pool keeps up to twice the memory of the samples that are cached.
pa.set_memory_pool(pa.system_memory_pool())

ROWS_PER_GROUP = 512  # a query reads whole groups; smaller ones make files larger
_NAMES = ("metric", "host", "kind", "id", "subkind", "subid")
_EXTENT = ("timestep", "first", "last")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _NAMES),
        *((name, pa.int64()) for name in _EXTENT),
        ("samples", pa.list_(pa.float32())),
    ]
)


class Damaged(Exception):
    """The content of a file is damaged."""


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Distinguish damage from errors of the system, which have an error number, unlike those of the decoder.

    The file is opened here, since pyarrow loses the numbers. Raises Damaged, Unavailable, FileNotFoundError.
    """
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise
    except (OSError, MemoryError) as e:
        if isinstance(e, MemoryError) or e.errno is not None:
            raise Unavailable(f"cannot read {path}: {e}") from e
        raise Damaged(str(e)) from e
    except (pa.ArrowException, ValueError, KeyError, IndexError) as e:
        raise Damaged(str(e)) from e


@dataclass(frozen=True, slots=True)
class Rows:
    """Series of one timestep in a period. ``samples`` has a row for each and a column for each slot of the period, the first of which
    is ``begin``; a series without samples is not written.
    """

    names: Sequence[Names]
    step: int
    begin: int
    samples: Values


@dataclass(frozen=True, slots=True)
class Mark:
    """A message that was read, and when the broker stored it: a stream that has another one at this sequence has lost its end."""

    sequence: int
    stored_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """How far the stream had been read: all samples up to ``position`` are in files, those of this period up to ``sequence``.

    ``stream`` identifies the stream; sequences of another one mean nothing. It is the time of its creation, followed by how often
    it has lost its end since, if it has: after that, its sequences are those of other messages.
    """

    stream: str
    position: int
    sequence: int
    mark: Mark | None = None


def created_of(stream: str) -> str:
    return stream.partition(" ")[0]


def ends_lost(stream: str) -> int:
    """How often it has lost its end."""
    return int(stream.partition(" ")[2] or 0)


def without_its_end(stream: str) -> str:
    """What identifies a stream once it has lost its end again."""
    return f"{created_of(stream)} {ends_lost(stream) + 1}"


def write_table(rows: Iterable[Rows], place: Place, file: BinaryIO) -> None:
    """Raises OSError."""
    pq.write_table(
        _table(rows, place),
        file,
        row_group_size=ROWS_PER_GROUP,
        compression="zstd",
        use_dictionary=list(_NAMES),
        column_encoding={"samples.list.element": "BYTE_STREAM_SPLIT"},
        write_statistics=["metric", "host"],  # for other readers
    )


def _table(rows: Iterable[Rows], place: Place) -> pa.Table:
    found = [_Columns.of(some) for some in rows if some.samples.size]
    names = [one for some in found for one in some.names]
    steps = np.concatenate([_NOTHING, *(some.steps for some in found)])
    order = sorted(range(len(names)), key=lambda row: (names[row], steps[row]))
    texts = list(zip(*(names[row] for row in order), strict=True)) or [()] * len(_NAMES)
    firsts = np.concatenate([_NOTHING, *(some.firsts for some in found)])
    lasts = np.concatenate([_NOTHING, *(some.lasts for some in found)])
    samples = [one for some in found for one in some.samples]
    offsets = np.cumsum([0, *(samples[row].size for row in order)], dtype=np.int32)
    columns: list[Any] = [pa.array(column, pa.string()) for column in texts]
    columns += [pa.array(column[order], pa.int64()) for column in (steps, firsts, lasts)]
    columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate([_NO_SAMPLES, *(samples[row] for row in order)]))))
    about = {
        "stream": place.stream,
        "position": str(place.position),
        "sequence": str(place.sequence),
        "layout": layout_of(texts, steps[order]),
    }
    if place.mark is not None:
        about["mark"] = f"{place.mark.sequence} {place.mark.stored_ns}"
    return pa.Table.from_arrays(columns, schema=_SCHEMA.with_metadata(about))


_NOTHING: Integers = np.zeros(0, dtype=np.int64)
_NO_SAMPLES: Values = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The series of ``Rows`` that have samples; ``firsts`` and ``lasts`` are the slots of their oldest and newest ones."""

    names: list[Names]
    steps: Integers
    firsts: Integers
    lasts: Integers
    samples: Values

    @classmethod
    def of(cls, rows: Rows) -> "_Columns":
        present = ~np.isnan(rows.samples)
        chosen = np.flatnonzero(present.any(axis=1))
        present = present[chosen]
        firsts = rows.begin + present.argmax(axis=1)
        lasts = rows.begin + rows.samples.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
        names = [rows.names[row] for row in chosen.tolist()]
        return cls(names, np.full(chosen.size, rows.step, dtype=np.int64), firsts, lasts, rows.samples[chosen])


def read_place(path: Path) -> Place:
    """Reads the end of the file only. Raises Damaged, also if it is not a file of samples; Unavailable, FileNotFoundError."""
    with reading(path) as file:
        about = pq.read_schema(file).metadata or {}
        mark = Mark(*map(int, about[b"mark"].split())) if b"mark" in about else None
        return Place(about[b"stream"].decode(), int(about[b"position"]), int(about[b"sequence"]), mark)


@dataclass(frozen=True, slots=True)
class Index:
    """What a file has, row by row, without the samples.

    ``layout`` identifies the names and steps of all rows in their order; hours with the same series have the same. ``names`` and
    ``steps`` are empty when the reader knew the layout. ``group_size`` is the number of rows that are read together.
    """

    layout: str
    group_size: int
    names: list[Names]
    steps: list[int]
    first: Integers
    last: Integers


def read_index(path: Path, is_known: Callable[[str], bool] = lambda _layout: False) -> Index:
    """Without names and steps if the layout ``is_known``. Raises Damaged, Unavailable, FileNotFoundError."""
    with reading(path) as opened, pq.ParquetFile(opened) as file:
        size = max(1, file.metadata.row_group(0).num_rows) if file.metadata.num_row_groups else ROWS_PER_GROUP
        layout = (file.metadata.metadata or {}).get(b"layout", b"").decode()
        names: list[Names] = []
        steps: list[int] = []
        if not layout or not is_known(layout):
            *texts, timesteps = file.read(columns=[*_NAMES, "timestep"]).columns
            columns, steps = [column.to_pylist() for column in texts], timesteps.to_pylist()
            names = list(zip(*columns, strict=True))
            layout = layout or layout_of(columns, timesteps.to_numpy())
        first, last = (column.to_numpy() for column in file.read(columns=["first", "last"], use_threads=False).columns)
        return Index(layout, size, names, steps, first, last)


def layout_of(columns: Iterable[Sequence[str]], steps: Integers) -> str:
    """A digest of the columns of names, which have no control characters, and the timesteps."""
    digest = hashlib.blake2b(steps.astype("<i8").tobytes(), digest_size=16)
    for column in columns:
        digest.update("\n".join(column).encode())
    return digest.hexdigest()
