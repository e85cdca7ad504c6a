"""Translates a raw message of an adapter to events and rejections, line by line. Pure; never raises."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog

from services.ingest.originals import Original
from shared.broker.envelope import Envelope, excerpt_text
from shared.domain import intake, reasons
from shared.domain.clusters import Cluster
from shared.domain.events import Event, IntakeRejected, IntakeReplayed, JobStarted, encode
from shared.domain.fitting import HEADROOM, fitted
from shared.domain.payloads import NodeStatePayload, StartPayload, StopPayload
from shared.domain.recorded import IntakeOrigin, microseconds, time_of
from shared.domain.wire import NOT_UTF8, Payload, add_oddity, read_object
from shared.errors import Refused
from shared.lineprotocol import EXCERPT_BYTES, BadLine, Point, parse_lines
from shared.settings import NatsSettings

log = structlog.get_logger()

JOB, NODESTATE = "job", "nodestate"
MAX_REJECTIONS = 1000  # per message: 8 MiB of bad bytes must not become millions of events
_SOURCE = "/intake/"


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message of the intake. ``stream`` is the stream's name and creation time, ``received_at`` the broker's time.

    ``original`` is the earlier message that this one replays: events and rejections get its time and position.
    """

    subject: str
    data: bytes
    stream: str
    sequence: int
    received_at: datetime
    original: Original | None = None

    def message_id(self, line: int, part: int | str) -> str:
        return IntakeOrigin(self.stream, self.sequence, line, microseconds(self.received_at)).message_id(part)

    def replays(self, line: int, part: int) -> str | None:
        """The id of the same event of the original message."""
        original = self.original
        if original is None:
            return None
        return IntakeOrigin(self.stream, original.sequence, line, microseconds(original.received_at)).message_id(part)


class IntakeSubjects:
    """Maps a subject to its measurements and its cluster."""

    def __init__(self, nats: NatsSettings) -> None:
        self._patterns = [
            (re.compile(re.escape(subject).replace(re.escape("{cluster}"), "([^.]+)")), measurement)
            for subjects, measurement in ((nats.job_subjects, JOB), (nats.node_subjects, NODESTATE))
            for subject in subjects
        ]

    def meaning(self, subject: str) -> tuple[frozenset[str], str | None]:
        """The measurements allowed on the subject, and the cluster in it, if any."""
        measurements, cluster = set(), None
        for pattern, measurement in self._patterns:
            match = pattern.fullmatch(subject)
            if match:
                measurements.add(measurement)
                cluster = match[1] if match.groups() else cluster
        return frozenset(measurements), cluster


