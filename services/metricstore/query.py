"""Answers queries: selects series, reads their samples, combines them, and writes JSON. Source: metrics specification, 2.3 and 2.4.

Selecting happens on the event loop, everything else may run in another thread.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from services.metricstore.catalogue import Catalogue, ClusterSeries, Series, StoredMetric
from services.metricstore.grids import Grid, Values, slot_of
from services.metricstore.request import BadRequest, Query, QueryRequest
from shared.metricdata.lttb import lttb, points

AT_ONCE = 4_000_000  # samples read in one step
MAX_PADDING = 1_000_000  # leading gaps of one element
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the answer: the combination of ``sources``, or an error.

    A source is a series, and those with its names on the grids of former timesteps, as far as they have samples.
    """

    query: Query
    metric: StoredMetric | None
    sources: Sequence[Sequence[Series]] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """``elements`` per query. ``generated`` are the queries made for all nodes. ``steps`` are the timesteps of metrics of which
    some samples have a former one.
    """

    request: QueryRequest
    elements: list[list[Element]]
    generated: list[Query]
    steps: dict[str, int]


def select(catalogue: Catalogue, request: QueryRequest) -> Selection:
    cluster = catalogue.clusters.get(request.cluster)
    generated: list[Query] = []
    if request.all_nodes is not None and cluster is not None:
        generated = [Query(metric, host) for host in cluster.hosts for metric in request.all_nodes]
    elements = [list(_select(cluster, request, query)) for query in (*request.queries, *generated)]
    steps = _steps(request, chain.from_iterable(elements)) if cluster is not None and cluster.former else {}
    return Selection(request, elements, generated, steps)


def _steps(request: QueryRequest, elements: Iterable[Element]) -> dict[str, int]:
    """Of each metric the coarsest timestep with samples in the window: all its elements get the same, and no sample is made up."""
    found: dict[str, int] = {}
    for element in elements:
        for part in chain.from_iterable(element.sources):
            step = part.grid.step
            if part.grid.first[part.row] * step <= request.end and part.grid.last[part.row] * step >= request.start:
                found[element.query.metric] = max(step, found.get(element.query.metric, 0))
    return found


def _select(cluster: ClusterSeries | None, request: QueryRequest, query: Query) -> Iterator[Element]:
    if query.kind is not None and not query.ids:
        return
    wanted = 1 if query.kind is None or query.combines else len(query.ids) * (1 if query.subkind is None else len(query.subids))
    if request.start > request.end:
        yield from [Element(query, None, error="'from' is after 'to'")] * wanted
        return
    if cluster is None:
        return
    metric = cluster.metrics.get(query.metric)
    if metric is None:
        yield from [Element(query, None, error=f"the metric {query.metric!r} is not configured for {cluster.name!r}")] * wanted
        return
    groups = list(_groups(cluster, query))
    if query.kind is not None and query.combines:
        groups = [[series for group in groups for series in group]]
    for group in groups:
        sources = [parts for series in group if (parts := cluster.with_samples(series))]
        if not sources:
            continue
        if len(sources) > 1 and metric.aggregation not in ("sum", "avg"):
            yield Element(query, None, error=f"the metric {query.metric!r} has no aggregation, and {len(sources)} series to combine")
        else:
            yield Element(query, metric, sources)


def _groups(cluster: ClusterSeries, query: Query) -> Iterator[list[Series]]:
    """The series of each selector."""
    if query.kind is None:
        yield cluster.holders(query.host, query.metric)
        return
    places = cluster.hosts.get(query.host, {}).get(query.metric, {})
    for id_ in query.ids:
        part = query.kind + id_
        if not part:
            continue
        if query.subkind is None:
            yield cluster.at(query.host, query.metric, part)
        else:
            for subid in query.subids:
                series = places.get((part, query.subkind + subid))
                yield [series] if series is not None else []


def answer(selection: Selection, max_samples: int) -> bytes:
    """The text of the answer. Raises BadRequest when it would have too many samples."""
    budget = _Budget(max_samples)
    plans = [_plan(selection, element, budget) for elements in selection.elements for element in elements]
    texts = iter([text for batch in _batches(plans) for text in _texts(selection.request, batch, budget)])
    pieces = [b'{"queries":', orjson.dumps([_shown(query) for query in selection.generated]), b","] if selection.generated else [b"{"]
    results = (b"[" + b",".join(next(texts) for _ in elements) + b"]" for elements in selection.elements)
    return b"".join([*pieces, b'"results":[', b",".join(results), b"]}\n"])


