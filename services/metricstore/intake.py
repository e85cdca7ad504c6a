"""Reads the stream METRICS into the store. The stream is the write-ahead log: it has the samples that are only in memory."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import BaseModel, ValidationError

from services.metricstore.format import Mark, created_of, without_its_end
from services.metricstore.lines import Decoder, Samples, Source
from services.metricstore.prometheus import MetricStoreNumbers
from services.metricstore.saving import Saver
from services.metricstore.store import Key, Store
from shared.backoff import Backoff
from shared.broker.cursor import LogState, delivery, log_state, read_from
from shared.broker.envelope import CLUSTER_HEADER
from shared.broker.streams import METRICS, covers, free_subject, write_subject
from shared.errors import Unavailable
from shared.settings import NatsSettings
from shared.standstill import Place

log = structlog.get_logger()

BYTES_AT_ONCE = 256 * 1024  # decoded (some milliseconds) before other tasks get to run
MAX_FREED = 1000  # remembered outcomes of ``free`` requests
REMOVE_SERIES_S = 600.0  # longer than any query, because afterwards the rows of removed series are reused
CLUSTER_TOKEN = "{cluster}"  # noqa: S105 - part of a subject


class Sources:
    """The cluster of messages by their subject."""

    def __init__(self, nats: NatsSettings, subject_clusters: Mapping[str, str]) -> None:
        self._subjects = nats.metric_subjects
        self._clusters = subject_clusters
        self._write_subject = write_subject(nats)
        self._known: dict[str, Source] = {}

    def of(self, message: Msg) -> Source:
        if message.subject == self._write_subject:
            return Source((message.headers or {}).get(CLUSTER_HEADER, ""))
        source = self._known.get(message.subject)
        if source is None:
            if len(self._known) > 10_000:
                self._known.clear()
            source = self._known[message.subject] = self._find(message.subject)
        return source

    def _find(self, subject: str) -> Source:
        for pattern in self._subjects:
            if not covers(pattern.replace(CLUSTER_TOKEN, "*"), subject):
                continue
            tokens = pattern.split(".")
            if CLUSTER_TOKEN in tokens:
                return Source(subject.split(".")[tokens.index(CLUSTER_TOKEN)], is_binding=True)
            if pattern in self._clusters:
                return Source(self._clusters[pattern])
        return Source()


class _EndLost(Exception):
    """The stream has another message in the place of one that was read."""


class FreeRequest(BaseModel):
    """Removes samples before ``to`` below the levels that the selectors name."""

    to: int
    selectors: list[list[str]]


class Intake:
    """``applied`` is the sequence of the last message whose samples are visible."""

    def __init__(
        self,
        client: Client,
        nats: NatsSettings,
        store: Store,
        saver: Saver,
        decoder: Decoder,
        sources: Sources,
        numbers: MetricStoreNumbers,
        batch: int,
    ) -> None:
        self._client = client
        self.stream = nats.stream(METRICS)
        self._store = store
        self._saver = saver
        self._decoder = decoder
        self._sources = sources
        self._numbers = numbers
        self._batch = batch
        self._moved = asyncio.Condition()
        self._failure: str | None = None
        self._free_subject = free_subject(nats)
        self._restoring: dict[Key, int] = {}  # lost periods: complete once this sequence is applied
        self._removes_next = time.monotonic() + REMOVE_SERIES_S
        self.applied = 0
        self.freed: dict[int, int] = {}  # number of series that a request freed, by its sequence

    def latest_failure(self) -> str | None:
        return self._failure

    async def place(self) -> Place:
        """The position, and the end of the stream. Raises Unavailable."""
        state = await log_state(self._client, self.stream)
        is_empty = state.first_sequence > state.last_sequence
        return Place(self.applied, self.applied if is_empty else state.last_sequence)

    async def wait_for(self, sequence: int, timeout_s: float) -> bool:
        """Whether the message is visible, at once or within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: self.applied >= sequence)
        except TimeoutError:
            return False
        return True

    async def run(self, stop: asyncio.Event, tick: Callable[[], None], reading: asyncio.Event) -> None:
        """Read until ``stop``. Sets ``reading`` once it reads from the stream."""
        pause = Backoff(first_s=0.2, max_s=5.0)
        while not stop.is_set():
            tick()
            try:
                state = await log_state(self._client, self.stream)
                stream = self._identified(state)
                if stream != self._store.stream:
                    self._begin(stream)
                self._go_back(state.last_sequence)
                self._note_expired(state.first_sequence)
                begin = self.applied + 1 if self._store.mark is None else min(self.applied + 1, self._store.mark.sequence)
                async with read_from(self._client, self.stream, begin, applied=self.applied, stop=stop) as cursor:
                    reading.set()
                    while not stop.is_set() and self._store.folder.lost <= self._restoring.keys():
                        tick()
                        self._end_restoring()
                        self._remove_gone()
                        messages = self._unread(await cursor.raw_batch(self._batch))
                        if messages:
                            self._note_expired(delivery(messages[0]).sequence)
                            await self._apply(messages)
                            await asyncio.sleep(0)  # while messages wait, nothing else in this loop suspends
                            self._failure = None
                            pause.reset()
                        else:
                            self._numbers.quiet(self.applied)
            except _EndLost:
                log.error("metrics_stream_lost_its_end", stream=self.stream, reached=self.applied)
                self._begin(without_its_end(self._store.stream))
            except Unavailable as e:
                self._failure = str(e)
                log.warning("reading_restarts", stream=self.stream, why=str(e))
                await pause.wait(stop)

    def _identified(self, state: LogState) -> str:
        """What identifies the stream in files. One that lost its end is another: its next messages have known sequences.

        That happens in a power cut, or the stream comes from a backup. One that has grown beyond the position again is recognised by
        its message in the place of the mark.
        """
        before = self._store.stream
        is_same = created_of(before) == state.created
        if before and not is_same:
            log.warning("metrics_stream_recreated", stream=self.stream)
        stream = before if is_same else self._store.folder.latest(state.created)
        reached = max(self.applied if is_same else 0, self._store.folder.reached(stream))
        if state.last_sequence >= reached:
            return stream
        log.error("metrics_stream_lost_its_end", stream=self.stream, last=state.last_sequence, reached=reached)
        return without_its_end(stream)

    def _unread(self, messages: list[Msg]) -> list[Msg]:
        """Those after the position. Raises _EndLost."""
        mark = self._store.mark
        if not messages or mark is None or delivery(messages[0]).sequence > mark.sequence:
            return messages
        found = [delivery(message) for message in messages]
        if any(one.sequence == mark.sequence and one.stored_ns != mark.stored_ns for one in found):
            raise _EndLost
        return [message for message, one in zip(messages, found, strict=True) if one.sequence > self.applied]

    def _begin(self, stream: str) -> None:
        """Start reading from the position in the files, or from the beginning of an unknown stream."""
        self._store.stream = stream
        self._store.mark = self._store.folder.mark(stream)
        self._store.dirty = dict.fromkeys(self._store.dirty, 0)  # until they are saved, they are only in memory
        self._store.saving = dict.fromkeys(self._store.saving, 0)
        self._restoring.clear()
        self.applied = self._store.folder.start_position(stream)
        log.info("reading_metrics", stream=self.stream, after=self.applied)

    def _go_back(self, last_sequence: int) -> None:
        """Read the stream from its beginning for periods whose files were found damaged; what files of other periods have is left out."""
        lost = self._store.folder.lost - self._restoring.keys()
        if not lost:
            return
        self._restoring |= dict.fromkeys(lost, last_sequence)
        log.warning("reading_metrics_again", stream=self.stream, periods=len(lost), up_to=last_sequence)
        self.applied = 0

    def _end_restoring(self) -> None:
        for key in [key for key, sequence in self._restoring.items() if sequence <= self.applied]:
            self._store.restored(key, self.applied)
            del self._restoring[key]

    def _remove_gone(self) -> None:
        """Between two batches, so that no decoded sample belongs to a removed series."""
        if time.monotonic() < self._removes_next:
            return
        self._removes_next = time.monotonic() + REMOVE_SERIES_S
        if self._store.remove_gone():
            self._decoder.forget()

    def _note_expired(self, first_sequence: int) -> None:
        """Report messages that expired between the position and the first available one. At the first start there is no position."""
        lost = first_sequence - self.applied - 1
        if self.applied and lost > 0:
            log.error("metrics_expired_unread", messages=lost, after=self.applied)
            self._numbers.expired(lost)
        self.applied = max(self.applied, first_sequence - 1)

    async def _apply(self, messages: list[Msg]) -> None:
        counts: Counter[str] = Counter()
        samples = Samples()
        received = undisturbed = 0
        first, last = delivery(messages[0]).sequence, delivery(messages[-1]).sequence
        for message in messages:
            received = delivery(message).stored_ns // 1_000_000_000
            if message.subject == self._free_subject:
                counts += self._store.add(samples, received, (first, last))
                samples = Samples()
                await self._free(message)
                continue
            source = self._sources.of(message)
            if source.is_binding and not self._decoder.is_stored_here(source.cluster):
                continue
            self._decoder.decode(message.data, source, received, samples)
            undisturbed += len(message.data)
            if undisturbed > BYTES_AT_ONCE:
                undisturbed = 0
                await asyncio.sleep(0)
        counts += self._store.add(samples, received, (first, last))
        if self._store.mark is None or last >= self._store.mark.sequence:
            self._store.mark = Mark(last, delivery(messages[-1]).stored_ns)
        async with self._moved:
            self.applied = last
            self._moved.notify_all()
        self._numbers.batch(len(messages), counts, self.applied, max(0.0, time.time() - received))
        self._numbers.size(self._store.catalogue.count, self._store.memory_bytes())

    async def _free(self, message: Msg) -> None:
        """Old periods are brought into memory, changed and saved one after the other.

        Raises Unavailable when a file cannot be written; the request is then read again.
        """
        try:
            request = FreeRequest.model_validate_json(message.data)
        except ValidationError:
            log.warning("free_request_unreadable", sequence=delivery(message).sequence)
            return
        sequence = delivery(message).sequence
        for key in self._store.periods_before(request.selectors, request.to):
            self._store.free_period(key, request.selectors, request.to, sequence)
            if key in self._store.dirty and not self._store.is_recent(key):
                try:
                    await self._saver.save(key, sequence - 1)
                except OSError as e:
                    raise Unavailable(f"samples cannot be written to files: {e}") from e
                self._store.drop()
        self.freed[sequence] = self._store.freed(request.selectors, request.to)
        self._decoder.forget()
        while len(self.freed) > MAX_FREED:
            del self.freed[next(iter(self.freed))]
