"""Creates the history of a new site, before its services start.

The plan (seed and window) is on disk before the first event is published, and the state of the simulated schedulers is written at the
end. A site with a plan but no state was interrupted in between: its history is completed, and what the log and the folders already
have is skipped.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import orjson
from nats.aio.client import Client

from cli.demo.adapter import node_payload
from cli.demo.history.entries import MadeJob, make_jobs
from cli.demo.history.past import ClusterPast, pasts_of
from cli.demo.history.recent import periods_of, write_period
from cli.demo.machines import CLUSTERS, definition, nodes_of
from cli.demo.scheduler import Job
from cli.embedded.children import end_with_parent
from cli.embedded.folder import write_whole
from services.metricstore.grids import PERIOD_S
from shared.archive import Entry, is_complete, open_archive, render_meta, write_cluster, write_entries
from shared.backoff import Backoff
from shared.broker.clusters import ClusterDirectory
from shared.broker.cursor import log_state, read_from
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.broker.streams import EVENTS
from shared.domain.events import NodeHealth, NodesChecked
from shared.domain.intake import nodes_reported
from shared.domain.payloads import NodeStatePayload
from shared.domain.wire import read_object
from shared.errors import Unavailable
from shared.settings import NatsSettings

SOURCE = "/demo/history"
SEED = "jobtide"
DAY_S = 86_400
JOBS_AT_ONCE = 50
NODES_PER_EVENT = 200
WORKERS = 2
MAX_STALL_S = 60.0  # without an event of the log while it is read
_READ_AT_ONCE = 500

T = TypeVar("T")
Show = Callable[[int, int], None]  # parts done, parts in total


@dataclass(frozen=True, slots=True)
class Plan:
    """The input from which the history is derived; times in Unix seconds."""

    seed: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths to which the history is written. ``plan`` and ``state`` are files."""

    plan: Path
    state: Path
    archive: Path
    samples: Path


def read_plan(path: Path) -> Plan | None:
    """None if the plan is missing or unreadable."""
    try:
        return Plan(**orjson.loads(path.read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return None


async def is_due(folders: Folders, client: Client, nats: NatsSettings) -> bool:
    """True for a new site, or one whose history was started but not completed. A site that already has events gets no history."""
    if folders.state.exists():
        return False
    return folders.plan.exists() or (await log_state(client, nats.stream(EVENTS))).last_sequence == 0


async def make_history(
    folders: Folders, client: Client, nats: NatsSettings, *, days: float, now: int, stop: asyncio.Event, show: Show
) -> Mapping[str, ClusterPast] | None:
    """Create the history and return the past that the demo continues; None when ``stop`` was set first. Raises Unavailable, OSError."""
    plan = read_plan(folders.plan)
    if plan is None:
        plan = Plan(SEED, now - round(days * DAY_S), now)
        write_whole(folders.plan, orjson.dumps(asdict(plan)))
    clusters = ClusterDirectory(client, nats)
    await clusters.refresh()
    open_archive(folders.archive)
    for name in CLUSTERS:
        write_cluster(folders.archive, name, definition(name))
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), _begin_worker, (os.getpid(),)) as pool:
        pasts = await _in(pool, partial(pasts_of, plan.seed, plan.begin, plan.end))
        known = await _known(client, nats, stop)
        if stop.is_set():
            return None
        log = _Log(client, nats, known)
        await _report_nodes(log, clusters, pasts, plan.end)
        done = await _each([*_samples(pool, folders, plan, pasts), *_jobs(pool, folders, log, pasts)], stop, show)
        pool.shutdown(wait=True, cancel_futures=True)
    return pasts if done else None


def _begin_worker(parent: int) -> None:
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent


async def _in(pool: ProcessPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work)


async def _each(parts: Sequence[Callable[[], Awaitable[None]]], stop: asyncio.Event, show: Show) -> bool:
    """Run all parts, a few at a time, until ``stop``; returns whether all were completed."""
    left = iter(parts)
    done = 0

    async def some() -> None:
        nonlocal done
        for part in left:
            if stop.is_set():
                return
            await part()
            done += 1
            show(done, len(parts))

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS + 1):  # one publishes while the workers compute
            group.create_task(some())
    return done == len(parts)


def _samples(
    pool: ProcessPoolExecutor, folders: Folders, plan: Plan, pasts: Mapping[str, ClusterPast]
) -> list[Callable[[], Awaitable[None]]]:
    return [
        partial(_in, pool, partial(write_period, folders.samples, name, period, _during(past.jobs, period), plan.end, plan.seed))
        for period in periods_of(plan.begin, plan.end)
        for name, past in pasts.items()
    ]


def _during(jobs: Sequence[Job], period: int) -> list[Job]:
    return [job for job in jobs if job.start < (period + 1) * PERIOD_S and job.end > period * PERIOD_S]


