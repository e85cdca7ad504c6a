"""Refused parts of a request that is answered with 200: recorded like refused lines of the intake."""

from collections.abc import Sequence

from shared.broker.envelope import excerpt_text
from shared.domain import reasons
from shared.domain.events import IntakeRejected
from shared.errors import Refused

MAX_REJECTIONS = 1000  # per request: a report of 50,000 unknown hosts is one mistake


def rejections_of(refusals: Sequence[Refused], source: str, body: bytes) -> list[IntakeRejected]:
    """One event per refusal, then one that counts those above the limit. ``source`` is method and path."""
    listed = list(refusals[:MAX_REJECTIONS])
    if more := len(refusals) - len(listed):
        listed.append(Refused(reasons.MORE_BAD_LINES, f"{more} further rejections of this request are not listed"))
    excerpt = excerpt_text(body)
    return [
        IntakeRejected(code=refused.code, field=refused.field, text=refused.text[:500], subject=source, excerpt=excerpt)
        for refused in listed
    ]
