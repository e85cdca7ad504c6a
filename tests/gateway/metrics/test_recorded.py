"""Recorded queries for metric data, asked again of a site with the same jobs and samples."""

import json
from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.metrics.ground import fed_site
from tests.gateway.recorded import differing, exchanges

NAMES = ("metrics-", "nodes-metrics", "nodes-list", "nodes-cluster", "footprints", "roofline")

# On purpose otherwise; docs/compatibility.md tells why.
DIFFERENCES: frozenset[str] = frozenset()


def asked(config: str) -> list[dict[str, Any]]:
    return [exchange for exchange in exchanges("graphql.jsonl") if exchange["config"] == config and exchange["name"].startswith(NAMES)]


def comparable(value: Any) -> Any:
    """Without what is chance there: order of metrics and parts, the id of a whole node's series; and the words of errors."""
    if isinstance(value, list):
        items = [comparable(item) for item in value]
        keyed = all(isinstance(item, dict) and item.keys() & {"name", "hostname", "host", "metric"} for item in items)
        return sorted(items, key=_key) if keyed else items
    if not isinstance(value, dict):
        return value
    if "errors" in value:
        return {"errors": [error.get("path") for error in value["errors"]]}
    result = {name: comparable(item) for name, item in value.items() if name != "metricHealth"}
    if result.get("scope") == "node":
        for series in (result.get("metric") or {}).get("series") or result.get("stats") or ():
            series.pop("id", None)
    return result


def _key(item: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(item.get(name)) for name in ("name", "scope", "hostname", "host", "metric", "id"))


@pytest.mark.timeout(180)
async def test_recorded_queries_are_answered_alike(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    found: dict[str, list[str]] = {}
    async with fed_site(site, sqlite_database, archive_settings) as ground:
        for exchange in asked("A"):
            ground.now = exchange["at"]
            ours = await ground.again(exchange)
            if exchange["response"].get("digest"):
                assert "errors" not in ours, exchange["name"]
                continue
            differences = list(differing(comparable(json.loads(exchange["response"]["body"])), comparable(ours)))
            if differences:
                found[exchange["name"]] = differences
    unexpected = {name: text for name, text in found.items() if name not in DIFFERENCES}
    assert not unexpected, json.dumps(unexpected, indent=1)
    assert set(found) >= DIFFERENCES, DIFFERENCES - set(found)
