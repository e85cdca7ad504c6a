"""One NATS connection per service, which reconnects indefinitely."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import nats
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.backoff import Backoff
from shared.broker.bulk import BulkClient
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings, setting_name

log = structlog.get_logger()

PENDING_BYTES = 32 * 1024 * 1024  # buffer for messages published while the broker is away
WAITING_LOGGED_EVERY_S = 60.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
PING_INTERVAL_S = 20  # with three outstanding pings, a silent network loss is noticed within about a minute


def connect_options(settings: NatsSettings, name: str) -> dict[str, Any]:
    """Keyword arguments of ``nats.connect`` for every connection of a service."""
    options: dict[str, Any] = {
        "servers": [server.strip() for server in settings.url.split(",")],
        "name": name,
        "connect_timeout": settings.connect_timeout_s,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "ping_interval": PING_INTERVAL_S,
        "max_outstanding_pings": 3,
        "pending_size": PENDING_BYTES,
        "inbox_prefix": inbox_prefix(settings),
    }
    if settings.user and settings.password:
        options |= {"user": settings.user, "password": settings.password.get_secret_value()}
    if settings.creds_file:
        options["user_credentials"] = str(settings.creds_file)
    return options


def inbox_prefix(settings: NatsSettings) -> str:
    """``_INBOX.<user>``, because each user may read only its own responses. ``_INBOX`` if the user name is not a subject token."""
    first = settings.url.partition(",")[0].strip()
    parts = urlsplit(first if "://" in first else f"nats://{first}")
    user = settings.user or (parts.username if parts.password is not None else None)  # without a password it is a token, which is secret
    return f"_INBOX.{user}" if user and settings.creds_file is None and _TOKEN.fullmatch(user) else "_INBOX"


def shown(url: str) -> str:
    """Server addresses without credentials."""
    return re.sub(r"//[^/@,]*@", "//", url)


async def dial(
    settings: NatsSettings,
    name: str,
    *,
    on_change: Callable[[bool], None] | None = None,
    on_closed: Callable[[], None] | None = None,
) -> Client:
    """Try once to connect. ``on_change`` is called at each loss and recovery, ``on_closed`` when the connection is closed.

    Raises Unavailable, or UserError for wrong credentials.
    """
    changed = on_change or (lambda is_connected: None)
    quiet = asyncio.Event()

    async def disconnected() -> None:
        if not quiet.is_set() and not client.is_closed:  # not closed by this process
            quiet.set()
            log.warning("broker_lost", client=name, url=shown(settings.url))
        changed(False)

    async def reconnected() -> None:
        quiet.clear()
        log.info("broker_back", client=name, url=shown(settings.url))
        changed(True)

    async def closed() -> None:
        if on_closed is not None:
            on_closed()

    async def error(e: Exception) -> None:
        if not quiet.is_set():
            log.warning("broker_error", client=name, error=repr(e))

    client = BulkClient()
    options = connect_options(settings, name) | {"allow_reconnect": True}
    try:
        # Connect once without reconnects first: nats-py otherwise retries forever and silently.
        once = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0}  # 0 attempts would also mean endless
        async with asyncio.timeout(settings.connect_timeout_s + 1):
            probe = await nats.connect(**(options | once | {"error_cb": _ignore}))
        await probe.close()
        async with asyncio.timeout(settings.connect_timeout_s + 1):
            await client.connect(**options, disconnected_cb=disconnected, reconnected_cb=reconnected, error_cb=error, closed_cb=closed)
    except (NatsError, OSError, TimeoutError) as e:
        if "authorization" in str(e).lower() or "authentication" in str(e).lower():
            raise UserError(f"the broker at {shown(settings.url)} refuses user {settings.user!r}") from e
        raise Unavailable(f"no broker at {shown(settings.url)}") from e
    changed(True)
    return client


async def _ignore(_: Exception) -> None:
    pass


@asynccontextmanager
async def connected(
    settings: NatsSettings, name: str, stop: asyncio.Event, *, on_change: Callable[[bool], None] | None = None
) -> AsyncIterator[Client]:
    """A connection that waits for the broker until ``stop``; closed on exit.

    Raises Unavailable when ``stop`` is set before the broker is reachable. If nats-py gives the connection up later, after an error
    that no reconnect can fix, the task that opened it is interrupted with Unavailable.
    """
    user = asyncio.current_task()
    is_ours = asyncio.Event()
    is_lost = asyncio.Event()

    def on_closed() -> None:
        if not is_ours.is_set() and user is not None:
            is_lost.set()
            user.cancel()

    pause = Backoff(first_s=0.1, max_s=5.0)
    next_word = 0.0
    while True:
        try:
            client = await dial(settings, name, on_change=on_change, on_closed=on_closed)
            break
        except Unavailable as e:
            if time.monotonic() >= next_word:
                log.warning("waiting_for_broker", url=shown(settings.url), setting=setting_name("nats", "url"))
                next_word = time.monotonic() + WAITING_LOGGED_EVERY_S
            await pause.wait(stop)
            if stop.is_set():
                raise Unavailable("stopped while waiting for the broker") from e
    try:
        yield client
    except asyncio.CancelledError as e:
        if is_lost.is_set() and user is not None:
            user.uncancel()
            raise Unavailable("the broker closed the connection for good") from e
        raise
    finally:
        is_ours.set()
        try:
            await asyncio.wait_for(client.close(), 3)
        except (TimeoutError, NatsError, OSError):
            log.warning("broker_close_timed_out")
