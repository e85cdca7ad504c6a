"""How often an event failed, and how long to wait before the next try."""

import errno
import random
from collections import OrderedDict

MOST_REMEMBERED = 100_000  # above what the queue lets wait by default; beyond, the oldest count starts anew
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Failures:
    """Counts in memory: after a restart the tries of a job begin again, which only delays the verdict."""

    def __init__(self, *, first_s: float, most_s: float) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._counts: OrderedDict[int, int] = OrderedDict()

    def count(self, sequence: int) -> int:
        """One more failure; returns how many there are."""
        count = self._counts.pop(sequence, 0) + 1
        self._counts[sequence] = count
        if len(self._counts) > MOST_REMEMBERED:
            self._counts.popitem(last=False)
        return count

    def forget(self, sequence: int) -> None:
        self._counts.pop(sequence, None)

    def pause_s(self, count: int) -> float:
        """Doubled with each failure, jittered by up to a third."""
        return float(min(self._first_s * 2.0 ** min(count - 1, 40), self._most_s)) * random.uniform(0.67, 1.0)


def is_out_of_room(error: BaseException) -> bool:
    """The disk is full, over quota or read-only: not the job's fault."""
    return isinstance(error, OSError) and error.errno in _FULL


def describe(error: BaseException) -> str:
    """One line for a person."""
    text = str(error).splitlines()[0] if str(error) else ""
    return (text if type(error).__module__.startswith("shared.") else f"{type(error).__name__}: {text}")[:500]
