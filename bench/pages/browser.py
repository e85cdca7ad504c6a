"""A Chromium under measurement: pages as a viewer of the site has them, tasks of the main thread, memory and processor time."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from bench.support.samples import cpu_s
from tests.support.chromium import chromium

WAIT_MS = 120_000.0
WIDE = (1440, 900)
_IN_PAGE = Path(__file__).with_name("in_page.js")
_CATEGORIES = ["toplevel", "disabled-by-default-devtools.timeline", "devtools.timeline", "v8"]


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the main thread. ``cpu_ms`` is its own processor time, which other work on the machine hardly changes."""

    ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Viewer:
    """A browser window of somebody who is signed in; its cache is empty."""

    browser: Browser
    context: BrowserContext
    page: Page

    async def value(self, script: str, argument: object = None) -> Any:
        return await self.page.evaluate(script, argument)

    async def heap_bytes(self) -> float:
        """JavaScript's memory of the page after a garbage collection."""
        session = await self.context.new_cdp_session(self.page)
        await session.send("HeapProfiler.collectGarbage")
        await session.send("Performance.enable")
        found = {one["name"]: one["value"] for one in (await session.send("Performance.getMetrics"))["metrics"]}
        await session.detach()
        return float(found["JSHeapUsedSize"])


class Chromium:
    """Windows of one browser over one site."""

    def __init__(self, browser: Browser, session: CDPSession, url: str) -> None:
        self._browser = browser
        self._session = session
        self._url = url

    async def cookies_of(self, name: str, password: str) -> Any:
        """Sign in; the state that ``viewer`` takes."""
        context = await self._browser.new_context(base_url=self._url)
        page = await context.new_page()
        await page.goto("/login")
        await page.fill("[name=username]", name)
        await page.fill("[name=password]", password)
        await page.click("button")
        await page.wait_for_selector("h1")
        state = await context.storage_state()
        await context.close()
        return state

    @asynccontextmanager
    async def viewer(self, cookies: Any, size: tuple[int, int] = WIDE, url: str | None = None) -> AsyncIterator[Viewer]:
        """``url`` is another address of the site."""
        width, height = size
        context = await self._browser.new_context(
            base_url=url or self._url, storage_state=cookies, viewport={"width": width, "height": height}
        )
        context.set_default_timeout(WAIT_MS)
        await context.add_init_script(path=_IN_PAGE)
        try:
            yield Viewer(self._browser, context, await context.new_page())
        finally:
            await context.close()

    @asynccontextmanager
    async def traced(self, viewer: Viewer) -> AsyncIterator[list[Task]]:
        """The tasks of the page's main thread during the block; the list is filled at its end, the longest first."""
        found: list[Task] = []
        await self._browser.start_tracing(page=viewer.page, categories=_CATEGORIES)
        try:
            yield found
        finally:
            found += main_thread_tasks(json.loads(await self._browser.stop_tracing())["traceEvents"])

    async def processes(self) -> list[int]:
        """Those that run pages and workers."""
        found = (await self._session.send("SystemInfo.getProcessInfo"))["processInfo"]
        return [one["id"] for one in found if one["type"] == "renderer"]

    async def cpu_seconds(self) -> float:
        """Sum over the processes that run pages and workers now; it falls when a window is closed."""
        return sum(map(cpu_s, await self.processes()))


def main_thread_tasks(events: Sequence[dict[str, Any]]) -> list[Task]:
    """The tasks of the process whose main thread worked most; the others do not run the measured page."""
    main = {(one["pid"], one["tid"]) for one in events if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"}
    by_thread: dict[tuple[int, int], list[Task]] = {}
    for one in events:
        thread = one.get("pid"), one.get("tid")
        if one["name"] == "RunTask" and one["ph"] == "X" and thread in main:
            by_thread.setdefault(thread, []).append(Task(one.get("dur", 0) / 1000, one.get("tdur", 0) / 1000))
    busiest = max(by_thread.values(), key=lambda tasks: sum(task.cpu_ms for task in tasks), default=[])
    return sorted(busiest, key=lambda task: task.ms, reverse=True)


@asynccontextmanager
async def started_chromium(url: str) -> AsyncIterator[Chromium]:
    """Raises MissingPart without a browser."""
    program = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--enable-precise-memory-info"])
        try:
            yield Chromium(browser, await browser.new_browser_cdp_session(), url)
        finally:
            await browser.close()
