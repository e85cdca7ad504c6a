"""The metrics of the metric store."""

import time
from collections import Counter, deque
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from services.metricstore.lines import OTHER_STORE
from shared import prometheus

RATE_OVER_S = 60.0


class Tally:
    """Counts since the start, for the state of the store."""

    def __init__(self) -> None:
        self.samples = 0
        self.refused: Counter[str] = Counter()
        self.expired = 0
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])  # when there were how many samples

    def stored(self, count: int) -> None:
        self.samples += count
        self._look()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._seen[-1][0] >= 1.0:
            self._seen.append((now, self.samples))
        while len(self._seen) > 1 and now - self._seen[0][0] > RATE_OVER_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Samples, over the last minute."""
        self._look()
        since, before = self._seen[0]
        return (self.samples - before) / max(1.0, time.monotonic() - since)


class MetricStoreNumbers:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.tally = Tally()
        self._messages = prometheus.METRICSTORE_MESSAGES.counter(registry)
        self._samples = prometheus.METRICSTORE_SAMPLES.counter(registry)
        self._refused = prometheus.METRICSTORE_REFUSED.counter(registry)
        self._expired = prometheus.METRICSTORE_EXPIRED.counter(registry)
        self._position = prometheus.METRICSTORE_POSITION.gauge(registry)
        self._behind = prometheus.METRICSTORE_BEHIND_SECONDS.gauge(registry)
        self._series = prometheus.METRICSTORE_SERIES.gauge(registry)
        self._memory = prometheus.METRICSTORE_MEMORY.gauge(registry)
        self._files = prometheus.METRICSTORE_FILES.gauge(registry)
        self._file_bytes = prometheus.METRICSTORE_FILE_BYTES.gauge(registry)
        self._written = prometheus.METRICSTORE_WRITTEN_BYTES.counter(registry)
        self._queries = prometheus.METRICSTORE_QUERY_SECONDS.histogram(registry)

    def batch(self, messages: int, counts: Mapping[str, int], position: int, behind_s: float) -> None:
        """``counts`` by outcome of the lines: ``stored``, or a reason of ``lines.REASONS``."""
        self._messages.inc(messages)
        for outcome, count in counts.items():
            if outcome == "stored":
                self._samples.inc(count)
                self.tally.stored(count)
            elif outcome in ("known", OTHER_STORE):
                continue  # in a file already, or in another service
            else:
                self._refused.labels(outcome).inc(count)
                self.tally.refused[outcome] += count
        self._position.set(position)
        self._behind.set(behind_s)

    def quiet(self, position: int) -> None:
        self._position.set(position)
        self._behind.set(0)

    def expired(self, messages: int) -> None:
        self._expired.inc(messages)
        self.tally.expired += messages

    def size(self, series: int, memory_bytes: int) -> None:
        self._series.set(series)
        self._memory.set(memory_bytes)

    def files(self, count: int, size: int) -> None:
        self._files.set(count)
        self._file_bytes.set(size)

    def saved(self, size: int) -> None:
        self._written.inc(size)

    def query(self, seconds: float) -> None:
        self._queries.observe(seconds)
