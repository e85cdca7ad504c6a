"""The directory for coroutines: a bounded number of threads and of those who wait for one, and a deadline for each call."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from services.gateway.people.auth.ldap.connection import People, Person, Wire, dn_of
from services.gateway.people.auth.ldap.settings import LdapSettings
from shared.errors import Unavailable

log = structlog.get_logger()

T = TypeVar("T")

MOST_WAITING_PER_CONNECTION = 8


class Directory:
    """Everything raises Unavailable: the server is away, slow or refuses to serve us. A connection is used for one call."""

    def __init__(self, settings: LdapSettings) -> None:
        self.settings = settings
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="ldap")
        self._free = asyncio.Semaphore(settings.connections)
        self._calls = 0

    @property
    def is_busy(self) -> bool:
        return self._calls > 0

    def close(self) -> None:
        """Does not wait for servers; what still runs ends at its own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def find(self, name: str) -> Person | None:
        """The one valid user of this login name."""

        def work(wire: Wire) -> Person | None:
            wire.bind_to_search()
            return wire.find(name)

        return await self._call(work, self.settings.timeout_s)

    async def check(self, name: str, password: str, *, reads_entry: bool) -> tuple[bool, Person | None]:
        """Whether the password is that of the user, and with ``reads_entry`` the entry, if it is a valid user's."""
        pattern = self.settings.user_bind

        def work(wire: Wire) -> tuple[bool, Person | None]:
            person = None
            if reads_entry or not pattern:
                wire.bind_to_search()
                person = wire.find(name)
                if person is None and not pattern:
                    return False, None
            dn = dn_of(pattern, name) if pattern else person.dn if person else ""
            return wire.bind(dn, password), person

        return await self._call(work, self.settings.timeout_s)

    async def everyone(self) -> People:
        def work(wire: Wire) -> People:
            wire.bind_to_search()
            return wire.everyone()

        return await self._call(work, self.settings.sync_timeout_s)

    async def _call(self, work: Callable[[Wire], T], timeout_s: float) -> T:
        if self._calls >= self.settings.connections * (1 + MOST_WAITING_PER_CONNECTION):
            raise Unavailable("too many sign-ins wait for the directory")
        wire = Wire(self.settings, timeout_s)

        def use() -> T:
            with wire:
                return work(wire)

        self._calls += 1
        try:
            async with asyncio.timeout(timeout_s), self._free:
                return await self._in_thread(use, wire)
        except TimeoutError as e:
            log.warning("directory_too_slow", timeout_s=timeout_s)
            raise Unavailable(f"the directory did not answer in {timeout_s:g} s") from e
        except Unavailable as e:
            log.warning("directory_unavailable", why=str(e), cause=str(e.__cause__ or "")[:300])
            raise
        finally:
            self._calls -= 1

    async def _in_thread(self, use: Callable[[], T], wire: Wire) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, use)
        except asyncio.CancelledError:
            wire.abort()  # the thread ends with its connection, not at the server's leisure
            raise
