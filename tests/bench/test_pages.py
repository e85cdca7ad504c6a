"""The row ``pages`` runs, with a small site and few repetitions. What it measures here means nothing."""

import asyncio
import dataclasses
import math
from pathlib import Path

import pytest
from rich.console import Console

from bench.context import SMALL, Bench
from bench.pages.browser import Task, main_thread_tasks
from bench.results import Result
from bench.rows.pages import pages
from bench.support.servers import Databases
from services.gateway.web import DIST

TINY = dataclasses.replace(
    SMALL, history=2_000, running=60, page_loads=1, page_nodes=20, page_changes=2, page_events=2_000
)  # 2,000 jobs have some of 32 nodes


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_figure_of_the_pages_is_measured(tmp_path: Path) -> None:
    if not (DIST / "index.html").is_file():
        pytest.fail("the web interface was not built: .venv/bin/python web/pages.py build", pytrace=False)

    async def measured() -> list[Result]:
        return [result async for result in pages(Bench(TINY, tmp_path, Databases(), Console(quiet=True)))]

    found = asyncio.run(measured())
    assert len([result for result in found if result.target is not None]) == 17
    assert [result.what for result in found if not math.isfinite(result.value) or result.value <= 0] == []
    (streams,) = [result.value for result in found if "streams" in result.what]
    assert streams == 1


def test_tasks_are_those_of_the_main_thread_that_worked_most() -> None:
    def thread(pid: int, name: str) -> dict[str, object]:
        return {"name": "thread_name", "ph": "M", "pid": pid, "tid": 1, "args": {"name": name}}

    def task(pid: int, us: int, cpu_us: int) -> dict[str, object]:
        return {"name": "RunTask", "ph": "X", "pid": pid, "tid": 1, "dur": us, "tdur": cpu_us}

    names = [thread(1, "CrRendererMain"), thread(2, "CrRendererMain"), thread(3, "CrGpuMain")]
    tasks = [task(1, 90_000, 100), task(2, 4_000, 3_000), task(2, 20_000, 9_000), task(3, 50_000, 50_000)]
    assert main_thread_tasks([*names, *tasks]) == [Task(20.0, 9.0), Task(4.0, 3.0)]
