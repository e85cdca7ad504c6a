"""`jobtide status`: how far everything is, as tables."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from cli.commands.archiving_state import archiving_state
from cli.site import broker_of, database_of, find_site
from shared.broker.probe import StoreProbe
from shared.broker.streams import INTAKE
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED, MONITORING_DISABLED, MONITORING_OPEN
from shared.errors import Unavailable
from shared.metricdata import MetricsSettings
from shared.settings import load
from shared.status import DatabaseState, StreamState, database_state, stopped_by_status, stream_states

MONITORING_WORDS = {
    MONITORING_DISABLED: "not monitored",
    MONITORING_OPEN: "to be archived",
    ARCHIVING_FAILED: "failed",
    ARCHIVED: "archived",
}

METRIC_STORE_TIMEOUT_S = 5.0


def run_status(data: Path | None) -> None:
    site = find_site(data)

    async def run() -> tuple[list[StreamState], DatabaseState, dict[int, int], list[tuple[str, str]]]:
        async with AsyncExitStack() as stack:
            client, nats = await stack.enter_async_context(broker_of(site, "status"))
            engine = await stack.enter_async_context(database_of(site))
            database = await database_state(engine)  # before the streams, or positions could be ahead of them
            archiving = await archiving_state(site.archive, load(MetricsSettings, timeout_s=METRIC_STORE_TIMEOUT_S))
            try:
                await StoreProbe(nats, "status").require(client)
            except Unavailable as e:
                print(f"! {e}\n")
            return await stream_states(client, nats), database, await stopped_by_status(engine), archiving

    _print(*asyncio.run(run()))


def _print(
    streams: Sequence[StreamState], database: DatabaseState, stopped: dict[int, int], archiving_states: Sequence[tuple[str, str]]
) -> None:
    from rich.table import Table

    from cli.tables import print_tables

    log = Table("stream", box=None, pad_edge=False)
    for title in ("messages", "size", "last", "reader", "position", "lag"):
        log.add_column(title, justify="left" if title == "reader" else "right")
    for stream in streams:
        if stream.messages is None:
            log.add_row(stream.name, "missing: run `jobtide provision`")
            continue
        facts = (stream.name, f"{stream.messages:,}", _size(stream.size_bytes), f"{stream.last:,}")
        lines = []
        if stream.kind != INTAKE:
            position = database.positions.get(stream.kind, 0)
            lag = f"{stream.last - position:,}" if position <= stream.last else "the log ends before: see `provision --continue-log`"
            lines.append(("jobstore", f"{position:,}", lag))
        # Queues show no position: they finish out of order, and one postponed message would look like a standstill.
        lines += [(queue.name, "", f"{queue.waiting:,} waiting, {queue.in_work:,} in work") for queue in stream.queues]
        for index, line in enumerate(lines or [("", "", "")]):
            log.add_row(*(facts if index == 0 else ("", "", "", "")), *line)
    jobs = Table("jobs", "", box=None, pad_edge=False)
    jobs.columns[1].justify = "right"
    jobs.add_row("running", f"{database.running:,}")
    for status, word in MONITORING_WORDS.items():
        if stopped.get(status) or status in (MONITORING_OPEN, ARCHIVED):
            jobs.add_row(f"stopped, {word}", f"{stopped.get(status, 0):,}")
    jobs.add_row("stops that wait for their start", f"{database.parked:,}")
    archiving = Table("archiving", "", box=None, pad_edge=False)
    for name, state in archiving_states:
        archiving.add_row(name, state)
    rejections = Table("rejections", "", box=None, pad_edge=False)
    rejections.columns[1].justify = "right"
    for code, count in sorted(database.rejections.items(), key=lambda item: -item[1]):
        rejections.add_row(code, f"{count:,}")
    if not database.rejections:
        rejections.add_row("none", "0")
    print_tables(log, jobs, archiving, rejections)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
