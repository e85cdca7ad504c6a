"""The newest value of each host, for requests with ``newest``: an addition to the API, with an answer of its own.

Selecting happens on the event loop, reading may run in another thread.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from services.metricstore.catalogue import NODE, Catalogue, ClusterSeries, StoredMetric
from services.metricstore.grids import Grid, Integers, slot_of
from services.metricstore.request import BadRequest, QueryRequest

MAX_LOOK_BACK_S = 3600  # from the newest value of the metric
MAX_KEPT = 32  # metrics whose series are kept: of 10,000 hosts, 0.25 MB each
BEHIND = 1.5  # timesteps; parts of a host that are further behind its newest part are left out


@dataclass(frozen=True, slots=True)
class Selected:
    """The series of one metric, those of a host together: ``rows`` of ``grid``, and for each host the place of its first one."""

    metric: StoredMetric
    grid: Grid
    hosts: Sequence[str]
    rows: Integers
    firsts: Integers

    @property
    def has_parts(self) -> bool:
        return self.rows.size > len(self.hosts)


class NewestSelection:
    """Selects the series of requests, and keeps what it selected last: most requests come again every few seconds."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._version = catalogue.version
        self._kept: OrderedDict[tuple[str, str], Selected] = OrderedDict()

    def of(self, request: QueryRequest) -> dict[str, Selected]:
        """Newest values by metric, without metrics that are not configured or have no series."""
        if self._version != self._catalogue.version:
            self._kept.clear()
            self._version = self._catalogue.version
        found: dict[str, Selected] = {}
        for name in request.all_nodes or ():
            selected = self._kept.get((request.cluster, name)) or _selected(self._catalogue.clusters.get(request.cluster), name)
            if selected is not None:
                found[name] = self._kept[request.cluster, name] = selected
                self._kept.move_to_end((request.cluster, name))
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found


def _selected(cluster: ClusterSeries | None, name: str) -> Selected | None:
    metric = cluster.metrics.get(name) if cluster is not None else None
    grid = cluster.grids.get(metric.timestep) if cluster is not None and metric is not None else None
    if cluster is None or metric is None or grid is None:
        return None
    hosts: list[str] = []
    rows: list[int] = []
    firsts: list[int] = []
    for host, series_of in cluster.hosts.items():
        places = series_of.get(name)
        if places is None:
            continue
        own = places.get(NODE)  # most metrics; a list per host would take most of the time
        if own is not None and own.grid is grid:
            hosts.append(host)
            firsts.append(len(rows))
            rows.append(own.row)
        elif mine := [series.row for series in cluster.holders(host, name) if series.grid is grid]:
            hosts.append(host)
            firsts.append(len(rows))
            rows += mine
    return Selected(metric, grid, hosts, np.array(rows, dtype=np.int64), np.array(firsts, dtype=np.int64)) if hosts else None


def newest_answer(selected: Mapping[str, Selected], request: QueryRequest, max_samples: int) -> bytes:
    """``{"newest": {metric: {"hosts", "times", "values"}}, "errors": {metric: text}}``; hosts without a value in the window are absent.

    Raises BadRequest when more than ``max_samples`` of a metric would be read.
    """
    newest: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, one in selected.items():
        if one.has_parts and one.metric.aggregation not in ("sum", "avg"):
            errors[name] = f"the metric {name!r} has no aggregation, and hosts have several series to combine"
        else:
            newest[name] = _newest(one, request, max_samples)
    return orjson.dumps({"newest": newest, "errors": errors}, option=orjson.OPT_SERIALIZE_NUMPY)


def _newest(selected: Selected, request: QueryRequest, max_samples: int) -> dict[str, Any]:
    grid, firsts = selected.grid, selected.firsts
    end = min(slot_of(request.end, grid.step), int(grid.last[selected.rows].max()) + 1)
    begin = max(-(-request.start // grid.step), end - max(MAX_LOOK_BACK_S // grid.step, 1))
    if begin >= end:
        return {"hosts": [], "times": [], "values": []}
    if selected.rows.size * (end - begin) > max_samples:
        raise BadRequest(f"the window has more than {max_samples} samples of {selected.rows.size} series; ask for a shorter time")
    samples = grid.read(selected.rows, begin, end)
    present = ~np.isnan(samples)
    slots = np.where(present.any(axis=1), end - begin - 1 - np.argmax(present[:, ::-1], axis=1), -1)
    newest = np.maximum.reduceat(slots, firsts)
    sizes = np.diff(np.append(firsts, slots.size))
    counts_in = (slots >= 0) & (slots > np.repeat(newest, sizes) - BEHIND)
    values = np.where(counts_in, samples[np.arange(slots.size), np.maximum(slots, 0)].astype(np.float64), 0.0)
    totals = np.add.reduceat(values, firsts)
    if selected.metric.aggregation == "avg":
        totals = totals / np.maximum(np.add.reduceat(counts_in.astype(np.int64), firsts), 1)
    has_value = newest >= 0
    return {
        "hosts": [host for host, is_there in zip(selected.hosts, has_value.tolist(), strict=True) if is_there],
        "times": np.ascontiguousarray((begin + newest[has_value]) * grid.step),
        "values": np.ascontiguousarray(totals[has_value]),
    }
