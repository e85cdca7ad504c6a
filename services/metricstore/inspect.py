"""Information about series without reading samples: the health of hosts, and a dump of all levels."""

from typing import Any

import numpy as np

from services.metricstore.catalogue import Catalogue, Series
from services.metricstore.request import BadRequest, HealthRequest

STALE_AFTER_STEPS = 5
MAX_DUMPED = 100_000


def health(catalogue: Catalogue, request: HealthRequest, now: float) -> dict[str, dict[str, Any]]:
    """State of each host: ``full``, ``partial`` or ``failed``, with the metrics that are late or missing."""
    cluster = catalogue.clusters.get(request.cluster)
    found: dict[str, dict[str, Any]] = {}
    for host in sorted(set(request.hosts)):
        if cluster is None or host not in cluster.hosts:
            found[host] = {"State": "failed", "HealthMetrics": None}
            continue
        series = {metric: [one for one in cluster.every(host, metric) if one.has_samples] for metric in request.metrics}
        missing = [metric for metric in request.metrics if not series[metric]]
        degraded = [metric for metric in request.metrics if any(_is_stale(one, now) for one in series[metric])]
        healthy = len(request.metrics) - len(missing) - len(degraded)
        state = "full" if healthy == len(request.metrics) else "partial" if healthy else "failed"
        found[host] = {"State": state, "HealthMetrics": {"degraded": degraded, "missing": missing}}
    return found


def _is_stale(series: Series, now: float) -> bool:
    step = series.grid.step
    return bool(now - (int(series.grid.last[series.row]) * step + step / 2) > STALE_AFTER_STEPS * step)


def dump(catalogue: Catalogue, selector: list[str]) -> dict[str, Any]:
    """Every level below the selector with the extent of its series. Raises BadRequest for a level that does not exist."""
    root: dict[str, Any] = {}
    chosen = [series for series in catalogue.selected(selector) if series.has_samples]
    for count, series in enumerate(chosen):
        if count >= MAX_DUMPED:
            raise BadRequest(f"more than {MAX_DUMPED} series: give a selector")
        level = root
        for name in [series.cluster, series.host, *(name for name in series.part.place if name)]:
            level = level.setdefault(name, {})
        level.setdefault(series.metric, []).extend(_extent(series))
    for name in selector:
        if name not in root:
            raise BadRequest(f"there is no level {name!r}")
        root = root[name]
    return root


def _extent(series: Series) -> list[dict[str, int]]:
    grid = series.grid
    first, last = int(grid.first[series.row]), int(grid.last[series.row])
    count = int(np.count_nonzero(~np.isnan(grid.read(np.array([series.row]), max(first, last - 100_000), last + 1))))
    return [{"start": first * grid.step - grid.step // 2, "len": count, "end": last * grid.step + grid.step}]
