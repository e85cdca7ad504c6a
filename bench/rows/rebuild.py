"""`jobtide rebuild` from a full log, while a reader asks the gateway for pages of jobs."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass, field

import aiohttp

from bench.context import Bench
from bench.load.lines import FIRST_START
from bench.results import Result, Target
from bench.support.database import reading
from bench.support.percentiles import percentile, summary_ms
from bench.support.rest import Rest, rest_of
from bench.support.servers import Engine
from bench.support.site import PreparedSite, prepared_site
from bench.support.usage import of_ended_children
from tests.support.processes import REPOSITORY

TARGET = Target(15_000)
NO_FAILURES = Target(0, is_upper=True)
CC_BACKEND = "none; import of an archive 1,650 jobs/s into an emptied table"
PAUSE_S = 0.02
UNDISTURBED_S = 4.0
REBUILD_S = 1200.0


@dataclass(slots=True)
class PageReader:
    """Reads a page somewhere in the history, again and again."""

    rest: Rest
    jobs: int
    took_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def run(self) -> None:
        place = 0
        while True:
            place = (place + 7919) % self.jobs
            until = FIRST_START + place + 1
            began = time.perf_counter()
            try:
                await self.rest.jobs(start_time=f"1-{until}", items_per_page=25)
                self.took_s.append(time.perf_counter() - began)
            except (aiohttp.ClientError, TimeoutError) as e:
                self.failures.append(repr(e)[:200])
            await asyncio.sleep(PAUSE_S)


async def rebuild(bench: Bench) -> AsyncGenerator[Result, None]:
    for engine in bench.engines:
        for result in await _measure(bench, engine):
            yield result


async def _measure(bench: Bench, engine: Engine) -> list[Result]:
    jobs = bench.scale.rebuilt
    bench.say(f"{engine}: storing {jobs:,} jobs in the log and in the database")
    with bench.folder() as folder:
        async with prepared_site(bench.databases, engine, folder, stored=jobs, logged=True) as prepared:
            site = await prepared.start("jobstore", "gateway")
            async with rest_of(site) as rest:
                before = PageReader(rest, jobs)
                await _read_for(before, asyncio.sleep(UNDISTURBED_S))
                bench.say(f"{engine}: rebuilding {2 * jobs:,} events")
                meanwhile = PageReader(rest, jobs)
                cpu = of_ended_children()
                began = time.monotonic()
                await _read_for(meanwhile, _rebuild(prepared))
                seconds = time.monotonic() - began
                used = of_ended_children() - cpu
            async with reading(site.database) as reader:
                ((there, ended),) = await reader.rows("SELECT count(*), sum(CASE job_state WHEN 'completed' THEN 1 ELSE 0 END) FROM job")
    if (there, ended) != (jobs, jobs):
        raise ValueError(f"after the rebuild there are {there} jobs of {jobs}, {ended} of them completed")
    quiet, busy = summary_ms(before.took_s), summary_ms(meanwhile.took_s)
    details = {"jobs": jobs, "seconds": seconds, "cpu_us_per_event": round(used / (2 * jobs) * 1e6, 1)}
    reads = {"before_ms": quiet, "meanwhile_ms": busy, "failures": meanwhile.failures[:5]}
    setting = {**site.setting, "services": "the command, beside jobstore and gateway"}
    p50, p99 = (percentile(meanwhile.took_s, percent) * 1000 for percent in (50, 99))
    return [
        Result(f"rebuild of {jobs:,} jobs, the whole command", 2 * jobs / seconds, "events/s", setting, TARGET, CC_BACKEND, details),
        Result(f"… a page over REST meanwhile, p50 (before: {quiet['p50']} ms)", p50, "ms", setting, details=reads),
        Result(f"… p99 (before: {quiet['p99']} ms)", p99, "ms", setting, details=reads),
        Result("… pages that failed", len(meanwhile.failures), "", setting, NO_FAILURES, details=reads),
    ]


async def _read_for(reader: PageReader, work: Awaitable[object]) -> None:
    reading_pages = asyncio.create_task(reader.run())
    try:
        await work
    finally:
        reading_pages.cancel()
        await asyncio.gather(reading_pages, return_exceptions=True)


async def _rebuild(prepared: PreparedSite) -> None:
    """Raises RuntimeError when the command fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        "rebuild",
        env=prepared.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=REPOSITORY,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), REBUILD_S)
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"`jobtide rebuild` ended with {process.returncode}: {said.decode(errors='replace')[-500:]}")
