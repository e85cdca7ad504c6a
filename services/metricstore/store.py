"""The samples of all clusters: recent periods in memory, the others in files.

Only the event loop changes it. Blocks may be read in other threads: a block that grows is replaced, never resized.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import structlog

from services.metricstore.catalogue import Catalogue, Series
from services.metricstore.folder import Folder
from services.metricstore.format import Damaged, Index, Mark, Rows, read_index
from services.metricstore.grids import PERIOD_S, Grid, Integers, Values
from services.metricstore.lines import Samples
from services.metricstore.reader import SampleReader
from shared.domain.clusters import Cluster
from shared.errors import Unavailable

log = structlog.get_logger()

MAX_OLD_IN_MEMORY = 24  # old periods in memory because of late samples
MAX_INDEXES = 10_000  # of files
MAX_LAYOUTS = 512  # one of 14,000 series is 112 kB; most files share one
NO_GRID = -1
READERS = 4  # files read at a time: decoding runs beside other threads

Key = tuple[str, int]  # cluster and period
Layout = dict[int, Integers]  # by the timestep of each grid: the rows of a file by the rows of the grid, -1 where there is none


@dataclass(frozen=True, slots=True)
class _FileRows:
    path: Path
    group_size: int
    layout: Layout


class Store:
    """``dirty`` maps periods in memory to the sequence of the oldest message with samples that their file does not have."""

    def __init__(
        self,
        folder: Folder,
        *,
        memory_s: int,
        retention_s: int,
        max_retention_s: int,
        max_ahead_s: int,
        max_series: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._now = 0
        self.catalogue = Catalogue(max_series, self._connect)
        self.folder = folder
        self.dirty: dict[Key, int] = {}
        self.saving: dict[Key, int] = {}  # like ``dirty``, for periods that another thread is writing to files
        self.make_room: Callable[[Key], None] = self.give_up
        self.stream = ""
        self.mark: Mark | None = None  # the last message that was read
        self.needed_since: Mapping[str, int] | None = None  # by cluster, the start of the earliest job that is not archived yet
        self._memory_s = memory_s
        self._retention_s = retention_s
        self._max_retention_s = max_retention_s
        self._max_ahead_s = max_ahead_s
        self._in_memory: set[Key] = set()
        self._reader = SampleReader()
        self._readers = ThreadPoolExecutor(READERS, "samples")
        self._indexes: OrderedDict[Key, _FileRows] = OrderedDict()
        self._layouts: OrderedDict[tuple[str, str], Layout] = OrderedDict()  # by cluster and digest
        self._grids: list[tuple[str, Grid]] = []
        self._grid_of: Integers = np.zeros(0, dtype=np.int64)  # by number of series
        self._row_of: Integers = np.zeros(0, dtype=np.int64)

    def configure(self, clusters: Mapping[str, Cluster]) -> None:
        self.catalogue.configure(clusters)

    def _connect(self, cluster: str, grid: Grid) -> None:
        grid.read_files = partial(self._read_files, cluster, grid)
        self._grids.append((cluster, grid))

    # -- writing

    def add(self, samples: Samples, received: int, sequences: tuple[int, int]) -> Counter[str]:
        """Store samples of messages of a range of ``sequences``, the last of which the broker received at ``received``.

        Returns the number stored, known already, and refused. May read files of periods that are no longer in memory.
        """
        # The later of the two clocks may have jumped ahead, and would expire files that are still needed.
        clocks = (received, int(self._clock()))
        self._now = min(clocks)
        counts = samples.refused.copy()
        if not samples.numbers:
            return counts
        numbers, values, times = samples.arrays()
        is_value = np.isfinite(values)
        is_late = times < self._now - self._retention_s
        is_early = times > max(clocks) + self._max_ahead_s
        counts["no_value"] += int(np.count_nonzero(~is_value))
        counts["too_late"] += int(np.count_nonzero(is_value & is_late))
        counts["too_early"] += int(np.count_nonzero(is_value & is_early))
        is_good = is_value & ~is_late & ~is_early
        if not is_good.all():
            numbers, values, times = numbers[is_good], values[is_good], times[is_good]
        self._place()
        grid_of, rows = self._grid_of[numbers], self._row_of[numbers]
        for number in np.unique(grid_of).tolist():
            cluster, grid = self._grids[number]
            mine = grid_of == number
            slots = (times[mine] + grid.step // 2) // grid.step
            stored = self._write(cluster, grid, rows[mine], slots, values[mine], sequences)
            counts["stored"] += stored
            counts["known"] += slots.size - stored
        return counts

    def _write(self, cluster: str, grid: Grid, rows: Integers, slots: Integers, values: Values, sequences: tuple[int, int]) -> int:
        """Returns the number stored. Samples already in the period's file, because the stream is read again, are skipped."""
        first, last = sequences
        periods = slots * grid.step // PERIOD_S
        stored = 0
        for period in np.unique(periods).tolist():
            key = (cluster, period)
            if key not in self.dirty and self.folder.sequence(cluster, period, self.stream) >= last:
                continue
            self.bring(key)
            mine = periods == period
            grid.write(rows[mine], slots[mine], values[mine])
            self.dirty.setdefault(key, first)
            stored += int(np.count_nonzero(mine))
        return stored

    def _place(self) -> None:
        """Note grid and row of new series by their numbers."""
        new = self.catalogue.take_created()
        if not new:
            return
        missing = len(self.catalogue.series) - self._grid_of.size
        if missing > 0:
            self._grid_of = np.concatenate([self._grid_of, np.full(missing, NO_GRID, dtype=np.int64)])
            self._row_of = np.concatenate([self._row_of, np.zeros(missing, dtype=np.int64)])
        grids = {id(grid): number for number, (_, grid) in enumerate(self._grids)}
        numbers = [one.number for one in new]
        self._grid_of[numbers] = [grids[id(one.grid)] for one in new]
        self._row_of[numbers] = [one.row for one in new]

    def remove_gone(self) -> int:
        """Remove series without samples in memory or files; returns their number. For between two batches of messages.

        Call it regularly: what was removed before one call gets used again after the next one.
        """
        self._place()
        removed: dict[int, list[int]] = {}
        for series in self.catalogue.take_removed():
            removed.setdefault(int(self._grid_of[series.number]), []).append(series.row)
            self._grid_of[series.number] = NO_GRID
        for number, some in removed.items():
            self._grids[number][1].release(np.array(some, dtype=np.int64))
        oldest: dict[str, int] = {}
        for cluster, period in (*self.folder.files, *self._in_memory):
            oldest[cluster] = min(period, oldest.get(cluster, period))
        gone: list[Series] = []
        for number, (cluster, grid) in enumerate(self._grids):
            mine = np.flatnonzero(self._grid_of == number)
            rows = self._row_of[mine]
            is_gone = grid.last[rows] < grid.slots_of(oldest[cluster])[0] if cluster in oldest else np.ones(mine.size, dtype=bool)
            grid.forget(rows[is_gone])
            for one in mine[is_gone].tolist():
                gone += self.catalogue.remove(self.catalogue.series[one])
        self._forget_layouts(gone)
        return len(gone)

    def _forget_layouts(self, removed: Sequence[Series]) -> None:
        """Forget layouts with rows of removed series, which may have samples in files not indexed yet: indexing recreates them."""
        rows: dict[tuple[str, int], list[int]] = {}
        for series in removed:
            rows.setdefault((series.cluster, series.grid.step), []).append(series.row)
        gone = {key: np.array(some, dtype=np.int64) for key, some in rows.items()}

        def is_stale(cluster: str, layout: Layout) -> bool:
            found = ((gone[cluster, step], places) for step, places in layout.items() if (cluster, step) in gone)
            return any(bool((places[some[some < places.size]] >= 0).any()) for some, places in found)

        for name in [name for name, layout in self._layouts.items() if is_stale(name[0], layout)]:
            stale = self._layouts.pop(name)
            for key in [key for key, file in self._indexes.items() if file.layout is stale]:
                del self._indexes[key]

    def bring(self, key: Key) -> None:
        """Bring a period into memory with what its file has; another old one is saved and given up for it if there are many.

        Raises Unavailable when the file cannot be read now: its samples would be lost when it is rewritten.
        """
        if key in self._in_memory:
            return
        old = [one for one in self._in_memory if not self.is_recent(one)]
        if len(old) >= MAX_OLD_IN_MEMORY:
            self.make_room(min(old, key=lambda one: one[1]))
        file = self.folder.files.get(key)
        if file is not None:
            try:
                self._fill(key, file.path)
            except (Damaged, FileNotFoundError):
                self.folder.set_aside(file.path)
                self.dirty[key] = 0
        self._in_memory.add(key)

    def _fill(self, key: Key, path: Path) -> None:
        """Read all samples of a file into the blocks of its period. Raises Damaged, Unavailable, FileNotFoundError."""
        index = self.read_index(key, path)
        found = []
        for step, places in self._layout(key[0], path, index).items():
            grid = self.catalogue.clusters[key[0]].grids[step]
            begin, end = grid.slots_of(key[1])
            rows = np.flatnonzero(places >= 0)
            found.append((grid, rows, places[rows], self._reader.read(path, index.group_size, places[rows], end - begin)))
        for grid, rows, file_rows, samples in found:
            grid.block(key[1])[rows] = samples
            grid.note_extent(rows, index.first[file_rows], index.last[file_rows])

    # -- reading

    def unread_files(self, cluster: str, start: int, end: int) -> list[tuple[Key, Path]]:
        """Files in a window whose rows are not known yet: ``know`` takes what ``read_index`` finds in them."""
        if cluster not in self.catalogue.clusters:
            return []
        found = []
        for key, file in list(self.folder.files.items()):
            if key[0] != cluster or key in self._in_memory or (key[1] + 1) * PERIOD_S <= start or key[1] * PERIOD_S > end:
                continue
            known = self._indexes.get(key)
            if known is not None and known.path == file.path:
                self._indexes.move_to_end(key)
            else:
                found.append((key, file.path))
        return found

    def read_index(self, key: Key, path: Path) -> Index:
        """For any thread. Raises Damaged, Unavailable, FileNotFoundError."""
        return read_index(path, lambda layout: (key[0], layout) in self._layouts)

    def know(self, key: Key, path: Path, index: Index) -> None:
        """Take over which series a file has, and from when to when."""
        layout = self._layout(key[0], path, index)
        for step, places in layout.items():
            rows = np.flatnonzero(places >= 0)
            file_rows = places[rows]
            self.catalogue.clusters[key[0]].grids[step].note_extent(rows, index.first[file_rows], index.last[file_rows])
        self._indexes[key] = _FileRows(path, index.group_size, layout)
        while len(self._indexes) > MAX_INDEXES:
            self._indexes.popitem(last=False)

    def _layout(self, cluster: str, path: Path, index: Index) -> Layout:
        known = self._layouts.get((cluster, index.layout))
        if known is not None:
            self._layouts.move_to_end((cluster, index.layout))
            return known
        if index.first.size and not index.names:  # evicted since the index was read
            index = read_index(path)
        found: dict[int, list[tuple[int, int]]] = {}
        for file_row, (names, step) in enumerate(zip(index.names, index.steps, strict=True)):
            series = self.catalogue.find_filed(self.catalogue.clusters[cluster], names, step)
            found.setdefault(step, []).append((series.row, file_row))
        layout: Layout = {}
        for step, entries in found.items():
            rows, file_rows = np.array(entries, dtype=np.int64).T
            layout[step] = np.full(self.catalogue.clusters[cluster].grids[step].rows, -1, dtype=np.int64)
            layout[step][rows] = file_rows
        self._layouts[cluster, index.layout] = layout
        while len(self._layouts) > MAX_LAYOUTS:
            self._layouts.popitem(last=False)
        return layout

    def _read_files(self, cluster: str, grid: Grid, periods: Sequence[int], rows: Integers) -> Sequence[Values | None]:
        """Rows of a grid in periods that are not in memory. For any thread."""
        read = partial(self._read_file, cluster, grid, rows)
        return [read(period) for period in periods] if len(periods) < 2 else list(self._readers.map(read, periods))

    def _read_file(self, cluster: str, grid: Grid, rows: Integers, period: int) -> Values | None:
        known = self._indexes.get((cluster, period))
        if known is None:
            return None
        begin, end = grid.slots_of(period)
        found = np.full((rows.size, end - begin), np.nan, dtype=np.float32)
        places = known.layout.get(grid.step)
        if places is None:
            return found
        file_rows = np.where(rows < places.size, places[np.minimum(rows, places.size - 1)], -1)
        present = np.flatnonzero(file_rows >= 0)
        try:
            found[present] = self._reader.read(known.path, known.group_size, file_rows[present], end - begin)
        except FileNotFoundError:
            return None  # replaced in the meantime: the period is in memory
        except Damaged:
            self.folder.set_aside(known.path)
        return found

    # -- files

    def rows(self, key: Key) -> Iterator[Rows]:
        """The samples of a period in memory. Thread-safe: concurrently arriving samples may be included."""
        cluster, period = key
        for grid in list(self.catalogue.clusters[cluster].grids.values()):
            block = grid.blocks.get(period)
            if block is not None:
                samples = block.copy()  # before the names: a row that gets another owner meanwhile has no samples in it
                names = grid.names[: block.shape[0]]
                yield Rows(names, grid.step, grid.slots_of(period)[0], samples[: len(names)])

    def is_recent(self, key: Key) -> bool:
        """Whether a period stays in memory. The time is that of the last message."""
        return key[1] >= (self._now - self._memory_s) // PERIOD_S

    def drop(self) -> None:
        """Free the memory of periods that are in files and ended before the hours held in memory."""
        for key in [key for key in self._in_memory if not self.is_recent(key)]:
            self.give_up(key)

    def give_up(self, key: Key) -> None:
        """Free the memory of a period, unless it has samples that are not in its file."""
        if key in self.dirty or key in self.saving:
            return
        file = self.folder.files.get(key)
        if file is not None:
            try:
                self.know(key, file.path, self.read_index(key, file.path))  # for a query that has chosen its series already
            except (Damaged, FileNotFoundError):
                self.folder.set_aside(file.path)
                self.folder.lost.discard(key)  # memory has it
                self.dirty[key] = 0
                return
            except Unavailable:
                return  # later
        self._in_memory.discard(key)
        for grid in self.catalogue.clusters[key[0]].grids.values():
            grid.blocks.pop(key[1], None)

    def restored(self, key: Key, sequence: int) -> None:
        """The stream has been read again up to ``sequence`` for a lost period: save its samples, even if there are none."""
        if key[0] in self.catalogue.clusters:
            self.bring(key)
            self.dirty.setdefault(key, sequence)
        self.folder.lost.discard(key)

    def expire(self, max_bytes: int) -> None:
        """Remove files of periods before the retention, and the oldest ones beyond a total size. Raises OSError.

        Nothing is removed as long as it is unknown what jobs need.
        """
        if self.needed_since is None:
            return
        needed = self.needed_since
        for file in self.folder.surplus(self._expired_before, max_bytes):
            self.folder.remove(file)
            if file.cluster in needed and (file.period + 1) * PERIOD_S > needed[file.cluster]:
                log.warning("needed_samples_removed", file=file.path.name, cluster=file.cluster, jobs_since=needed[file.cluster])
            self._indexes.pop((file.cluster, file.period), None)

    def _expired_before(self, cluster: str) -> int:
        """The time before which samples are no longer stored."""
        before = self._now - self._retention_s
        needed = (self.needed_since or {}).get(cluster, before)
        return min(before, max(needed, self._now - self._max_retention_s))

    # -- freeing

    def periods_before(self, selectors: Sequence[Sequence[str]], end: int) -> list[Key]:
        """Periods that may have samples before ``end`` below the selected levels, oldest first."""
        clusters = {name for selector in selectors for name in (selector[:1] or self.catalogue.clusters)}
        keys = {*self.folder.files, *self._in_memory}
        return sorted((key for key in keys if key[0] in clusters and key[1] * PERIOD_S < end), key=lambda key: key[1])

    def free_period(self, key: Key, selectors: Sequence[Sequence[str]], end: int, sequence: int) -> None:
        """Remove samples before ``end`` from one period, for the request of a ``sequence``."""
        if key[0] not in self.catalogue.clusters:
            return
        self.bring(key)
        for selector in selectors:
            for series in self.catalogue.selected(selector):
                if series.cluster == key[0] and series.grid.clear(series.row, key[1], series.grid.slot_of(end)):
                    self.dirty.setdefault(key, sequence)

    def freed(self, selectors: Sequence[Sequence[str]], end: int) -> int:
        """Forget the extent before ``end``, after all periods have been freed; returns the number of series that had samples there."""
        count = 0
        removed: list[Series] = []
        for selector in selectors:
            for series in self.catalogue.selected(selector):
                slot = series.grid.slot_of(end)
                if series.has_samples and series.grid.first[series.row] < slot:
                    count += 1
                    if not series.grid.forget_before(series.row, slot):
                        removed += self.catalogue.remove(series)
        self._forget_layouts(removed)
        return count

    def extent(self, cluster: str) -> tuple[int | None, int | None]:
        """Begin of the oldest period and time of the newest known sample of a cluster; None where there is none."""
        periods = [period for name, period in (*self.folder.files, *self._in_memory) if name == cluster]
        known = self.catalogue.clusters.get(cluster)
        newest = [int(grid.last[: grid.rows].max(initial=-1)) * step for step, grid in known.grids.items()] if known is not None else []
        last = max(newest, default=-1)
        return (min(periods) * PERIOD_S if periods else None), (last if last >= 0 else None)

    def memory_bytes(self) -> int:
        return sum(block.nbytes for _, grid in self._grids for block in list(grid.blocks.values()))
