"""Fifty dashboards at once, and dashboards beside a stream of events."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

import aiohttp
import orjson

from bench.context import Bench
from bench.dashboard.client import Client, QueryFailed, without_garbage_collection
from bench.dashboard.gateway import Gateway, gateway_over
from bench.dashboard.measure import Times
from bench.dashboard.queries import LISTS, Query
from bench.history.jobs import History
from bench.load.lines import Load
from bench.results import Result, Target
from bench.support.database import reading
from bench.support.flow import send
from bench.support.site import EVENT_PATH

CLIENTS = 50
RATE, ERRORS, BLOCK_MS = Target(150), Target(0, is_upper=True), Target(50, is_upper=True)
EVENTS_RATE = Target(8000)
BY_USER = next(query for query in LISTS if query.name == "by user")
PAUSE_S = 0.2
_WARM_UP_S = 2.0
_WARM_UP_JOBS = 250


@dataclass(slots=True)
class Crowd:
    """Clients that ask one query each, again and again."""

    client: Client
    query: Query
    history: History
    times: Times = field(default_factory=Times)
    errors: list[str] = field(default_factory=list)

    async def run(self, clients: int, seconds: float) -> float:
        """Requests per second."""
        self.times, self.errors = Times(), []
        began = time.monotonic()
        with without_garbage_collection():
            await asyncio.gather(*(self._one(number, began + seconds) for number in range(clients)))
        return len(self.times.seconds) / (time.monotonic() - began)

    async def _one(self, number: int, until: float) -> None:
        requests = self._requests(number)
        while time.monotonic() < until:
            try:
                status, body, seconds = await self.client.post(next(requests))
            except (aiohttp.ClientError, TimeoutError) as e:
                self.errors.append(repr(e)[:200])
                continue
            if status != 200 or not body.startswith(b'{"data"'):
                self.errors.append(f"status {status}: {body[:200].decode(errors='replace')}")
                continue
            self.times.seconds.append(seconds)
            self.times.sizes.append(len(body))

    def _requests(self, number: int) -> Iterator[bytes]:
        for variables in self.query.variables(100 + number, self.history):
            yield orjson.dumps({"query": self.query.document, "variables": variables})


async def clients(bench: Bench) -> AsyncGenerator[Result, None]:
    for engine in bench.engines:
        async with gateway_over(bench, engine, bench.scale.history, connections=CLIENTS) as gateway:
            crowd = Crowd(gateway.client, BY_USER, gateway.store.history)
            await crowd.run(CLIENTS, _WARM_UP_S)
            await gateway.take_max_lag()
            rate = await crowd.run(CLIENTS, bench.scale.clients_s)
            lag_ms = await gateway.take_max_lag() * 1000
            setting = gateway.setting
        details = crowd.times.details() | {"seconds": bench.scale.clients_s}
        yield Result(f"{CLIENTS} clients, list by user", rate, "requests/s", setting, RATE, "38 requests/s", details)
        yield Result(f"… p99 (p50: {crowd.times.ms(50):.3g} ms)", crowd.times.ms(99), "ms", setting)
        yield Result("… errors", len(crowd.errors), "", setting, ERRORS, details={"first": crowd.errors[:5]})
        yield Result("… longest block of the event loop", lag_ms, "ms", setting, BLOCK_MS)


async def beside_writes(bench: Bench) -> AsyncGenerator[Result, None]:
    """Events as fast as they go, while a dashboard asks for lists: five requests a second, each another query."""
    for engine in bench.engines:
        async with gateway_over(bench, engine, bench.scale.history, *EVENT_PATH) as gateway:
            # Stores outlive rows: another run of this row continues after the jobs of the last one.
            async with reading(gateway.store.database) as reader:
                ((last,),) = await reader.rows("SELECT max(job_id) FROM job")
            with bench.folder() as scratch:
                await send(gateway.site, Load(_WARM_UP_JOBS, first_job=last + 1), scratch)
                await _read(gateway, Times(), len(LISTS), 0.0)
                load = Load(bench.scale.rate, first_job=last + _WARM_UP_JOBS + 1)
                bench.say(f"{engine}: {load.events} events")
                times = Times()
                reader_task = asyncio.create_task(_read(gateway, times, None, PAUSE_S))
                try:
                    passage = await send(gateway.site, load, scratch)
                finally:
                    reader_task.cancel()
                    ended = await asyncio.gather(reader_task, return_exceptions=True)
        failed = [one for one in ended if isinstance(one, Exception)]
        if failed:
            raise QueryFailed(f"a dashboard's query failed beside {load.events} events: {failed[0]!r}") from failed[0]
        setting = {**gateway.setting, "services": "ingest, jobstore, gateway"}
        details = {"events": load.events, "seconds": passage.seconds, "cpu_us_per_event": passage.cpu_us_per_event}
        what = "publish to visible in the database, beside a dashboard"
        yield Result(what, passage.per_second(load.events), "events/s", setting, EVENTS_RATE, "", details)
        what = f"… a list meanwhile, {1 / PAUSE_S:g} a second at most: p99 (p50: {times.ms(50):.3g} ms)"
        yield Result(what, times.ms(99), "ms", setting, None, "", times.details())


async def _read(gateway: Gateway, times: Times, requests: int | None, pause_s: float) -> None:
    """Each time another list, with its parameters."""
    sources = [(query, query.variables(7, gateway.store.history)) for query in LISTS]
    turns = itertools.cycle(sources)
    for query, variables in turns if requests is None else itertools.islice(turns, requests):
        answer = await gateway.client.ask(query.document, next(variables))
        times.seconds.append(answer.seconds)
        times.sizes.append(answer.size)
        await asyncio.sleep(pause_s)