class Translator:
    """Turns messages into envelopes. ``max_payload`` is the broker's limit in bytes."""

    def __init__(self, subjects: IntakeSubjects, clusters: Mapping[str, Cluster], max_payload: int) -> None:
        self._subjects = subjects
        self._clusters = clusters
        self._max_payload = max_payload

    def translate(self, message: RawMessage) -> list[Envelope]:
        """The events and rejections of a message, in the order of its lines. Deterministic: the same message gives the same envelopes."""
        if message.original is None:
            return self._translate(message)
        return [self._replayed(message, message.original), *self._translate(message)]

    def _replayed(self, message: RawMessage, original: Original) -> Envelope:
        event = IntakeReplayed(stream=message.stream, sequence=original.sequence, stored_us=microseconds(original.received_at))
        return Envelope(event, message.message_id(0, "replayed"), f"{_SOURCE}{message.subject}", original.received_at)

    def _translate(self, message: RawMessage) -> list[Envelope]:
        if not message.data:
            return [self._rejected(message, 1, 0, Refused(reasons.EMPTY_MESSAGE, "the message is empty"), b"")]
        measurements, cluster = self._subjects.meaning(message.subject)
        envelopes: list[Envelope] = []
        rejections = 0
        for line in parse_lines(message.data):
            for envelope in self._line(message, line, measurements, cluster):
                if isinstance(envelope.event, IntakeRejected):
                    rejections += 1
                    if rejections > MAX_REJECTIONS:
                        continue
                envelopes.append(envelope)
        if rejections > MAX_REJECTIONS:
            more = Refused(reasons.MORE_BAD_LINES, f"{rejections - MAX_REJECTIONS} further rejections of this message are not listed")
            envelopes.append(self._rejected(message, 0, 0, more, b""))
        return envelopes

    def rejected(self, envelope: Envelope, refused: Refused) -> Envelope:
        """The rejection that replaces an envelope refused by the broker."""
        origin = IntakeOrigin.of(envelope.message_id)
        assert origin is not None
        subject = envelope.source.removeprefix(_SOURCE)
        first = IntakeOrigin.of(envelope.replays or "")
        original = Original(first.sequence, envelope.time) if first else None
        received_at = envelope.time if origin.stored_us is None else time_of(origin.stored_us)
        message = RawMessage(subject, b"", origin.stream, origin.sequence, received_at, original)
        return self._rejected(message, origin.line, 0, refused, envelope.body()[:EXCERPT_BYTES])

    def _line(self, message: RawMessage, line: Point | BadLine, measurements: frozenset[str], cluster: str | None) -> Iterator[Envelope]:
        """The envelopes of one line, numbered so that each has its own id."""
        if isinstance(line, BadLine):
            yield self._rejected(message, line.number, 0, Refused(reasons.LINE_PROTOCOL, line.text), line.excerpt)
            return
        payload = line.fields.get("event")
        excerpt = payload.encode() if isinstance(payload, str) else line.measurement.encode()
        try:
            events, refusals = self._decide(line, payload, measurements, cluster)
        except Refused as e:
            yield self._rejected(message, line.number, 0, e, excerpt)
            return
        except Exception:
            log.exception("line_failed", sequence=message.sequence, line=line.number)
            yield self._rejected(message, line.number, 0, Refused(reasons.INTERNAL, "unexpected error, see the log of ingest"), excerpt)
            return
        for part, event in enumerate(events):
            fitting = self._fitting(event) if len(excerpt) > self._max_payload // 4 else event
            if fitting is None:
                refusals = [*refusals, Refused(reasons.TOO_LARGE, f"the event would be over {self._max_payload} bytes")]
            else:
                yield self._envelope(message, line.number, part, fitting)
        for part, refused in enumerate(refusals, start=len(events)):
            yield self._rejected(message, line.number, part, refused, excerpt)

    def _fitting(self, event: Event) -> Event | None:
        """The event, with its texts truncated if necessary; None if it is still too large for the broker."""
        max_bytes = self._max_payload - HEADROOM
        if isinstance(event, JobStarted):
            return fitted(event, max_bytes)
        return event if len(encode(event)) <= max_bytes else None

    def _decide(
        self, line: Point, payload: object, measurements: frozenset[str], subject_cluster: str | None
    ) -> tuple[list[Event], list[Refused]]:
        if line.measurement not in measurements:
            raise Refused(reasons.UNKNOWN_MEASUREMENT, f"{line.measurement[:60]!r} does not belong to this subject")
        if not isinstance(payload, str):
            raise Refused(reasons.NO_EVENT_FIELD, "no field 'event' that is a string", field="event")
        function = line.tags.get("function")
        if line.measurement == JOB and function not in ("start_job", "stop_job"):
            if function is None:
                raise Refused(reasons.FUNCTION_MISSING, "the tag 'function' is missing", field="function")
            raise Refused(reasons.FUNCTION_UNKNOWN, f"{function[:60]!r} is neither start_job nor stop_job", field="function")
        if not payload:
            raise Refused(reasons.EMPTY_PAYLOAD, "the payload is empty", field="event")
        events, refusals, has_rest = self._read(line, function, payload.encode(), subject_cluster)
        if has_rest:
            refusals.append(Refused(reasons.TRAILING_DATA, "text after the JSON object was not used", field="event"))
        return events, refusals

    def _read(
        self, line: Point, function: str | None, payload: bytes, subject_cluster: str | None
    ) -> tuple[list[Event], list[Refused], bool]:
        if line.measurement == NODESTATE:
            states, has_rest = _object(NodeStatePayload, line, payload)
            intake.agree_on_cluster(subject_cluster, states.cluster)
            report, refusals = intake.nodes_reported(states, self._clusters)
            return [report] if report.nodes or not refusals else [], refusals, has_rest
        if function == "start_job":
            start, has_rest = _object(StartPayload, line, payload)
            intake.agree_on_cluster(subject_cluster, start.cluster)
            events: list[Event] = [intake.job_started(start, self._clusters)]
            if (ended := intake.stop_of(start)) is not None:
                events.append(ended)
            return events, [], has_rest
        stop, has_rest = _object(StopPayload, line, payload)
        intake.agree_on_cluster(subject_cluster, stop.cluster)
        event = intake.job_stopped(stop, may_wait=True)
        if subject_cluster is not None and event.cluster is None:
            event = event.model_copy(update={"cluster": subject_cluster})
        return [event], [], has_rest

    def _envelope(self, message: RawMessage, line: int, part: int, event: Event) -> Envelope:
        time = message.original.received_at if message.original else message.received_at
        return Envelope(event, message.message_id(line, part), _SOURCE + message.subject, time, replays=message.replays(line, part))

    def _rejected(self, message: RawMessage, line: int, part: int, refused: Refused, excerpt: bytes) -> Envelope:
        event = IntakeRejected(
            code=refused.code,
            field=refused.field,
            text=refused.text[:500],
            subject=message.subject,
            stream=message.stream,
            sequence=message.original.sequence if message.original else message.sequence,
            line=line,
            excerpt=excerpt_text(excerpt, EXCERPT_BYTES),
        )
        return self._envelope(message, line, part, event)


P = TypeVar("P", bound=Payload)


def _object(model: type[P], line: Point, payload: bytes) -> tuple[P, bool]:
    """The payload, and whether other text follows it. Raises Refused."""
    found, has_rest = read_object(model, payload)
    if line.is_repaired:
        add_oddity(found, NOT_UTF8)
    return found, has_rest
