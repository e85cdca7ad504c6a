"""Recorded queries for metric data, asked again of a site with the same jobs and samples."""

import json
from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.metrics.alike import ROUNDING, comparable
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


def asked(config: str) -> list[dict[str, Any]]:
    return [exchange for exchange in exchanges("graphql.jsonl") if exchange["config"] == config and exchange["name"].startswith(NAMES)]


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
