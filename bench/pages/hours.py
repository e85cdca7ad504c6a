"""A list that is open for a working day while the site is busy: does the page grow, or slow down?"""

import psutil

from bench.context import Bench
from bench.pages.replay import replaying
from bench.pages.site import PagesSite
from bench.results import Result, Target
from bench.support.rest import rest_of

PARTS = 10
FLAT = Target(1.2, is_upper=True)
RATE = 200  # replayed events per second
TICK_US = 10_000
_MB = 1e6


async def hours(bench: Bench, site: PagesSite) -> list[Result]:
    """The first part warms up; the last one is compared with the second."""
    part = bench.scale.page_events // PARTS
    heap, memory, cpu = [], [], []
    async with rest_of(site.gateway.site) as rest:
        shown, _ = await rest.jobs(items_per_page=50)
    async with replaying(site.url, shown) as replay, site.chromium.viewer(site.admin, url=replay.url) as viewer:
        await viewer.page.goto("/monitoring/jobs/")
        await viewer.page.wait_for_selector(".stream.live")
        await viewer.page.wait_for_selector("[data-job]")
        for number in range(PARTS):
            bench.say(f"{number * part:,} of {part * PARTS:,} events")
            used = await site.chromium.cpu_seconds()
            await replay.send(part)
            await viewer.value("new Promise(requestAnimationFrame)")
            cpu.append((await site.chromium.cpu_seconds() - used) / part * 1e6)
            heap.append(await viewer.heap_bytes() / _MB)
            memory.append(sum(psutil.Process(pid).memory_info().rss for pid in await site.chromium.processes()) / _MB)
    tick = TICK_US / part  # a part may use less than the clock can tell
    details = {"heap_mb": heap, "rss_mb": memory, "cpu_us_per_event": cpu, "events": part * PARTS}
    what = f"{part * PARTS / RATE / 3600:.3g} h of {RATE} events/s, replayed; last tenth against the second"
    return [
        Result(f"{what}: heap of the page ({heap[-1]:.3g} MB)", heap[-1] / heap[1], "times", site.setting, FLAT, "", details),
        Result(f"… processor time ({cpu[-1]:.3g} µs per event)", (cpu[-1] + tick) / (cpu[1] + tick), "times", site.setting, FLAT),
        Result(f"… memory of the browser's page processes ({memory[-1]:.0f} MB)", memory[-1] / memory[1], "times", site.setting, FLAT),
    ]
