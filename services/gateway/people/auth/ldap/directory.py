"""The directory for coroutines: a bounded number of threads, a fair queue for them, and a deadline for each call."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from services.gateway.people.addresses import Origin
from services.gateway.people.auth.ldap.connection import LdapConnection, People, Person, dn_of
from services.gateway.people.auth.ldap.settings import LdapSettings
from services.gateway.people.auth.queue import FairQueue, TrustedAddresses
from shared.errors import Unavailable

log = structlog.get_logger()

T = TypeVar("T")

MAX_WAITING_PER_CONNECTION = 8
GATEWAY = Origin("gateway", "gateway")  # calls that no sign-in asked for


class Directory:
    """Every method raises Unavailable if the server is down, too slow or refuses the connection. Each call uses its own connection."""

    def __init__(self, settings: LdapSettings, trusted: TrustedAddresses | None = None) -> None:
        self.settings = settings
        self._threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="ldap")
        self._queue = FairQueue(
            settings.connections,
            "sign-ins wait for the directory",
            trusted or TrustedAddresses(),
            settings.connections * MAX_WAITING_PER_CONNECTION,
        )
        self._calls = 0

    @property
    def is_busy(self) -> bool:
        return self._calls > 0

    def close(self) -> None:
        """Does not wait for servers; running calls end at their own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def find(self, name: str, origin: Origin) -> Person | None:
        """The valid user with this login name; None when there is none or more than one."""

        def work(connection: LdapConnection) -> Person | None:
            connection.bind_to_search()
            return connection.find(name)

        return await self._call(work, self.settings.timeout_s, origin)

    async def check(self, name: str, password: str, origin: Origin, *, reads_entry: bool) -> tuple[bool, Person | None]:
        """Whether the password is right, and with ``reads_entry`` the user's entry, if it is a valid one."""
        pattern = self.settings.user_bind

        def work(connection: LdapConnection) -> tuple[bool, Person | None]:
            person = None
            if reads_entry or not pattern:
                connection.bind_to_search()
                person = connection.find(name)
                if person is None and not pattern:
                    return False, None
            dn = dn_of(pattern, name) if pattern else person.dn if person else ""
            return connection.bind(dn, password), person

        return await self._call(work, self.settings.timeout_s, origin)

    async def everyone(self) -> People:
        def work(connection: LdapConnection) -> People:
            connection.bind_to_search()
            return connection.everyone()

        return await self._call(work, self.settings.sync_timeout_s, GATEWAY)

    async def _call(self, work: Callable[[LdapConnection], T], timeout_s: float, origin: Origin) -> T:
        connection = LdapConnection(self.settings, timeout_s)

        def use() -> T:
            with connection:
                return work(connection)

        self._calls += 1
        try:
            async with asyncio.timeout(timeout_s), self._queue.place(origin):
                return await self._in_thread(use, connection)
        except TimeoutError as e:
            log.warning("directory_too_slow", timeout_s=timeout_s)
            raise Unavailable(f"the directory did not answer in {timeout_s:g} s") from e
        except Unavailable as e:
            log.warning("directory_unavailable", why=str(e), cause=str(e.__cause__ or "")[:300])
            raise
        finally:
            self._calls -= 1

    async def _in_thread(self, use: Callable[[], T], connection: LdapConnection) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, use)
        except asyncio.CancelledError:
            connection.abort()  # ends the thread, which would otherwise wait for the server
            raise
