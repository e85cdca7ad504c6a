"""Failures per event, and the pause before the next attempt."""

import errno
import random
from collections import OrderedDict

MAX_TRACKED = 100_000  # above the default max_waiting; beyond it the oldest counts are dropped
_OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Failures:
    """Counts in memory. A restart resets them, which only delays giving up."""

    def __init__(self, *, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._counts: OrderedDict[int, int] = OrderedDict()

    def count(self, sequence: int) -> int:
        """Record a failure. Returns the number of failures so far."""
        count = self._counts.pop(sequence, 0) + 1
        self._counts[sequence] = count
        if len(self._counts) > MAX_TRACKED:
            self._counts.popitem(last=False)
        return count

    def forget(self, sequence: int) -> None:
        self._counts.pop(sequence, None)

    def pause_s(self, count: int) -> float:
        """The pause doubles with each failure up to the maximum, and is shortened at random by up to a third."""
        return float(min(self._first_s * 2.0 ** min(count - 1, 40), self._max_s)) * random.uniform(0.67, 1.0)


def is_out_of_room(error: BaseException) -> bool:
    """True if the disk is full, over quota or read-only: no fault of the job."""
    return isinstance(error, OSError) and error.errno in _OUT_OF_ROOM


def describe(error: BaseException) -> str:
    """The error in one line."""
    text = str(error).splitlines()[0] if str(error) else ""
    return (text if type(error).__module__.startswith("shared.") else f"{type(error).__name__}: {text}")[:500]
