"""Records from when on the metric store must keep samples, so that its retention spares jobs that are not archived yet."""

import asyncio
from collections.abc import Callable

import structlog

from services.archiver.jobs import JobReader
from shared.backoff import Backoff, sleep_unless
from shared.broker.needed import NeededSamples
from shared.errors import Unavailable

log = structlog.get_logger()

INTERVAL_S = 300.0
WITHIN_S = INTERVAL_S + 120.0  # one iteration, with room for a slow database


class NeededSamplesRecorder:
    """Replicas record the same."""

    def __init__(self, reader: JobReader, needed: NeededSamples) -> None:
        self._reader = reader
        self._needed = needed

    async def run(self, stop: asyncio.Event, tick: Callable[[], None]) -> None:
        """Record at start and every ``INTERVAL_S``, until ``stop``.

        An unchanged value is recorded again, since the bucket may have been created again meanwhile.
        """
        pause = Backoff(first_s=1.0, max_s=60.0)
        while not stop.is_set():
            tick()
            try:
                await self._needed.record(await self._reader.needed_since())
            except Unavailable as e:
                log.warning("needed_samples_not_recorded", why=str(e))
                await pause.wait(stop)
                continue
            pause.reset()
            await sleep_unless(stop, INTERVAL_S)
