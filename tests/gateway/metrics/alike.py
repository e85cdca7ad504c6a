"""Comparison of answers with recorded metric data."""

import re
from collections.abc import Iterator
from typing import Any

ROUNDING = 0.0101  # the recorded store was built into the server; this one sends rounded numbers

_SAMPLE = re.compile(r"null|\d+(?:\.\d+)?")


def differing_from_digest(digest: dict[str, Any], text: str) -> Iterator[str]:
    """Compare sample by sample. Of a long answer, only the beginning and the end were recorded."""
    ours = _SAMPLE.findall(text)
    first, last = _SAMPLE.findall(digest["start"])[:-1], _SAMPLE.findall(digest["end"])[1:]  # the outermost may be cut
    for theirs, found in ((first, ours[: len(first)]), (last, ours[-len(last) :])):
        for number, (one, other) in enumerate(zip(theirs, found, strict=True)):
            if one != other and ("null" in (one, other) or abs(float(one) - float(other)) > ROUNDING):
                yield f"sample {number}: {one} there, {other} here"


def comparable(value: Any) -> Any:
    """Drop what varies in the recording: order of metrics and parts, ids of jobs and of the series of whole nodes, error messages."""
    if isinstance(value, list):
        items = [comparable(item) for item in value]
        keyed = all(isinstance(item, dict) and item.keys() & {"name", "hostname", "host", "metric"} for item in items)
        return sorted(items, key=_key) if keyed else items
    if not isinstance(value, dict):
        return value
    if "errors" in value:
        return {"errors": True}
    result = {name: comparable(item) for name, item in value.items() if name != "metricHealth"}
    if "jobId" in result:
        result.pop("id", None)
    whole = result.get("metric") if result.get("scope") == "node" else result.get("node")
    parts = whole.get("series") if isinstance(whole, dict) else result.get("stats") if result.get("scope") == "node" else None
    for part in parts or ():
        part.pop("id", None)
    return result


def _key(item: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(item.get(name)) for name in ("name", "scope", "hostname", "host", "metric", "id"))
