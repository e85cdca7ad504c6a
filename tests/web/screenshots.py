"""``make screenshots``: pictures of the pages in both themes, of a demo site that was stopped so that they fit together."""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.cli.sites import UpProcess
from tests.support.chromium import chromium
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

PICTURES = {
    "jobs": "monitoring/jobs/?cluster=fritz",
    "job": "monitoring/job/{job}",
}
FOLDER = REPOSITORY / "docs" / "screenshots"
PASSWORD = "a-password-of-the-demo"
SETTLE_MS = 3000.0
LIVE_S = 180  # how long the demo runs beside its history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=PICTURES, default=list(PICTURES))
    parser.add_argument("--days", type=float, default=2, help="history of the demo")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = UpProcess(Path(folder) / "data")
        try:
            _make_jobs(Path(folder) / "data", chosen.days)
            stopped_at = time.time()
            site.wait_s = 120
            site.start()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
                for theme in ("light", "dark"):
                    _take(browser, site, theme, {name: PICTURES[name] for name in chosen.only}, stopped_at)
                browser.close()
        finally:
            site.end()


def _make_jobs(data: Path, days: float) -> None:
    """A demo that ran for some minutes, and an admin."""
    demo = UpProcess(data, "--demo")
    demo.wait_s = 600
    try:
        demo.start(JOBTIDE_UP_DEMO_DAYS=str(days))
        ready_at = time.monotonic()
        demo.run("user", "add", "chief", "--role", "admin", "--password-stdin", text=f"{PASSWORD}\n".encode())
        until_blocking(lambda: time.monotonic() - ready_at > LIVE_S, LIVE_S + 60, "minutes of the demo")
        demo.interrupt(timeout_s=60)
    finally:
        demo.end()


def _take(browser: Browser, site: UpProcess, theme: Any, pictures: dict[str, str], now: float) -> None:
    context = browser.new_context(base_url=site.run_json["http"], color_scheme=theme, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.clock.set_fixed_time(now)
    page.goto("/login")
    page.fill("[name=username]", "chief")
    page.fill("[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_selector("h1")
    job = max(site.jobs("?state=running&cluster=fritz"), key=lambda job: int(job["numNodes"]))["id"]
    for name, path in pictures.items():
        page.goto("/" + path.format(job=job))
        page.wait_for_selector("h1")
        page.wait_for_timeout(SETTLE_MS)  # curves and later requests have no common sign
        page.wait_for_function("!document.querySelector('[aria-busy=true]')")
        file = FOLDER / f"{name}-{theme}.png"
        file.parent.mkdir(exist_ok=True)
        page.screenshot(path=file)
        print(file.relative_to(REPOSITORY))
    context.close()


if __name__ == "__main__":
    main()
