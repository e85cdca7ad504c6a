"""Requests to cc-metric-store for whole hosts, and parsing of the answers. Source: metric store interface 2.3 and 2.4."""

from collections.abc import Sequence
from typing import Any

import orjson

from shared.domain.clusters import Metric
from shared.metricdata.cc_answers import placed, stated
from shared.metricdata.hosts import HostSeries, HostsLoaded, HostsRequest
from shared.metricdata.source import SourceUnavailable

Json = dict[str, Any]
_READ_ERRORS = (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError)


def hosts_body(request: HostsRequest, pairs: Sequence[tuple[str, Metric]] | None = None, *, only_names: bool = False) -> bytes:
    """Request ``pairs`` of host and metric, or all hosts."""
    body: Json = {"cluster": request.cluster, "from": request.start, "to": request.end, "with-padding": False}
    if only_names:
        body |= {"to": request.start, "with-data": False, "with-stats": False}
    if pairs is None:
        body["for-all-nodes"] = [metric.name for metric in request.metrics]
    else:
        body["queries"] = [{"metric": metric.name, "host": host, "resolution": 0, "aggreg": False} for host, metric in pairs]
    return orjson.dumps(body)


def read_hosts(text: bytes, request: HostsRequest, pairs: Sequence[tuple[str, Metric]], loaded: HostsLoaded) -> None:
    """Raises SourceUnavailable when the answer is malformed."""
    try:
        results = orjson.loads(text)["results"]
        for (host, metric), elements in zip(pairs, results, strict=True):
            _add(host, metric, elements, request, loaded)
    except _READ_ERRORS as e:
        raise _unreadable(e) from e


def read_all_hosts(text: bytes, request: HostsRequest, loaded: HostsLoaded) -> None:
    """Raises SourceUnavailable when the answer is malformed."""
    metrics = {metric.name: metric for metric in request.metrics}
    try:
        answer = orjson.loads(text)
        for query, elements in zip(answer.get("queries") or [], answer["results"], strict=True):
            loaded.series.setdefault(str(query["host"]), {})
            _add(str(query["host"]), metrics[query["metric"]], elements, request, loaded)
    except _READ_ERRORS as e:
        raise _unreadable(e) from e


def known_hosts(text: bytes) -> list[str]:
    """Raises SourceUnavailable when the answer is malformed."""
    try:
        return list(dict.fromkeys(str(query["host"]) for query in orjson.loads(text).get("queries") or []))
    except _READ_ERRORS as e:
        raise _unreadable(e) from e


def _add(host: str, metric: Metric, elements: list[Json], request: HostsRequest, loaded: HostsLoaded) -> None:
    for found in elements[:1]:
        if error := found.get("error"):
            loaded.problem(host, metric, str(error))
            return
        timestep = int(found["resolution"]) or metric.timestep
        values = found.get("data") or []
        series = HostSeries(timestep, None)
        if values:
            data = placed(values, int(found["from"]), timestep, request.start, request.end)
            series = HostSeries(timestep, stated(found, data), data)
        loaded.series.setdefault(host, {})[metric.name] = series


def _unreadable(error: Exception) -> SourceUnavailable:
    return SourceUnavailable(f"the metric store returned an invalid answer about hosts: {error!r}"[:500])
