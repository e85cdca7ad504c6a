"""The display of the demo: live on a terminal, one line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.demo.figures import Numbers
from cli.embedded.logfile import Problems

LINE_EVERY_S = 5.0
MAX_PROBLEM_LENGTH = 200  # characters; the log has the full text


class View(Protocol):
    def show(self, numbers: Numbers) -> None: ...


class Lines:
    """Output for logs and pipes."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def show(self, numbers: Numbers) -> None:
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + LINE_EVERY_S
        print(
            f"running {numbers.running}  finished {numbers.finished}  archived {numbers.archived}"
            f"  events {numbers.events} ({numbers.events_per_s:.1f}/s)  waiting {numbers.waiting}  rejected {numbers.rejections}",
            flush=True,
        )


class Screen:
    """Live output, redrawn with each new set of numbers."""

    def __init__(self, live: Live, problems: Problems, started: float) -> None:
        self._live = live
        self._problems = problems
        self._started = started

    def show(self, numbers: Numbers) -> None:
        self._live.update(_picture(numbers, self._problems, time.monotonic() - self._started), refresh=True)


def _picture(numbers: Numbers, problems: Problems, up_s: float) -> Group:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("jobs running", f"{numbers.running:,}", "clusters fritz and alex")
    table.add_row("jobs finished", f"{numbers.finished:,}", "")
    failed = f", {numbers.archiving_failed:,} failed: jobtide archive retry --failed" if numbers.archiving_failed else ""
    table.add_row("jobs archived", f"{numbers.archived:,}", f"{numbers.to_archive:,} to be archived{failed}")
    table.add_row("events", f"{numbers.events:,}", f"{numbers.events_per_s:,.1f} per second")
    table.add_row("lag", f"{numbers.waiting:,}", "events not yet in the database")
    table.add_row("rejected", f"{numbers.rejections:,}", "some lines are invalid on purpose: jobtide rejections")
    if problems.count:
        table.add_row("in the log", f"{problems.count:,}", f"warnings or errors; the latest: {problems.latest[:MAX_PROBLEM_LENGTH]}")
    minutes, seconds = divmod(int(up_s), 60)
    return Group(Text(), table, Text(f"\nup {minutes} min {seconds:02} s; Ctrl-C ends it", style="dim"))


@contextmanager
def display(problems: Problems) -> Iterator[View]:
    """Live when standard output is a terminal; problems are then shown in the display instead of printed."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    problems.are_printed = False
    try:
        with Live(console=Console(), auto_refresh=False) as live:
            yield Screen(live, problems, time.monotonic())
    finally:
        problems.are_printed = True
