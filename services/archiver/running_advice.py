"""Advice on running jobs, from their measurements."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.archiver.advice import Adviser
from shared.advice import Rules
from shared.domain.clusters import Cluster
from shared.domain.events import JobAdvised
from shared.metricdata import MetricSource, Results, request_of
from shared.metricdata.model import JobData
from shared.metricdata.postprocess import postprocess

MAX_SAMPLES = 200_000  # per job, about 20 MB while they are read; advice on a larger job sees only its last hours
MIN_COURSE_S = 3600  # a shorter part of a job's time shows no course


class RunningAdvice:
    def __init__(self, adviser: Adviser, source: MetricSource) -> None:
        self._adviser = adviser
        self._source = source

    @property
    def rules(self) -> Rules:
        """The present ones; another object after their files have changed."""
        return self._adviser.running_rules()

    async def changed(self, row: Mapping[str, Any], cluster: Cluster, results: Results, *, at: int) -> JobAdvised | None:
        """None while the same rules hold as in the row. Raises Unavailable and SourceRefused when samples are needed and not given."""
        courses = await courses_of(self._source, row, cluster, self.rules.courses, at)
        statistics = results.statistics_document()
        return await asyncio.to_thread(self._adviser.advise_running, row, cluster, statistics, results.data, courses, at)


async def courses_of(source: MetricSource, row: Mapping[str, Any], cluster: Cluster, names: frozenset[str], at: int) -> JobData:
    """Samples per node of the metrics ``names``, up to ``at``. Raises Unavailable and SourceRefused."""
    metrics = [metric for metric in cluster.metrics_on(str(row["subcluster"])) if metric.name in names]
    if not metrics:
        return {}
    duration = at - int(row["start_time"])
    per_second = sum(1 / metric.timestep for metric in metrics) * int(row["num_nodes"])
    window = min(duration, int(MAX_SAMPLES / per_second))
    if window < min(duration, MIN_COURSE_S):
        return {}
    request = request_of({**row, "start_time": at - window, "duration": window}, cluster, finest_scope_nodes=0)
    chosen = frozenset(metric.name for metric in metrics)
    loaded = await source.load(replace(request, metrics=chosen, scopes=frozenset({"node"})))
    return postprocess(loaded.data)
