"""From publish to visible, at 200 events per second: over REST, and in the database."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from bench.context import Bench
from bench.load.lines import FIRST_START, Kind, Load
from bench.results import Result, Target
from bench.rows.sites import modes, site_of
from bench.support.database import reading
from bench.support.flow import Passage, send
from bench.support.percentiles import percentile, summary_ms
from bench.support.rest import Rest, rest_of
from bench.support.site import Site

RATE = 200.0
PAUSE_S = 0.004  # between two looks at REST
DATABASE_PAUSE_S = 0.002
P50, P99 = Target(20, is_upper=True), Target(100, is_upper=True)
CC_BACKEND = "its commit interval, 1 to 2 min"
CC_BACKEND_DATABASE = {50: "6 ms", 99: "110 ms"}
SERVICES = ("ingest", "jobstore", "gateway")
_WARM_UP = 250
_PAGE = 100
_EVER = 4_000_000_000

Event = tuple[Kind, int]  # with the job id


@dataclass(slots=True)
class Looker:
    """Poll for new jobs, one small page at a time. Start times grow from job to job, so each page begins after the last one seen."""

    rest: Rest
    first_job: int
    seen: dict[Event, float] = field(default_factory=dict)
    looks: list[float] = field(default_factory=list)

    async def run(self) -> None:
        newest: dict[Kind, int] = {"start": self.first_job - 1, "stop": self.first_job - 1}
        states: dict[Kind, dict[str, str]] = {"start": {}, "stop": {"state": "completed"}}
        while True:
            began = asyncio.get_running_loop().time()
            for kind, state in states.items():
                after = FIRST_START + newest[kind] + 1
                jobs, at = await self.rest.jobs(start_time=f"{after}-{_EVER}", items_per_page=_PAGE, **state)
                for job in jobs:
                    self.seen.setdefault((kind, job["jobId"]), at)
                    newest[kind] = max(newest[kind], job["jobId"])
            await asyncio.sleep(PAUSE_S)
            self.looks.append(asyncio.get_running_loop().time() - began)


async def latency(bench: Bench) -> AsyncGenerator[Result, None]:
    for mode, engine in modes(bench, bench.engines):
        with bench.folder() as scratch:
            async with site_of(bench, mode, engine, SERVICES) as site, rest_of(site) as rest:
                await send(site, Load(_WARM_UP), scratch)
                load = Load(int(RATE * bench.scale.latency_s / 2), first_job=_WARM_UP + 1, lag=100)
                bench.say(f"{mode}, {engine}: {load.events} events at {RATE:g}/s")
                looker = Looker(rest, load.first_job)
                looking = asyncio.create_task(looker.run())
                try:
                    passage = await send(site, load, scratch, rate=RATE, every_s=DATABASE_PAUSE_S)
                    await _seen_all(looker, looking, load)
                finally:
                    looking.cancel()
                    await asyncio.gather(looking, return_exceptions=True)
                published = dict(zip(load.plan(), passage.published.times, strict=True))
                in_rest = [at - published[event] for event, at in looker.seen.items()]
                in_database = await _in_database(site, passage, published)
        rest_details = {**summary_ms(in_rest), "resolution_ms": round(percentile(looker.looks, 50) * 1000, 1), "events_per_s": RATE}
        database_details = {**summary_ms(in_database), "resolution_ms": round(passage.positions.resolution_s * 1000, 1)}
        for percent, target in ((50, P50), (99, P99)):
            value = percentile(in_rest, percent) * 1000
            yield Result(f"visible in REST, p{percent}", value, "ms", site.setting, target, CC_BACKEND, rest_details)
        for percent, compared in CC_BACKEND_DATABASE.items():
            value = percentile(in_database, percent) * 1000
            yield Result(f"visible in the database, p{percent}", value, "ms", site.setting, None, compared, database_details)


async def _seen_all(looker: Looker, looking: "asyncio.Task[None]", load: Load) -> None:
    """Raises TimeoutError when the gateway does not show everything, or what ended the looking."""
    async with asyncio.timeout(30):
        while len(looker.seen) < load.events:
            if looking.done():
                looking.result()
            await asyncio.sleep(PAUSE_S)


async def _in_database(site: Site, passage: Passage, published: Mapping[Event, float]) -> list[float]:
    async with reading(site.database) as reader:
        rows = await reader.rows("SELECT job_id, id, stop_seq FROM job")
    sequences: dict[Event, int] = {}
    for job_id, start, stop in rows:
        sequences["start", job_id], sequences["stop", job_id] = start, stop
    return [passage.positions.seen_at(sequences[event]) - at for event, at in published.items()]
