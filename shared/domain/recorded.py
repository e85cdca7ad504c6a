"""Events as stored in the log, and their origin in the intake."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.domain.events import Event
from shared.errors import Refused


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of the log. Times are Unix seconds with fraction.

    ``time`` is the event's own time; for input of adapters, when the broker received it. ``stored_at`` is when the log stored the
    event, by the broker's clock; all waiting times in the rules are measured by it. It is later than ``time`` if ingest lagged.
    ``log_time`` is when the stream stored this message: later than ``stored_at`` for an event that was moved within the log.
    ``replays`` is the message id of the original event, if this one comes from a replayed message.
    """

    sequence: int
    event: Event
    time: float
    actor: str | None = None
    reply_to: str | None = None
    message_id: str = ""
    stored_at: float = 0.0
    log_time: float = field(default=0.0, compare=False)
    replays: str = ""

    @property
    def origin(self) -> str:
        """The message id for rejections: a replay that is refused again replaces the original rejection."""
        return self.replays or self.message_id


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message of the log that this version cannot read as an event."""

    sequence: int
    time: float
    reason: Refused
    excerpt: str
    message_id: str = ""
    log_time: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class IntakeOrigin:
    """The intake line that an event came from. ``stream`` is the stream's name and creation time.

    ``stored_us`` is when the broker stored the message, in microseconds since 1970. It is needed because an intake restored from an
    older copy reuses sequences. Ids of the first format lack it.
    """

    stream: str
    sequence: int
    line: int
    stored_us: int | None = None

    def message_id(self, part: int | str = 0) -> str:
        """The id of the ``part``-th event of this line. Ids with a word as ``part`` are not of a line and cannot be parsed by ``of``."""
        stored = "" if self.stored_us is None else f"@{self.stored_us}"
        return f"{self.stream}:{self.sequence}{stored}:{self.line}:{part}"

    @staticmethod
    def of(message_id: str) -> "IntakeOrigin | None":
        """The inverse of ``message_id``. None for ids of other publishers."""
        found = _MESSAGE_ID.fullmatch(message_id)
        if found is None:
            return None
        stored = found["stored"]
        return IntakeOrigin(found["stream"], int(found["sequence"]), int(found["line"]), None if stored is None else int(stored))


_NUMBER = r"[0-9]{1,19}"
_MESSAGE_ID = re.compile(
    rf"(?P<stream>.*):(?P<sequence>{_NUMBER})(?:@(?P<stored>{_NUMBER}))?:(?P<line>{_NUMBER}):(?P<part>{_NUMBER})", re.DOTALL
)


def without_stored_time(message_id: str) -> str | None:
    """The id of the same event in the first format. None if it has that format already or is of another publisher."""
    found = _MESSAGE_ID.fullmatch(message_id)
    if found is None or found["stored"] is None:
        return None
    return f"{found['stream']}:{found['sequence']}:{found['line']}:{found['part']}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Since 1970, exactly."""
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def time_of(microseconds: int) -> datetime:
    """The inverse of ``microseconds``."""
    return _EPOCH + timedelta(microseconds=microseconds)