def _shown(query: Query) -> dict[str, Any]:
    return {"metric": query.metric, "host": query.host, "resolution": 0, "aggreg": False}


def _error(text: str) -> bytes:
    return orjson.dumps({"error": text, "from": 0, "to": 0, "resolution": 0, "avg": 0.0, "min": 0.0, "max": 0.0})


class _Budget:
    """The number of samples that an answer may still have."""

    def __init__(self, samples: int) -> None:
        self._left = samples

    def take(self, samples: int) -> None:
        """Raises BadRequest."""
        self._left -= samples
        if self._left < 0:
            raise BadRequest("the answer would have too many samples; ask for fewer series or a shorter time")


@dataclass(frozen=True, slots=True)
class Window:
    """The slots of an element from ``begin`` to before ``end``; ``start`` and ``stop`` are the times that the answer names."""

    begin: int
    end: int
    start: int
    stop: int


def window(step: int, first: int, last: int, start: int, end: int) -> Window:
    """The window of series whose oldest and newest samples are in the slots ``first`` and ``last``.

    It begins with the slot nearest to ``start``, or with the first sample if that is later, and ends with the last sample.
    """
    begin = slot_of(start, step)
    if first * step > start:
        begin, start = first, first * step
    count = min(-(-(end - start) // step), last + 1 - begin)
    return Window(begin, begin + max(0, count), start, start + max(0, count) * step)


@dataclass(frozen=True, slots=True)
class _Plan:
    """One element of the answer: what to read for it. ``step`` is the timestep of its samples."""

    element: Element
    step: int
    window: Window

    @property
    def grid(self) -> Grid | None:
        """The grid of all its series, None if there are several or another timestep is wanted."""
        grids = {id(part.grid): part.grid for parts in self.element.sources for part in parts}
        grid = next(iter(grids.values()))
        return grid if len(grids) == 1 and grid.step == self.step else None

    @property
    def length(self) -> int:
        return self.window.end - self.window.begin

    @property
    def size(self) -> int:
        return self.length * len(self.element.sources)


def _plan(selection: Selection, element: Element, budget: _Budget) -> _Plan | bytes:
    """What to read, or the text of an error. Raises BadRequest."""
    query, request = element.query, selection.request
    if element.error or element.metric is None:
        return _error(element.error)
    step = selection.steps.get(query.metric, element.metric.timestep)
    if query.resolution > step and query.resolution % step:
        return _error(f"the resolution {query.resolution} is not a multiple of the timestep {step}")
    parts = [part for parts in element.sources for part in parts]
    first = min(part.grid.first[part.row] * part.grid.step for part in parts)
    last = max(part.grid.last[part.row] * part.grid.step for part in parts)
    found = _Plan(element, step, window(step, slot_of(int(first), step), slot_of(int(last), step), request.start, request.end))
    budget.take(found.length)
    return found


def _batches(plans: Sequence[_Plan | bytes]) -> Iterator[list[_Plan | bytes]]:
    """Plans that are read together: one pass over the blocks and files for many series."""
    batch: list[_Plan | bytes] = []
    size = 0
    for plan in plans:
        samples = 0 if isinstance(plan, bytes) else plan.size
        if size + samples > AT_ONCE and batch:
            yield batch
            batch, size = [], 0
        batch.append(plan)
        size += samples
    yield batch


def _texts(request: QueryRequest, batch: Sequence[_Plan | bytes], budget: _Budget) -> Iterator[bytes]:
    read = _read([plan for plan in batch if not isinstance(plan, bytes)])
    for plan in batch:
        yield plan if isinstance(plan, bytes) else _text(request, plan, read[id(plan)], budget)


def _read(plans: Sequence[_Plan]) -> dict[int, Values | Floats]:
    """The samples of each element, by the ``id`` of its plan."""
    found: dict[int, Values | Floats] = {}
    together: dict[int, tuple[Grid, list[_Plan]]] = {}
    for plan in plans:
        grid = plan.grid
        if grid is None:
            found[id(plan)] = _combined(plan, _on_one_grid(plan))
        elif plan.size > AT_ONCE:
            found[id(plan)] = _combined(plan, _in_pieces(plan, grid))
        else:
            together.setdefault(id(grid), (grid, []))[1].append(plan)
    for grid, some in together.values():
        rows = np.array([parts[0].row for plan in some for parts in plan.element.sources], dtype=np.int64)
        begin = min(plan.window.begin for plan in some)
        samples = grid.read(rows, begin, max(plan.window.end for plan in some))
        place = 0
        for plan in some:
            count = len(plan.element.sources)
            mine = samples[place : place + count, plan.window.begin - begin : plan.window.end - begin]
            found[id(plan)] = _combined(plan, [mine])
            place += count
    return found


def _in_pieces(plan: _Plan, grid: Grid) -> Iterator[Values]:
    rows = np.array([parts[0].row for parts in plan.element.sources], dtype=np.int64)
    at_once = max(1, AT_ONCE // plan.length)
    for begin in range(0, rows.size, at_once):
        yield grid.read(rows[begin : begin + at_once], plan.window.begin, plan.window.end)


def _on_one_grid(plan: _Plan) -> Iterator[Values]:
    """The samples of each series, of which some have a former timestep: where both have one, that of today's timestep counts."""
    for parts in plan.element.sources:
        values = np.full(plan.length, np.nan, dtype=np.float32)
        for part in parts:
            older = _placed(part, plan)
            values = np.where(np.isnan(values), older, values)
        yield values[None, :]


def _placed(part: Series, plan: _Plan) -> Values:
    """Samples on the grid of the answer: each is assigned to the nearest slot, and several in a slot are averaged."""
    step, frame = part.grid.step, plan.window
    begin = slot_of(frame.begin * plan.step - plan.step // 2, step)
    end = slot_of(frame.end * plan.step, step) + 1
    values = part.grid.read(np.array([part.row], dtype=np.int64), begin, end)[0].astype(np.float64)
    slots = slot_of(np.arange(begin, end) * step, plan.step) - frame.begin
    is_there = ~np.isnan(values) & (slots >= 0) & (slots < plan.length)
    counts = np.bincount(slots[is_there], minlength=plan.length)
    sums = np.bincount(slots[is_there], weights=values[is_there], minlength=plan.length)
    with np.errstate(invalid="ignore"):
        return (sums / counts).astype(np.float32)


def _combined(plan: _Plan, pieces: Iterable[Values]) -> Values | Floats:
    """Samples of the window: of the one series, or the sum or mean of several; a gap in one of them is a gap.

    Series without any sample in the window count as if they did not exist. ``pieces`` have one row per series.
    """
    if len(plan.element.sources) == 1:
        (values,) = pieces
        single: Values = values[0]
        return single
    total: Floats = np.zeros(plan.length, dtype=np.float64)
    count = 0
    for values in pieces:
        present = ~np.isnan(values).all(axis=1) if plan.length else np.zeros(values.shape[0], dtype=bool)
        total += values[present].sum(axis=0, dtype=np.float64)
        count += int(present.sum())
    if count == 0:
        return np.full(plan.length, np.nan)
    if plan.element.metric is not None and plan.element.metric.aggregation == "avg":
        total /= count
    return total


def _text(request: QueryRequest, plan: _Plan, data: Values | Floats, budget: _Budget) -> bytes:
    query, frame, step = plan.element.query, plan.window, plan.step
    if query.scale != 1.0:
        with np.errstate(over="ignore"):
            data = data.astype(np.float64) * query.scale
    kept = points(query.resolution, step, data.size)
    if kept is not None:
        data, step = lttb(data[None, :].astype(np.float64), kept)[0], query.resolution
    found: dict[str, Any] = {}
    if request.with_data and data.size:
        is_late = request.with_padding and frame.start > request.start
        padding = frame.start // plan.step - request.start // plan.step if is_late else 0
        if padding > MAX_PADDING:
            return _error(f"the window begins {padding} timesteps before the first sample")
        budget.take(padding)
        found["data"] = _written(np.concatenate([np.full(padding, np.nan, dtype=data.dtype), data]) if padding else data)
    found |= {"from": frame.start, "to": frame.stop, "resolution": step}
    found |= _statistics(data) if request.with_statistics else {"avg": 0.0, "min": 0.0, "max": 0.0}
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY)


def _written(data: Values | Floats) -> Values | Floats:
    """Samples as they are written: stored ones as float32, larger sums and scaled values as float64. Infinity becomes null in JSON."""
    with np.errstate(over="ignore"):
        short: Values = np.ascontiguousarray(data, dtype=np.float32)
    return data if short.dtype != data.dtype and np.isinf(short).any() else short


def _statistics(data: Values | Floats) -> dict[str, float | None]:
    low = float(data.min()) if data.size else math.nan
    if math.isnan(low):  # the minimum of samples with a gap
        data = data[~np.isnan(data)]
        if not data.size:
            return {"avg": None, "min": None, "max": None}
        low = float(data.min())
    with np.errstate(over="ignore"):
        total = float(np.add.reduce(data, dtype=np.float64))
    return {"avg": total / data.size, "min": low, "max": float(data.max())}
