"""Jobs that end in a wrong state: without any fault, and with each service killed once."""

import asyncio
from collections.abc import AsyncGenerator

from bench.context import Bench
from bench.load.lines import DURATION_S, FIRST_START, Load, user_of
from bench.results import Result, Target
from bench.support.database import Reader, reading
from bench.support.drain import wait_archived
from bench.support.flow import send
from bench.support.site import ALL_SERVICES, Site, separate_site

FAULTY_RATE = 500.0  # events/s
NONE = Target(0, is_upper=True)
_JOBS = "SELECT job_id, start_time, hpc_user, job_state, duration, monitoring_status FROM job ORDER BY job_id"


async def faultless(bench: Bench) -> AsyncGenerator[Result, None]:
    for engine in bench.engines:
        with bench.folder() as folder, bench.folder() as scratch:
            async with separate_site(bench.databases, engine, folder) as site:
                load = Load(bench.scale.faultless)
                bench.say(f"{engine}: {load.jobs} jobs as fast as they go")
                await send(site, load, scratch, check=False)
                wrong, details = await _wrong(site, load, archived=False)
        what = f"jobs in a wrong state of {load.jobs:,} without a fault"
        yield Result(what, wrong, "jobs", site.setting, NONE, "10 left running forever", details)


async def faulty(bench: Bench) -> AsyncGenerator[Result, None]:
    """Every service is killed once while events come at 500 per second, and started again at once."""
    for engine in bench.scale.faulty_on:
        with bench.folder() as folder, bench.folder() as scratch:
            async with separate_site(bench.databases, engine, folder, ALL_SERVICES) as site:
                load = Load(bench.scale.faulty, monitoring_status=1)
                bench.say(f"{engine}: {load.jobs} jobs at {FAULTY_RATE:g} events/s, kill -9 of each service")
                killing = asyncio.create_task(_kill_each(site, load.events / FAULTY_RATE))
                try:
                    passage = await send(site, load, scratch, rate=FAULTY_RATE, check=False)
                    await killing
                finally:
                    killing.cancel()
                late_s = passage.seconds - (passage.published.finished - passage.published.started)
                await wait_archived(site, load.jobs)
                wrong, details = await _wrong(site, load, archived=True)
        what = f"jobs in a wrong state of {load.jobs:,}, kill -9 of each service once"
        details |= {"events_per_s": FAULTY_RATE, "last_visible_after_last_publish_s": round(late_s, 2)}
        yield Result(what, wrong, "jobs", site.setting, NONE, "123 of 3,000 lost or left running", details)


async def _kill_each(site: Site, over_s: float) -> None:
    """Spread over the time in which events are published; that begins a moment after this does."""
    pause_s = over_s / (len(site.services) + 1)
    for service in site.services.values():
        await asyncio.sleep(pause_s)
        service.kill9()
        service.launch()
    for service in site.services.values():
        await service.up(60)


async def _wrong(site: Site, load: Load, *, archived: bool) -> tuple[int, dict[str, object]]:
    """Jobs that are missing, too many, or not as the messages say."""
    monitoring = 3 if archived else load.monitoring_status
    expected = {
        (job_id, FIRST_START + job_id, user_of(job_id), "completed", DURATION_S, monitoring)
        for job_id in range(load.first_job, load.first_job + load.jobs)
    }
    async with reading(site.database) as reader:
        rows = await reader.rows(_JOBS)
        refused, parked = await _count(reader, "rejection"), await _count(reader, "parked_stop")
    found = set(rows)
    running = sum(row[3] == "running" for row in found)
    wrong = len({row[0] for row in expected ^ found}) + len(rows) - len(found)
    return wrong, {"jobs": load.jobs, "left_running": running, "rejections": refused, "parked_stops": parked}


async def _count(reader: Reader, table: str) -> int:
    return int((await reader.rows(f"SELECT count(*) FROM {table}"))[0][0])
