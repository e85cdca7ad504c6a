"""How often somebody may try to sign in: buckets of attempts per user name and source address, and per source address alone."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MAX_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    attempts: float
    at: float


class Attempts:
    """``most`` at once, and one more every ``pause_s``. Of more buckets than are kept, those unused for longest are forgotten."""

    def __init__(self, most: int, pause_s: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._pause_s = pause_s
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """Use one attempt; 0, or the seconds to wait for one."""
        bucket = self._refilled(key)
        if bucket.attempts < 1:
            return (1 - bucket.attempts) * self._pause_s
        bucket.attempts -= 1
        return 0.0

    def give_back(self, key: Hashable) -> None:
        """The attempt was right: it does not count."""
        bucket = self._refilled(key)
        bucket.attempts = min(self._most, bucket.attempts + 1)
        if bucket.attempts >= self._most:
            del self._buckets[key]

    def _refilled(self, key: Hashable) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.pop(key, None) or _Bucket(self._most, now)
        bucket.attempts = min(self._most, bucket.attempts + max(0.0, now - bucket.at) / self._pause_s)
        bucket.at = now
        self._buckets[key] = bucket
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket


class SignInAttempts:
    """Who tries one password with many names, or makes up names until others are forgotten, meets the bound of the address."""

    def __init__(self, of_name: Attempts, of_address: Attempts) -> None:
        self._of_name = of_name
        self._of_address = of_address

    def take(self, name: str, address: Hashable) -> float:
        """Use one attempt; 0, or the seconds to wait for one."""
        wait_s = self._of_address.take(address)
        if wait_s:
            return wait_s
        wait_s = self._of_name.take((name, address))
        if wait_s:
            self._of_address.give_back(address)
        return wait_s

    def give_back(self, name: str, address: Hashable) -> None:
        """The attempt was right: it does not count."""
        self._of_name.give_back((name, address))
        self._of_address.give_back(address)
