"""Samples on a grid of fixed timesteps: one block of numbers per period, a row per series, NaN for a gap."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

PERIOD_S = 3600
FIRST_ROWS = 64
NEVER = np.iinfo(np.int64).max

Values = NDArray[np.float32]
Integers = NDArray[np.int64]
Names = tuple[str, str, str, str, str, str]  # metric, host, kind and id of its part, kind and id of a device in it


Time = TypeVar("Time", int, Integers)


def slot_of(time: Time, step: int) -> Time:
    """The slot nearest to a time; half a step is rounded up."""
    return (time + step // 2) // step


class Grid:
    """All series of one cluster with the same timestep. Slot ``k`` is the time ``k * step``, whatever the series.

    ``first`` and ``last`` are the slots of the oldest and the newest known sample of each row; without any, first is after last.
    ``names`` has the owner of each row. ``read_files`` gives rows of periods that are not in memory: for each an array with a column for
    each of its slots, or None if there is no file.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.rows = 0
        self.names: list[Names] = []
        self.read_files: Callable[[Sequence[int], Integers], Sequence[Values | None]] = lambda periods, _rows: [None] * len(periods)
        self._free: list[int] = []
        self.blocks: dict[int, Values] = {}
        self.first: Integers = np.full(FIRST_ROWS, NEVER, dtype=np.int64)
        self.last: Integers = np.full(FIRST_ROWS, -1, dtype=np.int64)

    def add_row(self, names: Names) -> int:
        if self._free:
            row = self._free.pop()
            self.names[row] = names
            return row
        self.names.append(names)
        row, self.rows = self.rows, self.rows + 1
        if self.rows > self.first.size:
            self.first = np.concatenate([self.first, np.full(self.first.size, NEVER, dtype=np.int64)])
            self.last = np.concatenate([self.last, np.full(self.last.size, -1, dtype=np.int64)])
        return row

    def release(self, rows: Integers) -> None:
        """Make the rows available to other series."""
        for block in self.blocks.values():
            block[rows[rows < block.shape[0]]] = np.nan
        self.forget(rows)
        self._free += rows.tolist()

    def forget(self, rows: Integers) -> None:
        """Note that rows have no samples."""
        self.first[rows], self.last[rows] = NEVER, -1

    def slot_of(self, time: int) -> int:
        return slot_of(time, self.step)

    def slots_of(self, period: int) -> tuple[int, int]:
        """The first slot of a period, and the one after its last."""
        return -(-period * PERIOD_S // self.step), -(-(period + 1) * PERIOD_S // self.step)

    def block(self, period: int) -> Values:
        """The block of a period with a row for each series, created or enlarged if necessary."""
        block = self.blocks.get(period)
        if block is None or block.shape[0] < self.rows:
            begin, end = self.slots_of(period)
            block = self._enlarged(block, end - begin)
            self.blocks[period] = block
        return block

    def _enlarged(self, block: Values | None, slots: int) -> Values:
        """Capacity grows by a quarter, so that creating series one by one does not copy the block for each."""
        spare = FIRST_ROWS if block is None else self.rows // 4
        larger = np.full((self.rows + spare, slots), np.nan, dtype=np.float32)
        if block is not None:
            larger[: block.shape[0]] = block
        return larger

    def write(self, rows: Integers, slots: Integers, values: Values) -> NDArray[np.int64]:
        """Set samples; the last one of a slot wins. Returns the period of each."""
        periods: Integers = slots * self.step // PERIOD_S
        for period in np.unique(periods).tolist():
            mine = periods == period
            block = self.block(period)
            block[rows[mine], slots[mine] - self.slots_of(period)[0]] = values[mine]
        np.minimum.at(self.first, rows, slots)
        np.maximum.at(self.last, rows, slots)
        return periods

    def read(self, rows: Integers, begin: int, end: int) -> Values:
        """Samples of the slots from ``begin`` to before ``end``, one row for each of ``rows``."""
        found = np.full((rows.size, max(0, end - begin)), np.nan, dtype=np.float32)
        if end <= begin:
            return found
        periods = range(begin * self.step // PERIOD_S, (end - 1) * self.step // PERIOD_S + 1)
        blocks = {period: block for period in periods if (block := self.blocks.get(period)) is not None}
        missing = [period for period in periods if period not in blocks]
        filed = dict(zip(missing, self.read_files(missing, rows), strict=True))
        for period in periods:
            low, high = self.slots_of(period)
            low_read, high_read = max(low, begin), min(high, end)
            samples = filed.get(period)
            if samples is not None:
                found[:, low_read - begin : high_read - begin] = samples[:, low_read - low : high_read - low]
                continue
            block = blocks.get(period, self.blocks.get(period))  # the period may have been brought into memory in the meantime
            if block is None:
                continue
            is_there = rows < block.shape[0]  # series newer than the block have no samples in it
            found[is_there, low_read - begin : high_read - begin] = block[rows[is_there], low_read - low : high_read - low]
        return found

    def clear(self, row: int, period: int, end: int) -> bool:
        """Remove the samples of a row before the slot ``end`` from the block of a period. Returns whether there were any."""
        block = self.blocks.get(period)
        low, _ = self.slots_of(period)
        if block is None or row >= block.shape[0] or low >= end:
            return False
        had_some = not bool(np.isnan(block[row, : end - low]).all())
        block[row, : end - low] = np.nan
        return had_some

    def forget_before(self, row: int, end: int) -> bool:
        """Record that a row has no samples before the slot ``end``. Returns whether it has later ones."""
        if self.last[row] >= end:
            self.first[row] = max(self.first[row], end)
            return True
        self.forget(np.array([row]))
        return False

    def note_extent(self, rows: Integers, first: Integers, last: Integers) -> None:
        """Record that rows have samples from ``first`` to ``last`` in a file."""
        np.minimum.at(self.first, rows, first)
        np.maximum.at(self.last, rows, last)
