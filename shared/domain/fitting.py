"""Truncates the metadata of a job so that its event does not exceed the broker's message limit."""

from typing import TypeVar

from shared.domain import oddities
from shared.domain.events import JobRestored, JobStarted, JobTakenOver, encode
from shared.domain.oddities import Oddity

HEADROOM = 4096  # bytes reserved for the headers of a message
_ODDITY_BYTES = 512  # reserved for the oddity that reports the cut
_MARK = "\u2026"


E = TypeVar("E", JobStarted, JobTakenOver, JobRestored)


def fitted(event: E, max_bytes: int) -> E | None:
    """The event with its longest metadata texts truncated, so that its JSON has at most ``max_bytes``.

    All but a restored job report this as an oddity. None if it does not fit even without metadata. The texts are informative:
    job scripts, the scheduler's job information.
    """
    size = len(encode(event))
    if size <= max_bytes:
        return event
    texts = event.meta_data or {}
    sizes = {key: _json_size(text) for key, text in texts.items()}
    budget = sum(sizes.values()) - (size - max_bytes) - _ODDITY_BYTES
    if budget < 0:
        return None
    limit = _limit(sorted(sizes.values()), budget)
    cut = {key: _cut(text, limit) for key, text in texts.items() if sizes[key] > limit}
    if isinstance(event, JobRestored):
        return event.model_copy(update={"meta_data": texts | cut})
    keys = ", ".join(sorted(cut, key=lambda key: -sizes[key]))
    told = Oddity(code=oddities.TEXT_CUT, field="metaData", text=f"cut to {limit} bytes of JSON: {keys}"[: oddities.MAX_TEXT])
    return event.model_copy(update={"meta_data": texts | cut, "oddities": [*event.oddities, told]})


def _json_size(text: str) -> int:
    """Size in bytes as ``encode`` writes it, without the quotes."""
    escaped = sum(text.count(character) for character in '"\\\n\r\t\b\f')
    other = sum(text.count(chr(code)) for code in range(0x20) if chr(code) not in "\n\r\t\b\f")
    return len(text.encode()) + escaped + other * 5


def _limit(sizes: list[int], budget: int) -> int:
    """The largest limit for which the sum of the sizes, each capped at it, is within the budget. ``sizes`` is ascending."""
    left = len(sizes)
    for size in sizes:
        if size * left > budget:
            return budget // left
        budget -= size
        left -= 1
    return sizes[-1] if sizes else 0


def _cut(text: str, limit: int) -> str:
    """The longest prefix with at most ``limit`` bytes of JSON including the mark; empty if not even the mark fits."""
    room = limit - len(_MARK.encode())
    if room < 0:
        return ""
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        if _json_size(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low] + _MARK
