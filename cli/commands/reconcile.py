"""`jobtide reconcile`."""

import asyncio
import getpass
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.commands.importing import wait_until_applied
from cli.progress import progress_bar
from cli.reconciling.accounting import Run, Unusable, read_accounting
from cli.reconciling.comparison import Difference, KnownJob, differences
from cli.site import broker_of, database_of, find_site
from shared.broker.clusters import ClusterDirectory
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.tables import tables
from shared.domain.events import Event, JobMetadataEdited, JobStarted, JobStopped
from shared.domain.intake import Clusters, job_started
from shared.domain.payloads import StartPayload
from shared.domain.values import JobState
from shared.domain.wire import read_object
from shared.errors import JobtideError, Refused, UserError

SOURCE = "/reconcile"
MARK = "reconciled"  # key in the metadata of jobs that got their start or stop from the accounting
BATCH = 500
MAX_SHOWN = 1000


class NotReconciled(JobtideError):
    """The site differs from the accounting."""


@dataclass(slots=True)
class Outcome:
    """``found`` before anything was applied, and ``remaining`` afterwards; jobs that were deleted here are only counted.

    ``published`` are those for which events were published, ``refused`` has a line for each that cannot be.
    """

    found: list[Difference]
    remaining: list[Difference]
    deleted: int
    published: list[Difference] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def without_effect(self) -> list[Difference]:
        left = {difference.run for difference in self.remaining}
        return [difference for difference in self.published if difference.run in left]

    @property
    def applied(self) -> int:
        return len(self.published) - len(self.without_effect)


def run_reconcile(data: Path | None, file: Path, cluster: str | None, zone: str | None, *, applies: bool, as_json: bool) -> None:
    """Raises UserError, NotReconciled when differences remain."""
    content = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    unusable: list[Unusable] = []
    runs = list(_usable(read_accounting(content, cluster, _zone(zone)), unusable))
    outcome = asyncio.run(_reconcile(data, runs, applies=applies))
    if as_json:
        print(orjson.dumps(_document(runs, outcome, unusable), option=orjson.OPT_INDENT_2).decode())
    else:
        _print(runs, outcome, unusable, applies=applies)
    if outcome.remaining or unusable or outcome.refused:
        lines = len(unusable) + len(outcome.refused)
        raise NotReconciled(f"{len(outcome.remaining):,} differences remain, {lines:,} lines could not be used")


def _print(runs: Sequence[Run], outcome: Outcome, unusable: Sequence[Unusable], *, applies: bool) -> None:
    applied = {difference.run for difference in outcome.published} - {difference.run for difference in outcome.without_effect}
    for difference in outcome.found[:MAX_SHOWN]:
        print(difference.text + (" (applied)" if difference.run in applied else ""))
    if len(outcome.found) > MAX_SHOWN:
        print(f"and {len(outcome.found) - MAX_SHOWN:,} more")
    for line in [f"line {one.line}: {one.why}" for one in unusable] + outcome.refused:
        print(line, file=sys.stderr)
    for difference in outcome.without_effect[:MAX_SHOWN]:
        print(f"published without effect, see `jobtide rejections`: {difference.text}", file=sys.stderr)
    counts = Counter(difference.kind for difference in outcome.found)
    kinds = ", ".join(f"{counts[kind]:,} {kind}" for kind in ("missing", "ended", "state", "running"))
    deleted = f"; {outcome.deleted:,} were deleted here" if outcome.deleted else ""
    print(f"{len(runs):,} runs in the accounting: {kinds}{deleted}" + (f"; {outcome.applied:,} applied" if applies else ""))


def _usable(found: Iterable[Run | Unusable], unusable: list[Unusable]) -> Iterator[Run]:
    for one in found:
        if isinstance(one, Unusable):
            unusable.append(one)
        else:
            yield one


def _document(runs: Sequence[Run], outcome: Outcome, unusable: Sequence[Unusable]) -> dict[str, Any]:
    return {
        "runs": len(runs),
        "applied": outcome.applied,
        "remaining": len(outcome.remaining),
        "deleted": outcome.deleted,
        "differences": [
            {
                "kind": one.kind,
                "cluster": one.run.cluster,
                "jobId": one.run.job_id,
                "startTime": one.run.start,
                "accounting": {"state": "running" if one.run.end is None else one.run.state, "stopTime": one.run.end, "word": one.run.word},
                "here": None if one.job is None else {"id": one.job.id, "state": one.job.state, "stopTime": one.job.end},
            }
            for one in outcome.found
        ],
        "unusable": [{"line": one.line, "why": one.why} for one in unusable],
        "refused": outcome.refused,
    }


