"""bcrypt beside the event loop, for a bounded number of passwords at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from services.gateway.people.users.rules import MAX_PASSWORD_BYTES, check_password
from shared.errors import Unavailable

COST = 10  # as cc-backend's; about 60 ms
AT_ONCE = 2
MOST_WAITING = 64
T = TypeVar("T")


def hash_password(password: str, cost: int = COST) -> str:
    """As cc-backend writes it, so that it could read our table too. Raises BadField."""
    return bcrypt.hashpw(check_password(password).encode(), bcrypt.gensalt(cost, b"2a")).decode()


def password_fits(password: str, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), hashed.encode())
    except ValueError:  # too long for bcrypt, or no bcrypt hash in the table
        return False


class Passwords:
    """``close`` it at the end."""

    def __init__(self, cost: int = COST) -> None:
        self._cost = cost
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bcrypt")
        self._waiting = 0
        self._of_nobody = f"$2a${cost:02}${'.' * 53}"  # well-formed, so that it costs as much as any; no password is known to fit

    async def hash(self, password: str) -> str:
        """Raises BadField, Unavailable."""
        check_password(password)
        return await self._beside(lambda: hash_password(password, self._cost))

    async def fits(self, password: str, hashed: str | None) -> bool:
        """Takes the same time without a hash to compare with: nobody learns which names exist. Raises Unavailable."""
        possible = hashed is not None and 0 < len(password.encode()) <= MAX_PASSWORD_BYTES
        against = hashed if hashed is not None and possible else self._of_nobody
        given = password if possible else "x"
        return await self._beside(lambda: password_fits(given, against)) and possible

    async def _beside(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("too many passwords are being checked")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
