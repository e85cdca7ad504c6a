"""The measurements of the row ``pages``. Times are taken in the page, up to the frame that shows the change."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from bench.context import Bench
from bench.history.clusters import CLUSTERS
from bench.history.people import PEOPLE
from bench.load.samples import CLUSTER
from bench.pages.site import PLOTTED, PagesSite
from bench.results import Result, Target
from bench.support.database import Reader, reading
from bench.support.percentiles import percentile
from bench.support.samples import cpu_s
from tests.support.builders import start_line, stop_line
from tests.support.built_pages import first_view_bytes
from tests.support.nats import client_of
from tests.support.waiting import until

SCRIPTS_KB, STYLES_KB = Target(60, is_upper=True), Target(10, is_upper=True)
COLD_MS = Target(1000, is_upper=True)
CHANGE_MS = Target(200, is_upper=True)
TASK_MS = Target(50, is_upper=True)
FIRST_PLOTS_MS, ALL_PLOTS_MS = Target(1000, is_upper=True), Target(3000, is_upper=True)
GRID_MS = Target(200, is_upper=True)
STREAMS = Target(1, is_upper=True)
ON_SCREEN_MS = Target(1000, is_upper=True)
TABS = 10
METRICS = 20
TALL = (1440, 9000)  # shows all plots of a job at once
SCROLL_PX = 40  # in a frame: 2,400 pixels a second
_ROWS = "[data-job]"
_LIVE = ".stream.live"


def weight() -> list[Result]:
    scripts, styles = first_view_bytes("src/pages/jobs/JobsPage.svelte")
    return [
        Result("scripts of the first list view, Brotli", scripts / 1000, "kB", {}, SCRIPTS_KB, "200 kB gzip"),
        Result("styles of the first list view, Brotli", styles / 1000, "kB", {}, STYLES_KB),
    ]


async def cold_loads(bench: Bench, site: PagesSite) -> list[Result]:
    """Each in a window with an empty cache."""
    results = []
    for what, address, cookies in (("job list of an admin", "/monitoring/jobs/", site.admin), ("my jobs", "/", site.user)):
        times, used = [], Used(site)
        for _ in range(bench.scale.page_loads):
            async with site.chromium.viewer(cookies) as viewer:
                await used.begin()
                await viewer.page.goto(address, wait_until="commit")
                times.append(await viewer.value(f"bench.drawn(() => bench.has('{_ROWS}'))"))
                await used.end()
        results.append(_median(f"cold load to the rows: {what}", times, site, COLD_MS, {"ms": times}, used))
    return results


async def other_rows(bench: Bench, site: PagesSite) -> list[Result]:
    """Filters and pages of an open list, each time others."""
    filters = _filters(bench.scale.page_loads)
    pages = [f"monitoring/jobs/?page={number}" for number in range(2, 2 + bench.scale.page_loads)]
    results = []
    async with site.chromium.viewer(site.admin) as viewer:
        await viewer.page.goto("/monitoring/jobs/")
        await viewer.page.wait_for_selector(_LIVE)
        await viewer.value(f"bench.drawn(() => bench.has('{_ROWS}'))")
        for what, addresses in (("filter", filters), ("page", pages)):
            times, used = [], Used(site)
            for address in addresses:
                await used.begin()
                times.append(await viewer.value("bench.otherRows", address))
                await used.end()
            slow = sorted(zip(times, addresses, strict=True), reverse=True)[:3]
            results.append(_median(f"{what} to new rows", times, site, CHANGE_MS, {"ms": times, "slowest": slow}, used))
    return results


def _filters(count: int) -> list[str]:
    """Every one leads to rows that the one before does not show."""
    found = []
    for number in range(count):
        cluster, user = CLUSTERS[number % len(CLUSTERS)].name, PEOPLE.names[number]
        found += [
            f"monitoring/jobs/?user={user}&userMatch=eq",
            f"monitoring/jobs/?cluster={cluster}&state=failed&state=timeout",
            f"monitoring/jobs/?duration=3600-{7200 + 600 * number}",
            f"monitoring/jobs/?cluster={cluster}&sort=-numNodes",
        ]
    return found


async def scrolled_plots(bench: Bench, site: PagesSite) -> list[Result]:
    address = f"/monitoring/jobs/?rows={PLOTTED}&view=plots&{'&'.join(f'dbId={id_}' for id_ in site.plotted)}"
    longest = []
    for _ in range(max(2, bench.scale.page_loads // 3)):
        async with site.chromium.viewer(site.admin) as viewer:
            await viewer.page.goto(address)
            await viewer.page.wait_for_selector(_LIVE)
            await viewer.value("bench.drawn(() => bench.has('figure canvas'))")
            async with site.chromium.traced(viewer) as tasks:
                await viewer.value("bench.scroll", SCROLL_PX)
            plots = await viewer.value("document.querySelectorAll('figure canvas').length")
        longest.append((tasks[0].ms, max(task.cpu_ms for task in tasks), sum(task.ms > TASK_MS.value for task in tasks)))
    ms, cpu, _ = sorted(longest)[len(longest) // 2]
    details = {"longest_ms_cpu_ms_and_long_tasks": longest, "plots": plots}
    what = f"{PLOTTED} rows with {plots} plots scrolled through: longest task, median of {len(longest)}"
    return [
        Result(what, ms, "ms", site.setting, TASK_MS, "", details),
        Result("… in processor time of the thread", cpu, "ms", site.setting, TASK_MS),
    ]


async def job_view(bench: Bench, site: PagesSite) -> list[Result]:
    """Curves and maps are drawn when they come near the view, so the window is as tall as the page."""
    first: list[float] = []
    plots: list[float] = []
    maps: list[float] = []
    used = Used(site)
    for _ in range(bench.scale.page_loads):
        async with site.chromium.viewer(site.admin, TALL) as viewer:
            await used.begin()
            await viewer.page.goto(f"/monitoring/job/{site.long_job}", wait_until="commit")
            script = f"""Promise.all([
                bench.drawn(() => bench.has('.uplot')), bench.drawn(() => bench.has('.uplot', {METRICS})),
                bench.drawn(() => bench.has('.area > canvas', {2 * METRICS})),
            ])"""
            for times, value in zip((first, plots, maps), await viewer.value(script), strict=True):
                times.append(value)
            await used.end()
    what = f"job of 32 nodes, {METRICS} metrics, 24 h at 60 s"
    return [
        _median(f"{what}, cold load to the first plot", first, site, FIRST_PLOTS_MS, {"ms": first}),
        _median("… to all plots", plots, site, ALL_PLOTS_MS, {"ms": plots}),
        _median("… to all time maps, too", maps, site, ALL_PLOTS_MS, {"ms": maps}, used),
    ]


async def node_grid(bench: Bench, site: PagesSite) -> list[Result]:
    nodes = bench.scale.page_nodes
    times, used = [], Used(site)
    async with site.chromium.viewer(site.admin) as viewer:
        await viewer.page.goto("/monitoring/systems/")
        await viewer.page.wait_for_selector(_LIVE)
        for number in range(bench.scale.page_loads + 1):
            address = f"monitoring/systems/{CLUSTER}?by=metric_{1 + number:02d}"
            await used.begin()
            times.append(await viewer.value(f"bench.opened('{address}', '[data-host]', {nodes})"))
            await used.end()
            await viewer.value("bench.opened('monitoring/systems/', 'h1', 1)")
            await viewer.value("bench.drawn(() => !bench.has('[data-host]'))")
    del times[0]  # its chunks are loaded
    return [_median(f"grid of {nodes:,} nodes, opened from another page", times, site, GRID_MS, {"ms": times}, used)]


async def ten_tabs(bench: Bench, site: PagesSite) -> list[Result]:
    async with site.chromium.viewer(site.admin) as viewer:
        pages = [viewer.page, *[await viewer.context.new_page() for _ in range(TABS - 1)]]
        for page in pages:
            await page.goto("/monitoring/jobs/")
        for page in pages:
            await page.wait_for_selector(_LIVE)
            await page.wait_for_selector(_ROWS)
        streams = await _streams(site)
    return [Result(f"streams at the gateway for {TABS} tabs, all of them live", streams, "", site.setting, STREAMS)]


async def _streams(site: PagesSite) -> float:
    found = await site.gateway.client.metrics(with_labels=True)
    return sum(value for name, value in found.items() if name.startswith("jobtide_gateway_live_clients{") and "events" in name)


async def on_screen(bench: Bench, site: PagesSite) -> list[Result]:
    """Jobs of one user end one by one; each publish waits until the row shows it."""
    cluster, count = CLUSTERS[0], bench.scale.page_changes
    first_job, now = 1_000_000_000 + int(time.time()), int(time.time())
    name = f"onscreen{now}"
    hosts = [cluster.host(cluster.parts[0].first)]
    fields: dict[str, Any] = {"user": name, "project": "bench", "startTime": now - 3600}
    late = []
    async with site.chromium.viewer(site.admin) as viewer, client_of(site.gateway.site.nats) as client:
        subject = site.gateway.site.nats.job_subjects[0]
        for number in range(count):
            await client.publish(subject, start_line(first_job + number, cluster.name, hosts, **fields))
        await client.flush(10)
        async with reading(site.gateway.store.database) as reader:
            started = f"SELECT count(*) FROM job WHERE hpc_user = '{name}'"
            await until(lambda: _is(reader, started, count), 60, f"{count} jobs")
        await viewer.page.goto(f"/monitoring/jobs/?user={name}&userMatch=eq&rows=100")
        await viewer.page.wait_for_selector(_LIVE)
        await _until(viewer.page.evaluate, f"bench.has('{_ROWS}', {count})")
        await viewer.value("bench.noteRows('completed')")
        for number in range(count):
            line = stop_line(first_job + number, cluster.name, startTime=now - 3600, stopTime=now)
            sent = time.time() * 1000
            await client.publish(subject, line)
            await client.flush(10)
            await _until(viewer.page.evaluate, f"Object.keys(bench.seen).length > {number}")
            late.append(max(await viewer.value("Object.values(bench.seen)")) - sent)
            await asyncio.sleep(0.013)  # so that the polls of the gateway are met at all phases
    details = {"ms": late, "median": percentile(late, 50)}
    what = f"change published to change on the screen: p95 of {count} (p50: {percentile(late, 50):.3g} ms)"
    return [Result(what, percentile(late, 95), "ms", site.setting, ON_SCREEN_MS, "", details)]


async def _is(reader: Reader, statement: str, value: int) -> bool:
    return bool((await reader.rows(statement))[0][0] == value)


async def _until(evaluate: Any, script: str) -> None:
    await until(lambda: evaluate(script), 60, script)


class Used:
    """Processor time of the browser's page processes and of the gateway, which other work on the machine hardly changes."""

    def __init__(self, site: PagesSite) -> None:
        self._site = site
        self._began = (0.0, 0.0)
        self.page_ms: list[float] = []
        self.gateway_ms: list[float] = []

    async def begin(self) -> None:
        self._began = await self._now()

    async def end(self) -> None:
        page, gateway = await self._now()
        self.page_ms.append((page - self._began[0]) * 1000)
        self.gateway_ms.append((gateway - self._began[1]) * 1000)

    async def _now(self) -> tuple[float, float]:
        return await self._site.chromium.cpu_seconds(), cpu_s(self._site.gateway.site.services["gateway"].pid)

    def __str__(self) -> str:
        return f"processor time: page {percentile(self.page_ms, 50):.0f} ms, gateway {percentile(self.gateway_ms, 50):.0f} ms"


def _median(what: str, times: Sequence[float], site: PagesSite, target: Target, about: dict[str, Any], used: Used | None = None) -> Result:
    text = f"{what}: median of {len(times)} (slowest: {max(times):.0f} ms{f'; {used}' if used else ''})"
    return Result(text, percentile(times, 50), "ms", site.setting, target, "", about)
