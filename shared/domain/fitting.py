"""Cutting the texts of a start so that the broker takes the event."""

from shared.domain import oddities
from shared.domain.events import JobStarted, encode
from shared.domain.oddities import Oddity

HEADROOM = 4096  # bytes of a message beside its JSON: headers
_ODDITY_BYTES = 512  # room for what tells the cut
_MARK = "\u2026"


def fitted(event: JobStarted, max_bytes: int) -> JobStarted | None:
    """The start with the longest texts of its metadata cut, so that its JSON has at most ``max_bytes``.

    None if it does not fit without any metadata either. The texts only inform: job scripts, the scheduler's job information.
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
    keys = ", ".join(sorted(cut, key=lambda key: -sizes[key]))
    told = Oddity(code=oddities.TEXT_CUT, field="metaData", text=f"cut to {limit} bytes of JSON: {keys}"[: oddities.MAX_TEXT])
    return event.model_copy(update={"meta_data": texts | cut, "oddities": [*event.oddities, told]})


def _json_size(text: str) -> int:
    """In bytes, as ``encode`` writes it, without the quotes."""
    escaped = sum(text.count(character) for character in '"\\\n\r\t\b\f')
    other = sum(text.count(chr(code)) for code in range(0x20) if chr(code) not in "\n\r\t\b\f")
    return len(text.encode()) + escaped + other * 5


def _limit(sizes: list[int], budget: int) -> int:
    """The largest size to which all larger ones can be cut so that they are within the budget together; sizes ascend."""
    left = len(sizes)
    for size in sizes:
        if size * left > budget:
            return budget // left
        budget -= size
        left -= 1
    return sizes[-1] if sizes else 0


def _cut(text: str, limit: int) -> str:
    """The longest beginning with at most ``limit`` bytes of JSON, its mark included; empty if not even that fits."""
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
