"""Archived jobs per second: with metadata only, and with four nodes, 20 metrics, one hour at one sample a minute."""

import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

from bench.context import Bench
from bench.load.lines import Load
from bench.results import Result, Target
from bench.support.cluster import METRICS
from bench.support.drain import wait_archived
from bench.support.flow import send
from bench.support.metric_store import metric_store
from bench.support.servers import Engine
from bench.support.site import EVENT_PATH, prepared_site
from bench.support.usage import cpu_seconds, per_event_us
from shared.archive import data_file, is_complete, job_directories, job_path_of, read_data_file

NODES = 4


async def archiving(bench: Bench) -> AsyncGenerator[Result, None]:
    plain = Load(bench.scale.plain_archive, monitoring_status=1)
    with_data = Load(bench.scale.data_archive, monitoring_status=1, nodes=NODES)
    for engine in bench.engines:
        yield await _measure(bench, plain, engine, with_data=False)
    yield await _measure(bench, with_data, "sqlite", with_data=True)


async def _measure(bench: Bench, load: Load, engine: Engine, *, with_data: bool) -> Result:
    """All jobs have stopped before the archiver starts, so that nothing else runs beside it but jobstore's reading of its events."""
    bench.say(f"{engine}: {load.jobs} jobs" + (f", {NODES} nodes, {METRICS} metrics, 1 h" if with_data else ", metadata only"))
    async with AsyncExitStack() as stack:
        folder, scratch = stack.enter_context(bench.folder()), stack.enter_context(bench.folder())
        prepared = await stack.enter_async_context(prepared_site(bench.databases, engine, folder))
        await send(await prepared.start(*EVENT_PATH), load, scratch)
        variables = {}
        if with_data:
            address = await stack.enter_async_context(metric_store())
            variables = {"JOBTIDE_METRICS_KIND": "cc-metric-store", "JOBTIDE_METRICS_URL": address}
        site = await prepared.start("archiver", **variables)
        started, before = time.time(), cpu_seconds(site)
        seconds = await wait_archived(site, load.jobs) - started
        used = per_event_us(before, cpu_seconds(site), load.jobs)
        _expect_complete(site.archive, load.jobs, with_data=with_data)
    what = f"archived jobs, {NODES} nodes, {METRICS} metrics, 1 h at 60 s" if with_data else "archived jobs without metric data"
    details = {
        "jobs": load.jobs,
        "seconds": seconds,
        "cpu_us_per_job": used,
        "fsync": "as the archiver does it, on the disk of the temporary folder",
    }
    target, compared = (Target(100), "not above 75") if with_data else (Target(400), "75")
    return Result(what, load.jobs / seconds, "jobs/s", site.setting, target, compared, details)


def _expect_complete(archive: Path, jobs: int, *, with_data: bool) -> None:
    """Raises ValueError: a fast archiver that leaves something out is no archiver."""
    entries = list(job_directories(archive))
    incomplete = [entry for entry in entries if not is_complete(archive, job_path_of(archive, entry))]
    if len(entries) != jobs or incomplete:
        raise ValueError(f"the archive has {len(entries)} entries of {jobs}, {len(incomplete)} of them incomplete")
    if with_data:
        data = read_data_file(data_file(entries[0]))
        if len(data) != METRICS or any(len(scopes["node"].series) != NODES for scopes in data.values()):
            raise ValueError(f"{entries[0]} does not hold {METRICS} metrics of {NODES} nodes")
