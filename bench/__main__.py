"""``python -m bench [ROW …] [--scale small|full] [--engine ENGINE] [--against COMMIT]``."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.markup import escape

from bench import compare
from bench.context import SCALES, Bench, opened_bench
from bench.machine import load, machine
from bench.results import Result, RowReport, number, table
from bench.rows import (
    archiving,
    clients,
    correctness,
    embedded,
    growth,
    job_metrics,
    latency,
    pages,
    plots,
    queries,
    rate,
    rebuild,
    samples,
)
from bench.support.servers import Databases, Engine
from shared.printing import replace_unencodable

OUTPUT = Path("var/bench")
Row = Callable[[Bench], AsyncGenerator[Result, None]]

ROWS: dict[str, tuple[str, Row]] = {
    "rate": ("events per second, monitoring off", rate.unarchived),
    "rate-archived": ("events per second, every job archived", rate.archived),
    "latency": ("publish to visible at 200 events per second", latency.latency),
    "archiving": ("archived jobs per second", archiving.archiving),
    "growth": ("events per second with many jobs stored", growth.growth),
    "faultless": ("jobs in a wrong state without a fault", correctness.faultless),
    "faulty": ("jobs in a wrong state after a kill of each service", correctness.faulty),
    "rebuild": ("rebuild from the log beside a reader", rebuild.rebuild),
    "memory": ("memory of the embedded site", embedded.memory),
    "ready": ("start of the embedded site", embedded.ready),
    "queries": ("queries of dashboards", queries.queries),
    "queries-growth": ("queries with many jobs stored", queries.growth),
    "job-metrics": ("time series of a finished job", job_metrics.job_metrics),
    "bands": ("bands of a page of archived jobs", plots.bands),
    "nodes-now": ("newest values of all nodes", plots.nodes_now),
    "clients": ("fifty clients at once", clients.clients),
    "samples": ("samples from the broker into memory, and queries", samples.memory),
    "samples-files": ("samples in files: start and queries", samples.files),
    "samples-beside": ("job events beside a metric store", samples.beside),
    "beside-writes": ("events and a dashboard at once", clients.beside_writes),
    "pages": ("pages in a browser", pages.pages),
}


def run_row(name: str, bench: Bench, console: Console) -> RowReport:
    """Run one row. A failure is reported with the figures measured so far, and the other rows still run."""
    title, row = ROWS[name]
    found_before = machine()
    started = time.monotonic()
    results: list[Result] = []
    error = None

    async def collect() -> None:
        async with aclosing(row(bench)) as found:
            async for result in found:
                results.append(result)
                console.print(f"  {result.what}: {number(result.value)} {result.unit}", highlight=False)

    try:
        asyncio.run(collect())
    except Exception as e:  # noqa: BLE001 - whatever broke this row, the next one may hold
        error = f"{type(e).__name__}: {str(e)[:1000]}"
    setting = found_before | {"load_after": load()}
    return RowReport(name, title, bench.scale.name, setting, round(time.monotonic() - started, 1), results, error)


def main() -> None:
    replace_unencodable()
    names = ", ".join(ROWS)
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures a site of real processes against the promised figures.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{names}; all of them when none is given")
    parser.add_argument(
        "--scale", choices=list(SCALES), default="full", help="small is a check of a few minutes without meaningful figures"
    )
    parser.add_argument("--against", metavar="COMMIT", help="compare with this commit: both are measured alternately, medians are printed")
    parser.add_argument("--times", type=int, default=3, help="with --against, how often each is measured (default 3)")
    parser.add_argument("--engine", action="append", choices=get_args(Engine), default=[], help="only on this database; may be repeated")
    given = parser.parse_args()
    if unknown := [row for row in given.rows if row not in ROWS]:
        parser.error(f"{unknown[0]} is none of {names}")
    if given.engine and given.against:
        parser.error("--engine and --against: the other commit may not know the option")
    if "mariadb" in given.engine and (why := Databases.lack("mariadb")) is not None:
        parser.error(f"--engine mariadb: {why}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers and services too
    console = Console(width=None if sys.stdout.isatty() else 160)
    if given.against:
        try:
            found = compare.run_against(given.against, given.rows or list(ROWS), given.scale, max(given.times, 1), console)
        except compare.ComparisonFailed as e:
            sys.exit(f"bench: {e}")
        console.print(compare.table(found, given.against))
        return
    reports: list[RowReport] = []
    is_interrupted = False
    try:
        with opened_bench(SCALES[given.scale], console, given.engine) as bench:
            for name in given.rows or ROWS:
                console.print(f"[bold]{name}[/]: {ROWS[name][0]}")
                report = run_row(name, bench, console)
                console.print(f"  [dim]{report.took_s:g} s, {report.write(OUTPUT)}[/]", highlight=False)
                if report.error:
                    console.print(f"  [red]broke off: {escape(report.error)}[/]", highlight=False)
                reports.append(report)
    except KeyboardInterrupt:
        is_interrupted = True
    console.print(table(reports))
    sys.exit(1 if is_interrupted or any(report.error for report in reports) else 0)


if __name__ == "__main__":
    main()
