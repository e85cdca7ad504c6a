"""Prometheus metrics of the archiver."""

from typing import Literal

from prometheus_client import CollectorRegistry

from services.archiver.polling import PollOutcome
from shared import prometheus

Outcome = Literal["archived", "annotated", "failed", "retried", "waiting", "later", "nothing"]
FootprintOutcome = Literal["measured", "unchanged", "nothing", "failed"]
Stage = Literal["load", "write", "publish"]
_JOB_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class ArchiverNumbers:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = prometheus.ARCHIVER_OUTCOMES.counter(registry)
        self._job_seconds = prometheus.ARCHIVER_JOB_SECONDS.histogram(registry, _JOB_BUCKETS_S)
        self._stage_seconds = prometheus.ARCHIVER_STAGE_SECONDS.histogram(registry)
        self._node_checks = prometheus.ARCHIVER_NODE_CHECKS.counter(registry)
        self._footprint_rounds = prometheus.ARCHIVER_FOOTPRINT_ROUNDS.counter(registry)
        self._footprints = prometheus.ARCHIVER_FOOTPRINTS.counter(registry)
        self._retention = prometheus.ARCHIVER_RETENTION.counter(registry)
        self._dependency_up = prometheus.ARCHIVER_DEPENDENCY_UP.gauge(registry)
        self._queue = prometheus.ARCHIVER_QUEUE.gauge(registry)

    def outcome(self, outcome: Outcome, count: int = 1) -> None:
        self._outcomes.labels(outcome=outcome).inc(count)

    def archived(self, seconds: float) -> None:
        self._outcomes.labels(outcome="archived").inc()
        self._job_seconds.observe(seconds)

    def stage(self, stage: Stage, seconds: float) -> None:
        self._stage_seconds.labels(stage=stage).observe(seconds)

    def node_checks(self, outcome: PollOutcome) -> None:
        self._node_checks.labels(outcome=outcome).inc()

    def footprint_rounds(self, outcome: PollOutcome) -> None:
        self._footprint_rounds.labels(outcome=outcome).inc()

    def footprint(self, outcome: FootprintOutcome) -> None:
        self._footprints.labels(outcome=outcome).inc()

    def retention(self, outcome: str, count: int) -> None:
        self._retention.labels(outcome=outcome).inc(count)

    def dependency(self, name: str, address: str, *, is_up: bool) -> None:
        self._dependency_up.labels(dependency=name, address=address).set(int(is_up))

    def queue(self, *, pending: int, waiting: int, in_hand: int) -> None:
        for state, count in (("pending", pending), ("waiting", waiting), ("in_hand", in_hand)):
            self._queue.labels(state=state).set(count)
