"""Events as the log holds them, and where in the intake they came from."""

from dataclasses import dataclass

from shared.domain.events import Event
from shared.errors import Refused


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of the log. ``time`` is the event's own, in Unix seconds with fraction."""

    sequence: int
    event: Event
    time: float
    actor: str | None = None
    reply_to: str | None = None
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message of the log that is not an event this version knows."""

    sequence: int
    time: float
    reason: Refused
    excerpt: str


@dataclass(frozen=True, slots=True)
class IntakeOrigin:
    """The line of the intake that an event came from. ``stream`` is the stream's name and creation time."""

    stream: str
    sequence: int
    line: int

    def message_id(self, part: int = 0) -> str:
        """The id of the ``part``-th event of this line."""
        return f"{self.stream}:{self.sequence}:{self.line}:{part}"

    @staticmethod
    def of(message_id: str) -> "IntakeOrigin | None":
        """The inverse of ``message_id``; None for the ids of other publishers."""
        stream, *numbers = message_id.rsplit(":", 3)
        if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
            return None
        return IntakeOrigin(stream, int(numbers[0]), int(numbers[1]))
