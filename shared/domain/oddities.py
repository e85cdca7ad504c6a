"""What was wrong with an event and did not cost it: a closed list of codes, and how a job tells them.

Whoever finds an oddity puts it into the event's ``oddities`` and counts it in ``jobtide_oddities_total``. jobstore writes
those of a job into its metadata. ``docs/oddities.md`` is generated from ``ODDITIES``; a code is never renamed.
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

ODDITIES: dict[str, str] = {
    NOT_UTF8: "Bytes that are not UTF-8 were replaced by U+FFFD.",
    UNUSABLE_VALUE: "A field that only informs had a value of the wrong type or range; its default was taken.",
    VALUE_AS_TEXT: "A value of the metadata was not a text; its JSON was stored.",
    TEXT_CUT: "A text was cut, because the event would have been larger than the broker takes.",
    STATE_AT_START: "A start with a state that ends a job, but without the time of the end; the job was recorded as running.",
    STATE_WORD: "A stop with a state word of another spelling, or an unknown one, which counts as `failed`.",
    STOP_BEFORE_START: "The stop time is before the start time; the duration is 0.",
}

START_KEY = "startOddities"  # of the metadata: about the start or import
STOP_KEY = "stopOddities"
MAX_LISTED = 10
MAX_TEXT = 200  # characters of one oddity


class Oddity(BaseModel):
    """``field`` is the dotted name of the field on the wire, None for the message as a whole."""

    model_config = ConfigDict(frozen=True)

    code: str
    field: str | None = None
    text: str

    def __str__(self) -> str:
        return (self.text if self.field is None else f"{self.field}: {self.text}")[:MAX_TEXT]


def as_text(oddities: Iterable[Oddity]) -> str:
    """The value of the metadata key."""
    texts = list(dict.fromkeys(map(str, oddities)))
    more = [f"{len(texts) - MAX_LISTED} more"] if len(texts) > MAX_LISTED else []
    return "; ".join([*texts[:MAX_LISTED], *more])
