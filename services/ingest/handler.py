"""A batch of raw messages: translate, publish, and only then acknowledge."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry

from services.ingest.translate import RawMessage, Translator
from shared import metrics
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain import reasons
from shared.domain.events import IntakeRejected, JobStarted, JobStopped, NodesReported
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

PART_BYTES = 2 * 1024 * 1024  # raw messages that are translated and published together
REDELIVER_S = 1.0  # pause before a batch that could not be published is offered again


class BatchHandler:
    """``stream`` is the intake stream's name and creation time, the first part of every message id."""

    def __init__(
        self, translator: Translator, clusters: ClusterDirectory, publisher: Publisher, stream: str, numbers: "IngestNumbers"
    ) -> None:
        self._translator = translator
        self._clusters = clusters
        self._publisher = publisher
        self._stream = stream
        self._numbers = numbers

    async def handle(self, batch: Sequence[Msg]) -> None:
        """Every message is acknowledged after its events are in the log, or offered again. Never raises."""
        done = 0
        try:
            for part in _parts(batch):
                started = time.perf_counter()
                envelopes = await self._translate([self._raw(message) for message in part])
                await self._publish(envelopes)
                for message in part:
                    await message.ack()
                done += len(part)
                self._numbers.count(len(part), envelopes, time.perf_counter() - started)
        except (Unavailable, NatsError, OSError) as e:
            log.warning("batch_not_published", messages=len(batch) - done, why=str(e))
            await hand_back(batch[done:], REDELIVER_S)
        except Exception:
            log.exception("batch_failed", messages=len(batch) - done)
            await hand_back(batch[done:], REDELIVER_S)

    async def _publish(self, envelopes: list[Envelope]) -> None:
        try:
            await self._publisher.publish(envelopes)
        except Refused:
            # One exceeds the broker's limit despite the translator's check: find it; the others are stored already.
            for envelope in envelopes:
                try:
                    await self._publisher.publish([envelope])
                except Refused as e:
                    await self._publisher.publish([self._translator.rejected(envelope, e)])

    def _raw(self, message: Msg) -> RawMessage:
        metadata = message.metadata
        return RawMessage(message.subject, message.data, self._stream, metadata.sequence.stream, metadata.timestamp)

    async def _translate(self, messages: list[RawMessage]) -> list[Envelope]:
        envelopes = [envelope for message in messages for envelope in self._translator.translate(message)]
        misses_cluster = any(isinstance(e.event, IntakeRejected) and e.event.code == reasons.UNKNOWN_CLUSTER for e in envelopes)
        if misses_cluster and await self._clusters.refresh():  # it may have been added a moment ago
            envelopes = [envelope for message in messages for envelope in self._translator.translate(message)]
        return envelopes


def _parts(batch: Sequence[Msg]) -> Iterator[Sequence[Msg]]:
    """The batch in pieces of bounded size, so that a few huge messages are not all in memory as events at once."""
    first, size = 0, 0
    for index, message in enumerate(batch):
        size += len(message.data)
        if size >= PART_BYTES:
            yield batch[first : index + 1]
            first, size = index + 1, 0
    if first < len(batch):
        yield batch[first:]


async def hand_back(batch: Sequence[Msg], delay_s: float | None = None) -> None:
    """Make the broker offer messages again now, instead of after the acknowledgement wait; acknowledged ones are left out."""
    for message in batch:
        with suppress(NatsError, OSError):  # acknowledged, or the broker is away: it offers them again by itself
            await message.nak(delay=delay_s)


class IngestNumbers:
    """The counters of ingest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = metrics.INGEST_MESSAGES.counter(registry)
        self._events = metrics.INGEST_EVENTS.counter(registry)
        self._rejections = metrics.INGEST_REJECTIONS.counter(registry)
        self._oddities = metrics.ODDITIES.counter(registry)
        self._seconds = metrics.INGEST_BATCH_SECONDS.histogram(registry)

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
