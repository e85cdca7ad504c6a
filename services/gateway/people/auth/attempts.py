"""Limits on failed sign-ins, per user name and address and per address alone, counted in the database for all gateways."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from sqlalchemy import case, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.gateway.people.addresses import Origin
from services.gateway.people.auth.queue import FairQueue, TrustedAddresses
from services.gateway.people.limits import ROUNDING_S, Bucket, Limit, LocalBuckets
from services.gateway.people.users.rules import folded_name
from shared.database.dialects import dialect_of
from shared.database.engine import repeats_lost, transaction
from shared.database.tables import sign_in_attempt
from shared.errors import Unavailable

log = structlog.get_logger()

CLEAN_EVERY_S = 60.0
MAX_DELETIONS = 3  # how often other gateways may delete the row while this one records an attempt


class Buckets(Protocol):
    async def take(self, buckets: Sequence[Bucket], now: float) -> float:
        """Take one attempt from each bucket, or none: returns 0, or the seconds to wait."""
        ...

    async def give_back(self, buckets: Sequence[Bucket]) -> None: ...


class StoredBuckets:
    """Shared by all gateways. Raises Unavailable."""

    def __init__(self, writing: AsyncEngine) -> None:
        self._writing = writing
        self._cleaned_at = 0.0

    @repeats_lost
    async def take(self, buckets: Sequence[Bucket], now: float) -> float:
        try:
            async with transaction(self._writing) as connection:
                if not 0 <= now - self._cleaned_at < CLEAN_EVERY_S:
                    await connection.execute(delete(sign_in_attempt).where(sign_in_attempt.c.full_at < now))
                    self._cleaned_at = now
                for bucket in buckets:
                    await _take(connection, bucket, now)
        except _Empty as e:
            return e.wait_s
        return 0.0

    @repeats_lost
    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        async with transaction(self._writing) as connection:
            for bucket in buckets:
                earlier = {"full_at": sign_in_attempt.c.full_at - bucket.limit.pause_s}
                await connection.execute(update(sign_in_attempt).where(sign_in_attempt.c.key == bucket.key).values(earlier))


class _Empty(Exception):
    """Rolls the transaction back, so that no other bucket loses an attempt."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


async def _take(connection: AsyncConnection, bucket: Bucket, now: float) -> None:
    """Raises _Empty, Unavailable."""
    limit, full_at = bucket.limit, sign_in_attempt.c.full_at
    latest = now + limit.attempts * limit.pause_s
    # A later time was written by a gateway whose clock is ahead: it must not refuse sign-ins for as long as that.
    later = case((full_at > latest + ROUNDING_S, latest - limit.pause_s), (full_at > now, full_at), else_=now) + limit.pause_s
    is_this = sign_in_attempt.c.key == bucket.key
    statement = update(sign_in_attempt).where(is_this, later <= latest + ROUNDING_S).values(full_at=later)
    for _ in range(MAX_DELETIONS):
        await connection.execute(dialect_of(connection).insert_or_ignore(sign_in_attempt).values(key=bucket.key, full_at=now))
        if (await connection.execute(statement)).rowcount:
            return
        stored = await connection.scalar(select(full_at).where(is_this))
        if stored is not None:
            raise _Empty(limit.wait_s(stored, now) or limit.pause_s)
        # Another gateway has just deleted the row, since all attempts were available again.
    raise Unavailable("database: the attempts of a sign-in are deleted again and again")


class SignInAttempts:
    """The bucket per address stops password spraying and made-up names.

    While the database cannot be written (a full disk), attempts are counted in memory: admins must be able to sign in.
    """

    def __init__(self, of_name: Limit, of_address: Limit, stored: Buckets, trusted: TrustedAddresses, clock: Callable[[], float]) -> None:
        self._of_name = of_name
        self._of_address = of_address
        self._stored = stored
        self._local = LocalBuckets()
        self._trusted = trusted
        # One place, so that sign-ins leave connections for other writes of the gateway.
        self._queue = FairQueue(1, "people sign in", trusted)
        self._clock = clock

    async def take(self, name: str, origin: Origin) -> float:
        """Use one attempt; returns 0, or the seconds to wait for one. Raises Unavailable when too many sign in at once."""
        buckets = self._buckets(name, origin)
        async with self._queue.place(origin):
            try:
                return await self._stored.take(buckets, self._clock())
            except Unavailable as e:
                log.warning("sign_in_attempt_not_stored", why=str(e))
                return await self._local.take(buckets, self._clock())

    async def give_back(self, name: str, origin: Origin) -> None:
        """The attempt did not fail, so it does not count."""
        buckets = self._buckets(name, origin)
        await self._local.give_back(buckets)
        try:
            async with self._queue.place(origin):
                await self._stored.give_back(buckets)
        except Unavailable as e:
            log.warning("sign_in_attempt_not_given_back", why=str(e))

    async def succeed(self, name: str, origin: Origin) -> None:
        self._trusted.add(origin)
        await self.give_back(name, origin)

    def _buckets(self, name: str, origin: Origin) -> list[Bucket]:
        # Hashed, because people type passwords into the field for the name.
        of_name = hashlib.sha256(f"{origin.address}\0{folded_name(name)}".encode(errors="surrogatepass")).hexdigest()[:32]
        return [Bucket(f"address {origin.address}", self._of_address), Bucket(f"name {of_name}", self._of_name)]
