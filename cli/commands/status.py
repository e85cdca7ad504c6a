"""`jobtide status`: streams, positions, queues and stores, as tables or as JSON."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.commands.archiving_state import archiving_state
from cli.site import Site, broker_of, database_of, find_site
from shared.broker.probe import StoreProbe
from shared.broker.streams import LOGS, METRICS
from shared.database.schema import older_rules
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED, MONITORING_DISABLED, MONITORING_OPEN
from shared.errors import Unavailable
from shared.metricdata.store_state import StoreAnswer, store_states
from shared.status import DatabaseState, StreamState, database_state, standstills, stopped_by_status, stream_states

if TYPE_CHECKING:
    from rich.table import Table

MONITORING_WORDS = {
    MONITORING_DISABLED: "not monitored",
    MONITORING_OPEN: "to be archived",
    ARCHIVING_FAILED: "failed",
    ARCHIVED: "archived",
}

METRIC_STORE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Found:
    """``problems`` come first in the output."""

    problems: list[str]
    broker: str
    streams: list[StreamState]
    database: DatabaseState
    stopped: dict[int, int]
    archiving: list[tuple[str, str]]
    stores: Sequence[StoreAnswer]


def run_status(data: Path | None, *, as_json: bool = False) -> None:
    site = find_site(data)
    found = asyncio.run(_find(site))
    if as_json:
        from services.gateway.rest.status import status_of

        state = status_of(found.broker, found.streams, found.database, found.stores)
        print(state.model_dump_json(by_alias=True, indent=2))
        return
    print(f"{site.name}\n")
    for line in found.problems:
        print(f"! {line}\n")
    _print(found)


async def _find(site: Site) -> _Found:
    async with AsyncExitStack() as stack:
        client, nats = await stack.enter_async_context(broker_of(site, "status"))
        engine = await stack.enter_async_context(database_of(site))
        database = await database_state(engine)  # before the streams, or positions could be ahead of them
        metrics = site.metrics(METRIC_STORE_TIMEOUT_S)
        archiving = await archiving_state(site.archive, metrics)
        stores = await store_states(metrics, timeout_s=METRIC_STORE_TIMEOUT_S)
        problems, broker = [], "ok"
        try:
            await StoreProbe(nats, "status").require(client)
        except Unavailable as e:
            broker = str(e)
            problems.append(broker)
        if (why := await older_rules(engine)) is not None:
            problems.append(why)
        streams = await stream_states(client, nats)
        problems += await standstills(client, nats, engine, streams, database.positions)
        return _Found(problems, broker, streams, database, await stopped_by_status(engine), archiving, stores)


def _print(found: _Found) -> None:
    from rich.table import Table

    from cli.tables import print_tables

    log = Table("stream", box=None, pad_edge=False)
    for title in ("messages", "size", "last", "reader", "position", "lag"):
        log.add_column(title, justify="left" if title == "reader" else "right")
    for stream in found.streams:
        if stream.messages is None:
            log.add_row(stream.name, "missing: run `jobtide provision`")
            continue
        facts = (stream.name, f"{stream.messages:,}", _size(stream.size_bytes), f"{stream.last:,}")
        for index, line in enumerate(_readers(stream, found) or [("", "", "")]):
            log.add_row(*(facts if index == 0 else ("", "", "", "")), *line)
    jobs = Table("jobs", "", box=None, pad_edge=False)
    jobs.columns[1].justify = "right"
    jobs.add_row("running", f"{found.database.running:,}")
    for status, word in MONITORING_WORDS.items():
        if found.stopped.get(status) or status in (MONITORING_OPEN, ARCHIVED):
            jobs.add_row(f"stopped, {word}", f"{found.stopped.get(status, 0):,}")
    jobs.add_row("stops waiting for their start", f"{found.database.parked:,}")
    archiving = Table("archiving", "", box=None, pad_edge=False)
    for name, state in found.archiving:
        archiving.add_row(name, state)
    rejections = Table("rejections", "", box=None, pad_edge=False)
    rejections.columns[1].justify = "right"
    for code, count in sorted(found.database.rejections.items(), key=lambda item: -item[1]):
        rejections.add_row(code, f"{count:,}")
    if not found.database.rejections:
        rejections.add_row("none", "0")
    print_tables(log, jobs, archiving, *map(_store_table, found.stores), rejections)


def _readers(stream: StreamState, found: _Found) -> list[tuple[str, str, str]]:
    """Name, position and lag of each reader. Queues have no position: they finish out of order, and a single postponed
    message would look like a standstill."""
    lines = []
    if stream.kind in LOGS:
        position = found.database.positions.get(stream.kind, 0)
        lag = f"{stream.last - position:,}" if position <= stream.last else "the log ends earlier: see `provision --continue-log`"
        lines.append(("jobstore", f"{position:,}", lag))
    if stream.kind == METRICS:
        states = [store.state for store in found.stores if store.state is not None and store.state.stream == stream.name]
        lines += [("metricstore", f"{state.position:,}", "?" if state.lag is None else f"{state.lag:,}") for state in states]
    return lines + [(queue.name, "", f"{queue.waiting:,} waiting, {queue.in_work:,} in work") for queue in stream.queues]


def _store_table(answer: StoreAnswer) -> "Table":
    from rich.table import Table

    table = Table("metric store", answer.address, box=None, pad_edge=False)
    state = answer.state
    if state is None:
        table.add_row("state", answer.error)
        return table
    table.add_row("samples", f"{state.samples_per_s:,.0f} per second, {state.series:,} series, {_size(state.memory_bytes)} in memory")
    if state.refused:
        table.add_row("lines refused", ", ".join(f"{count:,} {reason}" for reason, count in sorted(state.refused.items())))
    table.add_row("expired unread", f"{state.expired:,} messages")
    table.add_row("files", f"{state.files:,}, {_size(state.file_bytes)}")
    now = time.time()
    for name, samples in sorted(state.clusters.items()):
        newest = "no sample" if samples.newest is None else f"newest sample {max(0.0, now - samples.newest):,.0f} s ago"
        since = "" if samples.oldest is None else f", oldest from {datetime.fromtimestamp(samples.oldest, UTC):%Y-%m-%d %H:%M} UTC"
        table.add_row(name, newest + since)
    return table


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
