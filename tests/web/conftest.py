"""One demo site for all tests of the web interface, and a browser for each module."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from services.gateway.web import DIST
from tests.cli.sites import UpProcess
from tests.support.chromium import chromium
from tests.support.processes import REPOSITORY
from tests.support.programs import MissingPart
from tests.support.waiting import until_blocking

PASSWORD = "a-password-of-the-demo"
WAIT_MS = 120_000.0
ROWS = 5  # jobs of the demo before the tests begin


@dataclass(frozen=True)
class WebSite:
    """A demo site with the admin ``chief``."""

    up: UpProcess
    url: str

    def live_clients(self) -> int:
        """The event streams that browsers have open."""
        text = self.up.metrics_text()
        (line,) = [line for line in text.splitlines() if line.startswith("jobtide_gateway_live_clients") and "events" in line]
        return int(float(line.rpartition(" ")[2]))


@pytest.fixture(scope="session")
def web_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    if not (DIST / "index.html").is_file():
        pytest.fail("the web interface was not built: .venv/bin/python web/pages.py build", pytrace=False)
    up = UpProcess(tmp_path_factory.mktemp("web") / "data", "--demo")
    up.wait_s = 400
    try:
        up.start(JOBTIDE_UP_DEMO_DAYS="0.02")  # half an hour is made quickly
        up.run("user", "add", "chief", "--role", "admin", "--password-stdin", text=f"{PASSWORD}\n".encode())
        until_blocking(lambda: len(up.jobs()) >= ROWS, 400, "jobs of the demo")
        yield WebSite(up, up.run_json["http"])
    finally:
        up.end()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Its event loop runs in the thread of the tests: modules with coroutines can only run after it has ended."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    try:
        program = chromium()
    except MissingPart as e:
        pytest.fail(str(e), pytrace=False)
    browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
    yield browser
    browser.close()


@dataclass
class Tab:
    """A page, and what went wrong in it."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def watch(self) -> "Tab":
        self.page.on(
            "console", lambda message: self.faults.append(f"console: {message.text}") if message.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("response", lambda answer: self.faults.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
        self.page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))
        return self

    def _failed(self, url: str, why: str) -> None:
        # Given up by the page itself, as when the next filter is chosen, or the script of the shared worker, which no page waits for.
        if why != "net::ERR_ABORTED":
            self.faults.append(f"{why} {url}")

    def mark(self) -> None:
        """See ``was_reloaded``."""
        self.page.evaluate("window.sameDocument = true")

    def was_reloaded(self) -> bool:
        return not self.page.evaluate("window.sameDocument === true")

    def axe(self) -> list[str]:
        """The violations of WCAG 2.2 AA and of good practice, one line each."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        self.page.evaluate("scrollTo(0, 0)")  # what the bar covers counts as too small
        found = self.page.evaluate(f"axe.run(document, {json.dumps({'runOnly': RULES, 'resultTypes': ['violations']})})")
        return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]


AXE = REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

OpenContext = Callable[..., BrowserContext]
OpenTab = Callable[..., Tab]


@pytest.fixture(scope="module")
def signed_in(web_site: WebSite, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of a browser of ``chief``."""
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(f"{web_site.url}/login")
    sign_in(page)
    page.wait_for_selector("h1")
    path = tmp_path_factory.mktemp("cookies") / "chief.json"
    context.storage_state(path=path)
    context.close()
    return path


def sign_in(page: Page, name: str = "chief", password: str = PASSWORD) -> None:
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("button")


@pytest.fixture
def new_context(web_site: WebSite, browser: Browser) -> Iterator[OpenContext]:
    """Contexts are browsers of their own, with cookies and a shared worker of their own."""
    with ExitStack() as stack:

        def make(**options: Any) -> BrowserContext:
            context = browser.new_context(base_url=web_site.url, **{"viewport": {"width": 1440, "height": 900}} | options)
            context.set_default_timeout(WAIT_MS)
            stack.callback(context.close)
            return context

        yield make


@pytest.fixture
def open_tab(new_context: OpenContext, signed_in: Path) -> OpenTab:
    """A tab of ``chief`` at a path."""

    def make(path: str, **options: Any) -> Tab:
        tab = Tab(new_context(storage_state=signed_in, **options).new_page()).watch()
        tab.page.goto(path)
        return tab

    return make
