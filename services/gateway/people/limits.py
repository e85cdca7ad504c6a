"""Limits on how often something may be done.

A bucket is one number: the time at which all its attempts are available again. Taking an attempt moves it ``pause_s`` later.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

MAX_BUCKETS = 10_000  # in memory
ROUNDING_S = 1e-3


@dataclass(frozen=True, slots=True)
class Limit:
    """``attempts`` at once, and one more every ``pause_s``."""

    attempts: int
    pause_s: float

    def wait_s(self, full_at: float, now: float) -> float:
        """Seconds until one more attempt is available; 0 when there is one."""
        wait_s = max(full_at, now) + self.pause_s - (now + self.attempts * self.pause_s)
        return wait_s if wait_s > ROUNDING_S else 0.0


@dataclass(frozen=True, slots=True)
class Bucket:
    key: str
    limit: Limit


class LocalBuckets:
    """In memory; above ``MAX_BUCKETS`` the one used longest ago is dropped."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def take(self, buckets: Sequence[Bucket], now: float) -> float:
        for bucket in buckets:
            if wait_s := bucket.limit.wait_s(self._full_at.get(bucket.key, 0.0), now):
                return wait_s
        for bucket in buckets:
            self._full_at[bucket.key] = max(self._full_at.pop(bucket.key, 0.0), now) + bucket.limit.pause_s
        while len(self._full_at) > MAX_BUCKETS:
            self._full_at.popitem(last=False)
        return 0.0

    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        for bucket in buckets:
            if bucket.key in self._full_at:
                self._full_at[bucket.key] -= bucket.limit.pause_s
