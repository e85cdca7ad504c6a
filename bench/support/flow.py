"""Sending a load through a site and measuring when it has arrived."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from bench.load.generator import Published, generator
from bench.load.lines import Load
from bench.support.cluster import CLUSTER
from bench.support.database import reading
from bench.support.site import Site
from bench.support.usage import cpu_seconds, per_event_us
from bench.support.watch import Positions, watching
from shared.broker.streams import EVENTS
from shared.settings import NatsSettings
from tests.support.nats import client_of

ARRIVES_S = 900.0
PATIENCE_S = 90.0  # messages held by a killed ingest are redelivered after 30 s
_POLL_S = 0.1


class Lost(Exception):
    """Less arrived than was published."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One load from its first publish to the commit of its last event; Unix seconds."""

    published: Published
    translated_s: float
    seconds: float
    positions: Positions
    cpu_us_per_event: dict[str, float]

    def per_second(self, events: int) -> float:
        return events / self.seconds


async def send(site: Site, load: Load, folder: Path, *, rate: float | None = None, every_s: float = 0.01, check: bool = True) -> Passage:
    """Publish all of it, and wait until the last event is visible in the database. Raises Lost, TimeoutError.

    ``check``: raises Lost too when a job is not there or has not ended.
    """
    async with client_of(site.nats) as client, generator(load, folder, adapter_url(site.nats), rate=rate) as publisher:
        log = Log(client, site)
        before = await log.job_events()
        async with watching(site.database, every_s) as positions:
            cpu = cpu_seconds(site)
            publisher.begin()
            published = await publisher.finished()
            translated = await log.wait_for(before + load.events)
            committed = await positions.reached(await log.last_job_event(), ARRIVES_S)
            used = per_event_us(cpu, cpu_seconds(site), load.events)
    if check:
        await expect_stopped(site, load)
    return Passage(published, translated - published.started, committed - published.started, positions, used)


def adapter_url(nats: NatsSettings) -> str:
    """With the credentials of the settings, if there are any: the generator's process takes only an address."""
    if not nats.user or nats.password is None:
        return nats.url
    return nats.url.replace("://", f"://{nats.user}:{nats.password.get_secret_value()}@", 1)


class Log:
    """The starts and stops in the log of a site."""

    def __init__(self, client: Client, site: Site) -> None:
        self._js = client.jetstream(timeout=10)
        self._stream = site.nats.stream(EVENTS)
        self._subjects = [f"{site.nats.prefix}.job.{what}.{CLUSTER}" for what in ("started", "stopped")]

    async def job_events(self) -> int:
        info = await self._js.stream_info(self._stream, subjects_filter=">")
        return sum((info.state.subjects or {}).get(subject, 0) for subject in self._subjects)

    async def wait_for(self, count: int) -> float:
        """Unix time at which the log has ``count`` events, at most 0.1 s late. Raises Lost when there is no progress."""
        last, changed = -1, time.monotonic()
        while True:
            found = await self.job_events()
            if found >= count:
                return time.time()
            if found != last:
                last, changed = found, time.monotonic()
            if time.monotonic() - changed > PATIENCE_S:
                raise Lost(f"{count - found} of {count} events are not in the log")
            await asyncio.sleep(_POLL_S)

    async def last_job_event(self) -> int:
        """The sequence of the newest start or stop."""
        last = [(await self._js.get_last_msg(self._stream, subject)).seq or 0 for subject in self._subjects]
        return max(last)


async def expect_stopped(site: Site, load: Load) -> None:
    """Raises Lost unless every job of the load is there and has ended."""
    of_load = f"job_id BETWEEN {load.first_job} AND {load.first_job + load.jobs - 1} AND cluster = '{CLUSTER}'"
    async with reading(site.database) as reader:
        (there,) = (await reader.rows(f"SELECT count(*) FROM job WHERE {of_load}"))[0]
        (running,) = (await reader.rows(f"SELECT count(*) FROM job WHERE {of_load} AND job_state = 'running'"))[0]
    if there != load.jobs or running:
        raise Lost(f"{load.jobs} jobs were sent, {there} are there, {running} of them still running")
