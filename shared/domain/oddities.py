"""Faults of an event that did not cause a rejection: a closed list of codes, and their form in a job's metadata.

The service that finds an oddity adds it to the event's ``oddities`` and counts it in ``jobtide_oddities_total``. jobstore writes
those of a job into its metadata. ``docs/oddities.md`` is generated from ``ODDITIES``. Codes are never renamed.
"""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

NOT_UTF8 = "not_utf8"
UNUSABLE_VALUE = "unusable_value"
VALUE_AS_TEXT = "value_as_text"
TEXT_CUT = "text_cut"
STATE_AT_START = "state_at_start"
STATE_WORD = "state_word"
STOP_BEFORE_START = "stop_before_start"
SUPERSEDED = "superseded"

ODDITIES: dict[str, str] = {
    NOT_UTF8: "Bytes that are not UTF-8 were replaced by U+FFFD.",
    UNUSABLE_VALUE: "An informative field had a value of the wrong type or range; its default was used.",
    VALUE_AS_TEXT: "A metadata value was not a string; its JSON was stored.",
    TEXT_CUT: "A metadata value was truncated, because the event would have exceeded the broker's message limit.",
    STATE_AT_START: "A start had a final state but no duration; the job was recorded as running.",
    STATE_WORD: "A stop had a state word in another spelling, or an unknown one, which was stored as `failed`.",
    STOP_BEFORE_START: "The stop time is before the start time; the duration is 0.",
    SUPERSEDED: "The stop of a run never arrived and a later run of the same id began; the run was closed as `preempted` at that time.",
}

START_KEY = "startOddities"  # metadata key for oddities of the start or import
STOP_KEY = "stopOddities"
MAX_LISTED = 10
MAX_TEXT = 200  # characters per oddity


class Oddity(BaseModel):
    """An oddity. ``field`` is the dotted name of the field on the wire, None for the message as a whole."""

    model_config = ConfigDict(frozen=True)

    code: str
    field: str | None = None
    text: str

    def __str__(self) -> str:
        return (self.text if self.field is None else f"{self.field}: {self.text}")[:MAX_TEXT]


def as_text(oddities: Iterable[Oddity]) -> str:
    """The oddities as the value of a metadata key."""
    texts = list(dict.fromkeys(map(str, oddities)))
    more = [f"{len(texts) - MAX_LISTED} more"] if len(texts) > MAX_LISTED else []
    return "; ".join([*texts[:MAX_LISTED], *more])
