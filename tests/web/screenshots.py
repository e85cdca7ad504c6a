"""``make screenshots``: pictures of the pages in both themes, of a demo site that was stopped so that they fit together."""

import argparse
import base64
import struct
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.cli.sites import UpProcess
from tests.support.chromium import chromium
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

PICTURES = {
    "overview": "",
    "jobs": "monitoring/jobs/?duration=morethan-1800",
    "plots": "monitoring/jobs/?cluster=alex&view=plots&duration=morethan-3600",
    "job": "monitoring/job/{job}",
    "curves": "monitoring/job/{job}#curves",
    "compare": "monitoring/compare/?job={first}&job={second}&job={third}",
    "nodes": "monitoring/systems/fritz?by=cpu_load",
    "status": "monitoring/status/fritz",
    "reports": "monitoring/reports/",
    "rejections": "monitoring/rejections/",
}
FOLDER = REPOSITORY / "docs" / "screenshots"
PASSWORD = "a-password-of-the-demo"
SETTLE_MS = 3000.0
WAIT_MS = 120_000.0
# Rows below the view load their plots when they come near.
_IS_READY = "[...document.querySelectorAll('[aria-busy=true]')].every((part) => part.getBoundingClientRect().top > innerHeight)"
_REDUCE = Path(__file__).with_name("reduce.js")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=PICTURES, default=list(PICTURES))
    parser.add_argument("--days", type=float, default=2, help="history of the demo")
    parser.add_argument("--minutes", type=float, default=3, help="how long the demo runs beside its history")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = UpProcess(Path(folder) / "data")
        try:
            _make_jobs(Path(folder) / "data", chosen.days, chosen.minutes * 60)
            stopped_at = time.time()
            site.wait_s = 120
            site.start()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
                for theme in ("light", "dark"):
                    _take(browser, site, theme, {name: PICTURES[name] for name in chosen.only}, stopped_at, chosen.folder)
                browser.close()
        finally:
            site.end()


def _make_jobs(data: Path, days: float, live_s: float) -> None:
    """A demo that ran for some minutes, and an admin."""
    demo = UpProcess(data, "--demo")
    demo.wait_s = 600
    try:
        demo.start(JOBTIDE_UP_DEMO_DAYS=str(days))
        ready_at = time.monotonic()
        demo.run("user", "add", "chief", "--role", "admin", "--password-stdin", text=f"{PASSWORD}\n".encode())
        until_blocking(lambda: time.monotonic() - ready_at > live_s, live_s + 60, "minutes of the demo")
        demo.interrupt(timeout_s=60)
    finally:
        demo.end()


def _take(browser: Browser, site: UpProcess, theme: Any, pictures: dict[str, str], now: float, folder: Path) -> None:
    context = browser.new_context(
        base_url=site.run_json["http"], color_scheme=theme, viewport={"width": 1440, "height": 900}, bypass_csp=True
    )
    page = context.new_page()
    page.clock.set_fixed_time(now)
    page.goto("/login")
    page.fill("[name=username]", "chief")
    page.fill("[name=password]", PASSWORD)
    page.click("button")
    page.wait_for_selector("h1")
    jobs = sorted(site.jobs("?state=running&cluster=fritz&items-per-page=200"), key=lambda job: -int(job["numNodes"]))
    ended = [job["id"] for job in site.jobs("?state=completed&cluster=fritz&items-per-page=200") if job["duration"] > 3600]
    places = {"job": jobs[0]["id"], **dict(zip(("first", "second", "third"), ended, strict=False))}
    folder.mkdir(exist_ok=True)
    for name, path in pictures.items():
        address, _, part = path.format(**places).partition("#")
        page.goto(f"/{address}")
        page.wait_for_selector("h1")
        page.wait_for_timeout(SETTLE_MS)  # curves and later requests have no common sign
        page.wait_for_function(_IS_READY, timeout=WAIT_MS)
        if part:
            page.evaluate("id => scrollTo(0, document.getElementById(id).getBoundingClientRect().top + scrollY - 60)", part)
            page.wait_for_timeout(SETTLE_MS)
        file = folder / f"{name}-{theme}.png"
        file.write_bytes(reduced(page, page.screenshot()))
        print(file.name, file.stat().st_size)
    context.close()


def reduced(page: Page, picture: bytes) -> bytes:
    """A PNG with at most 256 colours, a third of the size."""
    blank = page.context.new_page()
    blank.goto("about:blank")
    found = blank.evaluate(_REDUCE.read_text(), base64.b64encode(picture).decode())
    blank.close()
    return _png(found["width"], found["height"], found["palette"], base64.b64decode(found["indexes"]))


def _png(width: int, height: int, palette: Sequence[int], indexes: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + indexes[first : first + width] for first in range(0, width * height, width))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"PLTE", bytes(palette))
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


if __name__ == "__main__":
    main()
