"""Jobs by one or two of their values, over any number of jobs."""

import math
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from services.gateway.errors import bad_request, forbidden
from services.gateway.graphql.arguments import job_filters
from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Tables
from services.gateway.reading.distribution import COLUMNS, DURATION, Axis, Distribution
from services.gateway.reading.source import FOOTPRINT_KEY

MAX_BINS = 200
MAX_CELLS = 20_000


@answers(QUERY, "jobsDistribution")
async def jobs_distribution(ask: Ask) -> Distribution:
    """Raises RequestError: 400 for an axis that is none, 403 for a metric that is restricted."""
    now = ask.gateway.clock()
    axes = [_axis(ask, ask[name], name) for name in ("x", "y") if ask[name] is not None]
    if math.prod(axis.bins for axis in axes) > MAX_CELLS:
        raise bad_request(f"x.bins, y.bins: their product is more than {MAX_CELLS}")
    return await ask.gateway.jobs.distribution(ask.user, job_filters(ask["filter"], now), axes, int(now))


def _axis(ask: Ask, given: Mapping[str, Any], name: str) -> Axis:
    bins, low, high, is_logarithmic = given["bins"], given["from"], given.get("to"), given["scale"] == "LOG"
    if not 1 <= bins <= MAX_BINS:
        raise bad_request(f"{name}.bins: {bins} is not from 1 to {MAX_BINS}")
    if is_logarithmic and low <= 0:
        raise bad_request(f"{name}.from: must be above 0 on a logarithmic scale")
    if high is not None and high <= low:
        raise bad_request(f"{name}.to: must be above {name}.from")
    for part in ("quantity", "per"):
        if given.get(part) is not None:
            _require_value(ask, given[part], f"{name}.{part}")
    return Axis(given["quantity"], bins, float(low), None if high is None else float(high), given.get("per"), is_logarithmic)


def _require_value(ask: Ask, value: str, argument: str) -> None:
    if value == DURATION or value in COLUMNS:
        return
    if not FOOTPRINT_KEY.fullmatch(value):
        raise bad_request(f"{argument}: {value[:60]!r} is neither a footprint key nor one of {', '.join([DURATION, *COLUMNS])}")
    if not ask.user.sees_all_jobs and value in _restricted(ask):
        raise forbidden(f"{argument}: {value!r} is a restricted metric")


def _restricted(ask: Ask) -> set[str]:
    """Footprint keys of the metrics that only users who see all jobs may see."""
    metrics = [metric for cluster in ask.gateway.link.clusters.values() for metric in cluster.metric_config if metric.restrict]
    return {
        f"{metric.name}_{stat}"
        for metric in metrics
        for stat in (metric.footprint, *(part.footprint for part in metric.sub_clusters))
        if stat
    }


TABLES: Tables = {
    "JobsDistribution": {
        "x": lambda found: list(found.edges[0]),
        "y": lambda found: list(found.edges[1]) if len(found.edges) > 1 else [],
        "cells": attrgetter("cells"),
        "outside": attrgetter("outside"),
    },
    "DistributionCell": {
        "x": attrgetter("x"),
        "y": attrgetter("y"),
        "jobs": attrgetter("jobs"),
        "nodeHours": attrgetter("node_hours"),
        "coreHours": attrgetter("core_hours"),
        "accHours": attrgetter("acc_hours"),
    },
}
