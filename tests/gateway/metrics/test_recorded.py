"""Recorded queries for metric data, sent to a site with the same jobs and samples."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.metrics.settings import SeriesSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.graphql.differences import waits_for_metrics
from tests.gateway.graphql.replay import Replay, sessions_of
from tests.gateway.metrics.alike import ROUNDING, comparable, differing_from_digest
from tests.gateway.metrics.ground import fed_site, feed
from tests.gateway.recorded import differing, exchanges

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "A": {},
    "H": {
        "series": SeriesSettings(resolutions=[600, 120], minimum_points=100),
        "graphql": GraphqlSettings(short_job_s=601),
    },
}

# Intended differences; docs/compatibility.md gives the reasons.
DIFFERENCES = frozenset(
    # no metrics and all metrics are distinguished
    "metrics-metrics-null-after-empty"
    # the band over all series is computed from the measured samples, then reduced
    " metrics-imported-resampled h-imported-14400 h-imported-default"
    # a metric whose timestep does not divide the resolution is not reduced
    " metrics-imported-bad-resolution metrics-few-points-bad-resolution metrics-running-bad-resolution"
    # memory domains from hardware threads
    " metrics-running-memory-domain metrics-scoped-running-bad-scope"
    # a job without monitoring has no data, which is not an error
    " metrics-no-archive metrics-stats-no-archive metrics-scoped-no-archive"
    # minima of running jobs are the measured ones, and arguments are respected
    " metrics-stats-running metrics-stats-running-eight metrics-scoped-archived-chosen"
    # the same for statistics over many jobs
    " jms-running"
    # a running job is not short
    " h-short"
    # the projects of a manager's token come from the database, and the role api sees the jobs that it may list
    " role-manager-token-job-metrics role-api-job-metrics"
    # the mean of the nodes, as for archived jobs
    " footprints-running"
    # samples begin at the start of the window
    " nodes-metrics-two-hosts"
    # a host without samples in the window has no series
    " nodes-list nodes-list-all"
    # the first page by default; nodes in two lists count once; a page past the end is empty
    " nodes-list-no-page nodes-list-notindb nodes-list-notindb-past"
    # the node by default
    " nodes-list-scopes-null"
    # an unknown cluster is reported as an error
    " nodes-list-unknown-cluster nodes-cluster-metrics-unknown"
    # all hosts are summed up, but loads are not scaled
    " nodes-cluster-metrics nodes-cluster-metrics-one-host".split()
)


def asked(config: str) -> list[dict[str, Any]]:
    fed = {exchange["name"] for exchange in feed(config)}
    return [
        exchange
        for exchange in exchanges("graphql.jsonl")
        if exchange["config"] == config and exchange["name"] not in fed and (config == "H" or waits_for_metrics(exchange["name"]))
    ]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("config", CONFIGURATIONS)
async def test_recorded_queries_are_answered_alike(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings, config: str
) -> None:
    found: dict[str, list[str]] = {}
    async with fed_site(site, sqlite_database, archive_settings, config, **CONFIGURATIONS[config]) as ground:
        replay = Replay(ground.client, await sessions_of(ground.client))
        await replay.learn()
        for exchange in asked(config):
            ground.now = exchange["at"]
            status, _, text = await replay.ask(exchange)
            differences = list(_findings(exchange, status, text))
            if differences:
                found[exchange["name"]] = differences
    unexpected = {name: text for name, text in found.items() if name not in DIFFERENCES}
    assert not unexpected, json.dumps(unexpected, indent=1)
    listed = DIFFERENCES & {exchange["name"] for exchange in asked(config)}
    assert set(found) >= listed, listed - set(found)


def _findings(exchange: dict[str, Any], status: int, text: str) -> Iterator[str]:
    recorded = exchange["response"]
    if status != recorded["status"]:
        yield f"{recorded['status']} there, {status} here: {text[:200]}"
    elif recorded.get("digest"):
        yield from differing_from_digest(recorded["digest"], text)
    else:
        yield from differing(comparable(json.loads(recorded["body"])), comparable(json.loads(text)), rounding=ROUNDING)
