"""bcrypt in threads, for a bounded number of passwords at once."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.gateway.people.addresses import Origin
from services.gateway.people.auth.hashes import COST, hash_password, password_fits
from services.gateway.people.auth.queue import FairQueue, TrustedAddresses
from services.gateway.people.users.rules import MAX_PASSWORD_BYTES, check_password

AT_ONCE = min(8, max(2, (os.cpu_count() or 2) // 2))  # the event loop and other services need the rest
T = TypeVar("T")


class Passwords:
    """``close`` it at the end."""

    def __init__(self, min_characters: int, trusted: TrustedAddresses, cost: int = COST) -> None:
        self._min_characters = min_characters
        self._cost = cost
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bcrypt")
        self._queue = FairQueue(AT_ONCE, "passwords are being checked", trusted)
        self._of_nobody = f"$2a${cost:02}${'.' * 53}"  # well-formed, so it takes as long as any other; no known password fits

    async def hash(self, password: str, origin: Origin) -> str:
        """Hash a new password. Raises BadField, Unavailable."""
        check_password(password, self._min_characters)
        return await self._in_thread(lambda: hash_password(password, self._min_characters, self._cost), origin)

    async def fits(self, password: str, hashed: str | None, origin: Origin) -> bool:
        """Takes as long without a hash as with one, so that timing does not reveal which names exist. Raises Unavailable."""
        possible = hashed is not None and 0 < len(password.encode()) <= MAX_PASSWORD_BYTES
        against = hashed if hashed is not None and possible else self._of_nobody
        given = password if possible else "x"
        return await self._in_thread(lambda: password_fits(given, against), origin) and possible

    async def _in_thread(self, work: Callable[[], T], origin: Origin) -> T:
        await self._queue.enter(origin)
        running = asyncio.get_running_loop().run_in_executor(self._pool, work)
        running.add_done_callback(lambda _: self._queue.leave())
        return await asyncio.shield(running)  # a cancelled request still occupies its thread

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
