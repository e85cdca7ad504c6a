"""Events as the log holds them, and where in the intake they came from."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.domain.events import Event
from shared.errors import Refused


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of the log. Times are Unix seconds with fraction.

    ``time`` is the event's own: for input of adapters, when the broker took it. ``stored_at`` is when the log stored the event,
    by the broker's clock; whatever waits in the rules is measured by it. It is later than ``time`` when ingest was behind.
    """

    sequence: int
    event: Event
    time: float
    actor: str | None = None
    reply_to: str | None = None
    message_id: str = ""
    stored_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message of the log that is not an event this version knows."""

    sequence: int
    time: float
    reason: Refused
    excerpt: str


@dataclass(frozen=True, slots=True)
class IntakeOrigin:
    """The line of the intake that an event came from. ``stream`` is the stream's name and creation time.

    ``stored_us`` is when the broker stored the message, in microseconds since 1970: an intake that is restored from an older
    copy gives used sequences to other messages. Ids of the first form do not have it.
    """

    stream: str
    sequence: int
    line: int
    stored_us: int | None = None

    def message_id(self, part: int = 0) -> str:
        """The id of the ``part``-th event of this line."""
        stored = "" if self.stored_us is None else f"@{self.stored_us}"
        return f"{self.stream}:{self.sequence}{stored}:{self.line}:{part}"

    @staticmethod
    def of(message_id: str) -> "IntakeOrigin | None":
        """The inverse of ``message_id``; None for the ids of other publishers."""
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
    """The id of the first form for the same event; None if this is one, or the id of another publisher."""
    found = _MESSAGE_ID.fullmatch(message_id)
    if found is None or found["stored"] is None:
        return None
    return f"{found['stream']}:{found['sequence']}:{found['line']}:{found['part']}"


def microseconds(time: datetime) -> int:
    """Since 1970, exactly."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