def _jobs(
    pool: ProcessPoolExecutor, folders: Folders, log: "_Log", pasts: Mapping[str, ClusterPast]
) -> list[Callable[[], Awaitable[None]]]:
    parts: list[Callable[[], Awaitable[None]]] = []
    for past in pasts.values():
        for first in range(0, len(past.finished), JOBS_AT_ONCE):
            jobs = past.finished[first : first + JOBS_AT_ONCE]
            begin, end = min(job.start for job in jobs), max(job.end for job in jobs)
            hosts = {host for job in jobs for host, _ in job.placements}
            meanwhile = [job for job in past.jobs if job.start < end and job.end > begin]
            neighbours = [job for job in meanwhile if not hosts.isdisjoint(host for host, _ in job.placements)]
            parts.append(partial(_add_jobs, pool, folders, log, jobs, neighbours))
    return parts


async def _add_jobs(pool: ProcessPoolExecutor, folders: Folders, log: "_Log", jobs: Sequence[Job], neighbours: Sequence[Job]) -> None:
    """Publish the events first: their sequences are the ids in the entries."""
    made = await _in(pool, partial(make_jobs, jobs, neighbours))
    ids = await log.add([_imported(one) for one in made])
    entries = [_entry(one, id_) for one, id_ in zip(made, ids, strict=True) if not is_complete(folders.archive, one.path)]
    for error in await asyncio.to_thread(write_entries, folders.archive, entries):
        if error is not None:
            raise error
    await log.add([_advised(one, id_) for one, id_ in zip(made, ids, strict=True) if one.advised is not None])


def _imported(made: MadeJob) -> Envelope:
    job = made.imported
    ended = datetime.fromtimestamp(job.start_time + job.duration, UTC)
    return Envelope(job, f"demo:{job.cluster}:{job.job_id}:{job.start_time}", SOURCE, ended)


def _advised(made: MadeJob, id_: int) -> Envelope:
    job = made.imported
    assert made.advised is not None
    advised = made.advised.model_copy(update={"id": id_})
    return Envelope(advised, f"demo:advice:{job.cluster}:{job.job_id}:{job.start_time}", SOURCE, datetime.now(UTC))


def _entry(made: MadeJob, id_: int) -> Entry:
    return Entry(made.path, render_meta(made.meta | {"id": id_}), made.data, made.is_packed, made.thumbnail)


async def _report_nodes(log: "_Log", clusters: ClusterDirectory, pasts: Mapping[str, ClusterPast], end: int) -> None:
    """Publish the node reports, and checks of all nodes at both ends, since the metric store has their samples."""
    envelopes = []
    for name, past in pasts.items():
        for report in past.reports:
            payload, _ = read_object(NodeStatePayload, orjson.dumps(node_payload(name, report.states)))
            event, _ = nodes_reported(payload, clusters)
            envelopes.append(Envelope(event, f"demo:nodes:{name}:{report.at}", SOURCE, datetime.fromtimestamp(report.at, UTC)))
        hosts = [node.hostname for node in nodes_of(definition(name))[1]]
        for at in (past.reports[0].at, end) if past.reports else (end,):
            for first in range(0, len(hosts), NODES_PER_EVENT):
                health = [NodeHealth(hostname=host, health="full") for host in hosts[first : first + NODES_PER_EVENT]]
                checked = NodesChecked(cluster=name, nodes=health)
                envelopes.append(Envelope(checked, f"demo:health:{name}:{at}:{first}", SOURCE, datetime.fromtimestamp(at, UTC)))
    await log.add(envelopes)


class _Log:
    """Adds events that the log does not have yet. The broker remembers ids only for minutes, so ``known`` has those of the log."""

    def __init__(self, client: Client, nats: NatsSettings, known: dict[str, int]) -> None:
        self._publisher = Publisher(client, nats.prefix)
        self._known = known

    async def add(self, envelopes: Sequence[Envelope]) -> list[int]:
        """Returns the sequences of all envelopes. Raises Unavailable."""
        missing = [envelope for envelope in envelopes if envelope.message_id not in self._known]
        sequences = await self._publisher.publish(missing)
        self._known.update(zip((envelope.message_id for envelope in missing), sequences, strict=True))
        return [self._known[envelope.message_id] for envelope in envelopes]


async def _known(client: Client, nats: NatsSettings, stop: asyncio.Event) -> dict[str, int]:
    """Sequences of the jobs and advice that an interrupted history has in the log, by message id; incomplete once ``stop`` is set.

    Raises Unavailable when the broker gives no event for ``MAX_STALL_S``.
    """
    stream = nats.stream(EVENTS)
    state = await log_state(client, stream)
    known: dict[str, int] = {}
    position = max(0, state.first_sequence - 1)  # the first sequence of a new stream is 0, as its last
    pause, ends_at = Backoff(), time.monotonic() + MAX_STALL_S
    while position < state.last_sequence and not stop.is_set():
        try:
            async with read_from(client, stream, position + 1, stop=stop) as cursor:
                while position < state.last_sequence and not stop.is_set():
                    for record in await cursor.batch(_READ_AT_ONCE):  # none after a quiet second, as of a slow broker
                        known[record.message_id] = position = record.sequence
                        ends_at = time.monotonic() + MAX_STALL_S
        except Unavailable:
            if time.monotonic() >= ends_at:
                raise
            await pause.wait(stop)
    return known
