"""Requests to cc-metric-store for whole hosts, and parsing of the answers. Source: metric store interface 2.3 and 2.4."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.domain.clusters import Metric
from shared.metricdata.cc_answers import placed, stated
from shared.metricdata.hosts import HostSeries, HostsLoaded, HostsRequest
from shared.metricdata.newest import NewestColumn, NewestLoaded, NewestRequest, Value
from shared.metricdata.source import SourceUnavailable

Json = dict[str, Any]
_READ_ERRORS = (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError)


def names_body(cluster: str, at: int, metrics: Sequence[Metric]) -> bytes:
    """Request the names of all hosts."""
    names = [metric.name for metric in metrics]
    return orjson.dumps(
        {"cluster": cluster, "from": at, "to": at, "with-padding": False, "with-data": False, "with-stats": False, "for-all-nodes": names}
    )


def hosts_body(request: HostsRequest, pairs: Sequence[tuple[str, Metric]] | None = None) -> bytes:
    """Request ``pairs`` of host and metric, or all hosts."""
    body: Json = {"cluster": request.cluster, "from": request.start, "to": request.end, "with-padding": False}
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


def newest_body(request: NewestRequest, pairs: Sequence[tuple[str, str]] | None = None, *, end: int) -> bytes:
    """Request a few recent samples of ``pairs`` of host and metric, or of all hosts."""
    start = min(request.since(metric) for metric in request.metrics)
    start -= start % max(metric.timestep for metric in request.metrics)  # the store names times by the beginning of the window
    body: Json = {"cluster": request.cluster, "from": start, "to": end, "with-padding": False, "with-stats": False}
    if pairs is None:  # jobtide's own store knows "newest", others ignore it
        body |= {"for-all-nodes": [metric.name for metric in request.metrics], "newest": True}
    else:
        body["queries"] = [{"metric": metric, "host": host, "resolution": 0, "aggreg": False} for host, metric in pairs]
    return orjson.dumps(body)


def read_newest(
    text: bytes, request: NewestRequest, loaded: NewestLoaded, pairs: Sequence[tuple[str, str]] | None = None
) -> dict[tuple[str, str], str]:
    """Takes the last sample of each series. Returns the errors. Raises SourceUnavailable when the answer is malformed."""
    metrics = {metric.name: metric for metric in request.metrics}
    errors: dict[tuple[str, str], str] = {}
    try:
        answer = orjson.loads(text)
        if "newest" in answer:
            _take_newest(answer, request, metrics, loaded)
            return {}
        if pairs is None:
            pairs = [(str(query["host"]), str(query["metric"])) for query in answer.get("queries") or ()]
        for (host, name), elements in zip(pairs, answer["results"], strict=True):
            for found in elements[:1]:
                if error := found.get("error"):
                    errors[host, name] = str(error)
                    continue
                timestep = found["resolution"] or metrics[name].timestep
                values = found.get("data") or ()
                for index in range(len(values) - 1, -1, -1):
                    if values[index] is not None:
                        time = int(found["from"]) + index * timestep
                        if time >= request.since(metrics[name]):
                            loaded.add(host, name, Value(time, float(values[index])))
                        break
    except _READ_ERRORS as e:
        raise _unreadable(e) from e
    return errors


def _take_newest(answer: Json, request: NewestRequest, metrics: Mapping[str, Metric], loaded: NewestLoaded) -> None:
    for name, found in answer["newest"].items():
        since = request.since(metrics[name])
        if found["times"] and min(found["times"]) >= since and None not in found["values"]:
            loaded.columns[name] = NewestColumn(found["hosts"], found["times"], found["values"])
            continue
        for host, time, value in zip(found["hosts"], found["times"], found["values"], strict=True):
            if time >= since and value is not None:
                loaded.add(host, name, Value(time, value))
    for name, error in answer["errors"].items():
        loaded.problem(name, str(error))


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
