"""Metrics of jobstore."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from services.jobstore.rules import Decision
from shared import prometheus
from shared.domain.recorded import Recorded, Unreadable


class ProjectionNumbers:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._position = prometheus.PROJECTION_POSITION.gauge(registry)
        self._lag_seconds = prometheus.PROJECTION_LAG_SECONDS.gauge(registry)
        self._outcomes = prometheus.PROJECTION_OUTCOMES.counter(registry)
        self._refusals = prometheus.PROJECTION_REFUSALS.counter(registry)
        self._oddities = prometheus.ODDITIES.counter(registry)
        self._seconds = prometheus.PROJECTION_BATCH_SECONDS.histogram(registry)

    def quiet(self, stream: str) -> None:
        self._lag_seconds.labels(stream=stream).set(0)

    def batch(self, stream: str, batch: Sequence[Recorded | Unreadable], decisions: Sequence[Decision], seconds: float) -> None:
        self._position.labels(stream=stream).set(batch[-1].sequence)
        self._lag_seconds.labels(stream=stream).set(max(0.0, time.time() - batch[-1].time))
        self._seconds.labels(stream=stream).observe(seconds)
        counts: dict[str, int] = {}
        for decision in decisions:
            counts[decision.kind] = counts.get(decision.kind, 0) + 1
            if decision.code is not None:
                self._refusals.labels(code=decision.code).inc()
            for code in decision.oddities:
                self._oddities.labels(code=code).inc()
        for kind, count in counts.items():
            self._outcomes.labels(kind=kind).inc(count)
