"""Reads samples from files, with a cache."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from services.metricstore.format import reading
from services.metricstore.grids import Integers, Values

MAX_CACHED_BYTES = 64 * 1024 * 1024  # of samples
MAX_CACHED_FOOTERS = 64

_Group = tuple[Integers, Values]  # where the samples of each row begin, and those of all rows


def _size_of(group: _Group | None) -> int:
    return 0 if group is None else group[0].nbytes + group[1].nbytes


class SampleReader:
    """Reads samples of rows of files, and caches recently read groups of rows. Thread-safe."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[Path, int], _Group] = OrderedDict()
        self._footers: OrderedDict[Path, pq.FileMetaData] = OrderedDict()
        self._size = 0  # bytes of the groups
        self._lock = threading.Lock()

    def read(self, path: Path, group_size: int, rows: Integers, slots: int) -> Values:
        """An array with a row for each of ``rows``, NaN for one that has not ``slots`` samples.

        Raises Damaged, Unavailable, FileNotFoundError.
        """
        found = np.full((rows.size, slots), np.nan, dtype=np.float32)
        numbers = rows // group_size
        for number, (offsets, values) in self._load(path, np.unique(numbers).tolist()).items():
            places = np.flatnonzero(numbers == number)
            within = rows[places] - number * group_size
            begins = offsets[within]
            is_whole = offsets[within + 1] - begins == slots
            found[places[is_whole]] = values[begins[is_whole, None] + np.arange(slots)]
        return found

    def _load(self, path: Path, numbers: Sequence[int]) -> dict[int, _Group]:
        found = {}
        with self._lock:
            footer = self._footers.get(path)
            for number in numbers:
                if (group := self._groups.get((path, number))) is not None:
                    self._groups.move_to_end((path, number))
                    found[number] = group
        missing = [number for number in numbers if number not in found]
        if not missing:
            return found
        with reading(path) as opened, pq.ParquetFile(opened, metadata=footer) as file:
            footer = file.metadata
            for number in missing:
                column = file.read_row_group(number, columns=["samples"], use_threads=False).column(0).combine_chunks()
                found[number] = column.offsets.to_numpy(), column.values.to_numpy()
        with self._lock:
            self._footers[path] = footer
            while len(self._footers) > MAX_CACHED_FOOTERS:
                self._footers.popitem(last=False)
            for number in missing:
                self._size -= _size_of(self._groups.pop((path, number), None))
                self._groups[path, number] = found[number]
                self._size += _size_of(found[number])
            while self._size > MAX_CACHED_BYTES:
                self._size -= _size_of(self._groups.popitem(last=False)[1])
        return found
