"""Recorded queries for metric data, asked again of a site with the same jobs and samples."""

import json
from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.metrics.ground import fed_site
from tests.gateway.recorded import differing, exchanges

NAMES = ("metrics-", "nodes-metrics", "nodes-list", "nodes-cluster", "footprints", "roofline")

# On purpose otherwise; docs/compatibility.md tells why.
DIFFERENCES = frozenset(
    # no metrics and all metrics are not taken for each other
    "metrics-metrics-null-after-empty"
    # the band over all series is made of the measured samples, and then reduced
    " metrics-imported-resampled"
    # a metric whose timestep does not divide the resolution stays as it was measured
    " metrics-imported-bad-resolution metrics-few-points-bad-resolution metrics-running-bad-resolution"
    # memory domains from hardware threads
    " metrics-running-memory-domain metrics-scoped-running-bad-scope"
    # a job without monitoring has no data, which is no error
    " metrics-no-archive metrics-stats-no-archive metrics-scoped-no-archive"
    # least values of running jobs are real ones, and chosen arguments are heeded
    " metrics-stats-running metrics-stats-running-eight metrics-scoped-archived-chosen"
    # the mean of the nodes, as for archived jobs
    " footprints-running"
    # samples begin with the window
    " nodes-metrics-two-hosts"
    # a host without samples in the window has no series
    " nodes-list nodes-list-all"
    # the first page when none is given; nodes that two lists name count once; a page past the end is empty
    " nodes-list-no-page nodes-list-notindb nodes-list-notindb-past"
    # without scopes the node
    " nodes-list-scopes-null"
    # an unknown cluster is an error, and told so
    " nodes-list-unknown-cluster nodes-cluster-metrics-unknown"
    # all hosts are summed up, loads stay what they are
    " nodes-cluster-metrics nodes-cluster-metrics-one-host".split()
)
ROUNDING = 0.0101  # the recorded store was built in: this one sends rounded numbers


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
        return {"errors": True}
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
            differences = list(differing(comparable(json.loads(exchange["response"]["body"])), comparable(ours), rounding=ROUNDING))
            if differences:
                found[exchange["name"]] = differences
    unexpected = {name: text for name, text in found.items() if name not in DIFFERENCES}
    assert not unexpected, json.dumps(unexpected, indent=1)
    assert set(found) >= DIFFERENCES, DIFFERENCES - set(found)
