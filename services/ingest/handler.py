"""A batch of raw messages: translate, publish, and only then acknowledge."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry

from services.ingest.originals import original_of
from services.ingest.translate import RawMessage, Translator
from shared import prometheus
from shared.broker.bulk import acknowledge
from shared.broker.clusters import ClusterDirectory
from shared.broker.cursor import delivery
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.broker.streams import Durable
from shared.domain import reasons
from shared.domain.events import IntakeRejected, IntakeReplayed, JobStarted, JobStopped, NodesReported
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

PART_BYTES = 2 * 1024 * 1024  # size of the raw messages that are translated and published together
REDELIVER_S = 1.0  # redelivery delay of a batch that could not be published


class BatchHandler:
    """Handles batches of the intake stream. ``stream`` is its name and creation time, the first part of every message id."""

    def __init__(
        self,
        client: Client,
        translator: Translator,
        clusters: ClusterDirectory,
        publisher: Publisher,
        queue: Durable,
        stream: str,
        numbers: "IngestNumbers",
    ) -> None:
        self._client = client
        self._queue = queue
        self._translator = translator
        self._clusters = clusters
        self._publisher = publisher
        self._stream = stream
        self._numbers = numbers

    async def handle(self, batch: Sequence[Msg]) -> None:
        """Acknowledge each message once its events are in the log; hand back the others. Never raises."""
        done = 0
        try:
            for part in _parts(batch):
                started = time.perf_counter()
                envelopes = await self._translate([await self._raw(message) for message in part])
                await self._publish(envelopes)
                await acknowledge(self._client, part)
                done += len(part)
                self._numbers.count(len(part), envelopes, time.perf_counter() - started)
        except (Unavailable, NatsError, OSError) as e:
            log.warning("batch_not_published", messages=len(batch) - done, why=str(e))
            await hand_back(batch[done:], REDELIVER_S)
        except Exception:
            log.exception("batch_failed", messages=len(batch) - done)
            await hand_back(batch[done:], REDELIVER_S)

    async def _publish(self, envelopes: list[Envelope]) -> None:
        if replayed := [envelope for envelope in envelopes if isinstance(envelope.event, IntakeReplayed)]:
            # Wait for these before sending the rest: they delete rejections, and must not delete the ones that follow.
            await self._publisher.publish(replayed)
        try:
            await self._publisher.publish(envelopes)
        except Refused:
            # One exceeds the broker's limit despite the translator's check: publish one by one to find it. Stored ones are deduplicated.
            for envelope in envelopes:
                try:
                    await self._publisher.publish([envelope])
                except Refused as e:
                    await self._publisher.publish([self._translator.rejected(envelope, e)])

    async def _raw(self, message: Msg) -> RawMessage:
        found = delivery(message)
        original = await original_of(self._client, self._queue.stream, message) if message.headers else None
        return RawMessage(message.subject, message.data, self._stream, found.sequence, found.stored_at, original)

    async def _translate(self, messages: list[RawMessage]) -> list[Envelope]:
        envelopes = [envelope for message in messages for envelope in self._translator.translate(message)]
        misses_cluster = any(isinstance(e.event, IntakeRejected) and e.event.code == reasons.UNKNOWN_CLUSTER for e in envelopes)
        if misses_cluster and await self._clusters.refresh():  # the cluster may have just been added
            envelopes = [envelope for message in messages for envelope in self._translator.translate(message)]
        return envelopes


def _parts(batch: Sequence[Msg]) -> Iterator[Sequence[Msg]]:
    """Split the batch into parts of bounded size, so that the events of several huge messages are not in memory at once."""
    first, size = 0, 0
    for index, message in enumerate(batch):
        size += len(message.data)
        if size >= PART_BYTES:
            yield batch[first : index + 1]
            first, size = index + 1, 0
    if first < len(batch):
        yield batch[first:]


async def hand_back(batch: Sequence[Msg], delay_s: float | None = None) -> None:
    """Request redelivery now instead of after the acknowledgement wait. Acknowledged messages are skipped."""
    for message in batch:
        with suppress(NatsError, OSError):  # if the broker is unavailable, it redelivers on its own
            await message.nak(delay=delay_s)


class IngestNumbers:
    """The metrics of ingest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = prometheus.INGEST_MESSAGES.counter(registry)
        self._events = prometheus.INGEST_EVENTS.counter(registry)
        self._rejections = prometheus.INGEST_REJECTIONS.counter(registry)
        self._oddities = prometheus.ODDITIES.counter(registry)
        self._seconds = prometheus.INGEST_BATCH_SECONDS.histogram(registry)

    def count(self, messages: int, envelopes: Sequence[Envelope], seconds: float) -> None:
        self._messages.inc(messages)
        self._seconds.observe(seconds)
        by_name: dict[str, int] = {}
        for envelope in envelopes:
            by_name[envelope.event.name] = by_name.get(envelope.event.name, 0) + 1
            if isinstance(envelope.event, IntakeRejected):
                self._rejections.labels(code=envelope.event.code).inc()
            elif isinstance(envelope.event, JobStarted | JobStopped | NodesReported):
                for oddity in envelope.event.oddities:
                    self._oddities.labels(code=oddity.code).inc()
        for name, count in by_name.items():
            self._events.labels(event=name).inc(count)