async def _reconcile(data: Path | None, runs: Sequence[Run], *, applies: bool) -> Outcome:
    site = find_site(data)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(database_of(site))
        found, deleted = await _compare(engine, runs)
        outcome = Outcome(found, found, deleted)
        to_apply = [difference for difference in found if difference.can_be_applied]
        if not applies or not to_apply:
            return outcome
        client, nats = await stack.enter_async_context(broker_of(site, "reconcile"))
        bar = stack.enter_context(progress_bar("differences"))
        clusters = ClusterDirectory(client, nats)
        await clusters.refresh()
        publisher, last = Publisher(client, nats.prefix), 0
        actor = getpass.getuser()
        remaining = iter(to_apply)
        while batch := list(islice(remaining, BATCH)):
            envelopes: list[Envelope] = []
            for difference in batch:
                try:
                    envelopes += _envelopes(difference, clusters, actor)
                    outcome.published.append(difference)
                except Refused as e:
                    outcome.refused.append(f"line {difference.run.line}: {e}")
            last = max([last, *(await publisher.publish(envelopes))])
            bar(len(outcome.published) + len(outcome.refused), len(to_apply))
        await wait_until_applied(engine, last, bar)
        outcome.remaining, _ = await _compare(engine, runs)
        return outcome


async def _compare(engine: AsyncEngine, runs: Sequence[Run]) -> tuple[list[Difference], int]:
    """The differences, and the number of jobs that were deleted here."""
    found = differences(runs, await _known(engine, {run.job_id for run in runs}))
    left = [difference for difference in found if difference.kind != "deleted"]
    return left, len(found) - len(left)


async def _known(engine: AsyncEngine, ids: set[int]) -> list[KnownJob]:
    """Jobs with these ids, and those that were deleted."""
    job, gone = tables.job.c, tables.job_deletion.c
    found: list[KnownJob] = []
    ordered = iter(sorted(ids))
    while some := list(islice(ordered, BATCH)):
        query = select(job.id, job.cluster, job.job_id, job.start_time, job.duration, job.job_state).where(job.job_id.in_(some))
        deleted = select(gone.job, gone.cluster, gone.job_id, gone.start_time, gone.stop_time, gone.job_state)
        async with transaction(engine) as connection:
            for id_, cluster, job_id, start, duration, state in await connection.execute(query):
                end = None if state == JobState.RUNNING else start + duration
                found.append(KnownJob(id_, cluster, job_id, start, end, JobState(state)))
            for id_, cluster, job_id, start, end, state in await connection.execute(deleted.where(gone.job_id.in_(some))):
                found.append(KnownJob(id_, cluster, job_id, start, end, JobState(state), is_deleted=True))
    return found


def _envelopes(difference: Difference, clusters: Clusters, actor: str) -> list[Envelope]:
    """Raises Refused when the run cannot be a job of the site."""
    run, now = difference.run, datetime.now(UTC)
    note = f"from the scheduler's accounting, {now:%Y-%m-%d %H:%M} UTC"
    events: list[Event] = []
    start = run.start if difference.job is None else difference.job.start
    if difference.job is None:
        events.append(_start(run, clusters, note))
    if run.end is not None:
        events.append(
            JobStopped(
                job_id=run.job_id,
                cluster=run.cluster,
                start_time=start,
                stop_time=max(run.end, start),
                job_state=run.state,
                received_state=None if run.word.lower() == run.state else run.word[:100],
            )
        )
    if difference.job is not None:
        events.append(JobMetadataEdited(id=difference.job.id, cluster=run.cluster, key=MARK, value=f"stop {note}"))
    occasion = f"reconcile:{run.cluster}:{run.job_id}:{start}"
    return [Envelope(event, f"{occasion}:{event.name}:{run.end or 0}", SOURCE, now, actor) for event in events]


def _start(run: Run, clusters: Clusters, note: str) -> JobStarted:
    """The checks are those of a start that an adapter sends. Raises Refused."""
    payload = {
        "jobId": run.job_id,
        "cluster": run.cluster,
        "user": run.user,
        "project": run.account,
        "partition": run.partition,
        "startTime": run.start,
        "submitTime": run.submit,
        "walltime": run.walltime_s,
        "arrayJobId": run.array_job_id,
        "numNodes": len(run.hosts) or run.num_nodes,
        "resources": [{"hostname": host} for host in run.hosts],
        "metaData": {"jobName": run.name, MARK: f"start {note}"},
    }
    read, _ = read_object(StartPayload, orjson.dumps(payload))
    return job_started(read, clusters)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as e:
        raise UserError(f"--timezone: {name!r} is not a time zone such as Europe/Berlin") from e


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        raise UserError(f"cannot read {file}: {e.strerror}") from e
