"""The embedded site over a data folder with many jobs: its memory, and how soon it is ready."""

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncGenerator

from bench.context import Bench
from bench.load.lines import Load
from bench.results import Result, Target
from bench.support.flow import send
from bench.support.rest import rest_of
from bench.support.site import embedded_site, is_running, launch_embedded, seed_embedded
from bench.support.usage import Memory, memory_of
from cli.embedded.folder import DataFolder
from tests.support.programs import end

MEMORY_MB = Target(300, is_upper=True)
READY_S = Target(3, is_upper=True)
STARTS = 3
START_DEADLINE_S = 60.0
_MB = 1e6
_LOAD_RATE = 500.0
_LOAD_S = 6
_PAGES = 200


async def memory(bench: Bench) -> AsyncGenerator[Result, None]:
    """After the start, and after some load and reading have filled caches."""
    jobs = bench.scale.in_memory
    with bench.folder() as folder, bench.folder() as scratch:
        bench.say(f"storing {jobs:,} jobs")
        await seed_embedded(folder, jobs)
        async with embedded_site(folder) as site, rest_of(site) as rest:
            after_start = memory_of(site.pids)
            load = Load(int(_LOAD_RATE * _LOAD_S / 2), first_job=jobs + 1, monitoring_status=1)
            bench.say(f"{load.events} events at {_LOAD_RATE:g}/s, and {_PAGES} pages of jobs")
            await send(site, load, scratch, rate=_LOAD_RATE)
            for page in range(1, _PAGES + 1):
                await rest.jobs(page=page, items_per_page=100)
            at_work = memory_of(site.pids)
            each = {name: memory_of([pid]) for name, pid in zip(("jobtide", "nats-server"), site.main_pids, strict=True)}
    setting = {**site.setting, "stored": f"{jobs:,} jobs"}
    details = {
        "after_start_mb": _megabytes(after_start),
        "after_load_mb": _megabytes(at_work),
        "by_process_mb": {name: _megabytes(used) for name, used in each.items()},
    }
    yield Result("memory after load and reading, sum of RSS", at_work.rss / _MB, "MB", setting, MEMORY_MB, "105 MB", details)
    yield Result("… shared pages counted once (PSS)", at_work.pss / _MB, "MB", setting)
    yield Result("memory after the start, sum of RSS", after_start.rss / _MB, "MB", setting)


def _megabytes(used: Memory) -> dict[str, float]:
    return {"rss": round(used.rss / _MB, 1), "pss": round(used.pss / _MB, 1)}


async def ready(bench: Bench) -> AsyncGenerator[Result, None]:
    """From the start of the command to `run.json`, which is written when every service has said that it is up."""
    jobs = bench.scale.at_start
    with bench.folder() as folder:
        bench.say(f"storing {jobs:,} jobs")
        await seed_embedded(folder, jobs)
        async with embedded_site(folder):
            pass  # makes what only the first start makes
        data = DataFolder(folder)
        took_s = [await _start_once(data) for _ in range(STARTS)]
    setting = {"services": "embedded", "database": "sqlite", "stored": f"{jobs:,} jobs"}
    what = f"`jobtide up` to ready, median of {STARTS} starts"
    yield Result(what, statistics.median(took_s), "s", setting, READY_S, "not measured", {"each_s": took_s})


async def _start_once(data: DataFolder) -> float:
    """Seconds until it was ready; it is ended then. Raises TimeoutError."""
    process, started = launch_embedded(data)
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            while not is_running(data, process):
                await asyncio.sleep(0.01)
        return time.time() - started
    finally:
        await asyncio.to_thread(end, process, signal.SIGTERM)
