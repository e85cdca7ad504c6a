"""A jobstore on a real broker and a real database, inside the test's event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from nats.aio.client import Client

from services.jobstore.app import run
from services.jobstore.settings import JobstoreSettings, Settings
from shared.broker.envelope import STORED_AT, Envelope
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.streams import EVENTS, NODES, REJECTIONS
from shared.database.engine import opened
from shared.database.progress import progress_of
from shared.domain.events import Event
from shared.service import leaves
from shared.settings import DatabaseSettings, NatsSettings
from tests.support.waiting import until


def jobstore_settings(nats: NatsSettings, database: DatabaseSettings, **fields: Any) -> Settings:
    return Settings(nats, database, JobstoreSettings.model_validate({"health": "127.0.0.1:0", **fields}))


class Jobstore:
    """One replica. ``failure`` is the error that ended it, if any."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._is_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(run(self._settings, self._stop, lambda service, **addresses: self._is_up.set()))

    async def up(self) -> None:
        assert self._task is not None
        await until(lambda: self._is_up.is_set() or self._ended(), 20, "jobstore up")
        if self._task.done():
            await self.stop()

    def _ended(self) -> bool:
        return self._task is not None and self._task.done()

    async def failure(self, deadline_s: float = 20) -> BaseException:
        """Wait until the replica ends by itself; returns its error."""
        assert self._task is not None
        await asyncio.wait([self._task], timeout=deadline_s)
        assert self._task.done(), "jobstore goes on"
        error = self._task.exception()
        assert error is not None, "jobstore ended as if it had been asked to"
        return leaves(error)[0]

    async def stop(self) -> None:
        assert self._task is not None
        self._stop.set()
        async with asyncio.timeout(30):
            await self._task

    async def cancel(self) -> None:
        """End the replica abruptly."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task], timeout=40)


@asynccontextmanager
async def running(nats: NatsSettings, database: DatabaseSettings, *, replicas: int = 1, **fields: Any) -> AsyncIterator[None]:
    """Run ``count`` replicas of jobstore during the block; a failure of one fails the test."""
    stores = [Jobstore(jobstore_settings(nats, database, **fields)) for _ in range(replicas)]
    for store in stores:
        store.start()
    try:
        for store in stores:
            await store.up()
        yield
    finally:
        for store in stores:
            await store.stop()


async def tell(client: Client, nats: NatsSettings, events: Iterable[Event], at: Sequence[datetime] = (), tag: str = "e") -> list[int]:
    """Publish events and return their sequences. Message ids are ``tag`` and index; ``at`` is the storage time, by default now."""
    now = datetime.now(UTC)
    publisher = Publisher(client, nats.prefix)
    envelopes = [Envelope(event, f"{tag}{index}", "/test", at[index] if at else now, reply_to=None) for index, event in enumerate(events)]
    if not at:
        return await publisher.publish(envelopes)
    return await publisher.publish_raw(
        [Outgoing(e.subject(nats.prefix), e.body(), e.headers() | {STORED_AT: e.time.isoformat()}) for e in envelopes]
    )


async def applied(database: DatabaseSettings, sequence: int, stream: str = EVENTS, deadline_s: float = 30) -> None:
    """Wait until the position has reached ``sequence``."""
    async with opened(database) as engine:

        async def is_there() -> bool:
            progress = await progress_of(engine)
            return {EVENTS: progress.events, NODES: progress.nodes, REJECTIONS: progress.rejections}[stream] >= sequence

        await until(is_there, deadline_s, f"{stream} applied up to {sequence}")
