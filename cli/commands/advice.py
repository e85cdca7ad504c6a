"""`jobtide advice`."""

import asyncio
import getpass
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.progress import progress_bar
from cli.site import Site, broker_of, database_of, find_site
from services.archiver.settings import ArchiverSettings
from shared.advice import Applications, JobFacts, Rule, RuleError, Rules, advise, facts_of, load_rules, read_rule
from shared.archive import ArchiveError, ArchiveStore, JobPath
from shared.archive.places import store_of
from shared.domain.advice import holding
from shared.domain.clusters import Cluster
from shared.domain.events import JobAdvised
from shared.domain.values import ARCHIVED, MONITORING_DISABLED, JobState
from shared.errors import UserError
from shared.metricdata.model import JobData
from shared.settings import load

SOURCE = "/cli"
PAGE = 200
STORE_S = 30.0  # time limit of a request to the metric store

Row = dict[str, Any]


def _rules(folder: Path | None) -> Rules:
    """The shipped rules with those of ``folder``, or else of the settings of the archiver."""
    own = load(ArchiverSettings)
    return load_rules(folder if folder is not None else own.advice_rules, own.advice_parameters)


def run_rules(folder: Path | None) -> None:
    """Raises RuleError when a file is refused, after all others are listed."""
    rules = _rules(folder)
    for rule in sorted(rules.rules, key=lambda rule: rule.tag):
        print(f"{rule.tag:22} {rule.severity:9} {rule.title}")
    _print_ignored(rules)
    if rules.refused:
        raise RuleError("\n".join(rules.refused))


def _print_ignored(rules: Rules) -> None:
    for line in rules.ignored:
        print(f"ignored: {line}")


def run_test(data: Path | None, file: Path, job: int) -> None:
    """Why a rule holds for a job, or not: each step with its value. The samples of a running job come from its metric store."""
    rules = _rules(None)
    _print_ignored(rules)
    known = {rule.tag: rule for rule in rules.rules}
    rule = known[str(file)] if str(file) in known else read_rule(file)
    site = find_site(data)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(database_of(site))
            clusters = await _clusters(stack, site)
            row = await _row(engine, job)
            cluster = clusters.get(row["cluster"])
            if cluster is None:
                raise UserError(f"the cluster {row['cluster']!r} is not configured")
            if row["monitoring_status"] == ARCHIVED:
                facts = facts_of(row, cluster, *_entry(store_of(site.archive), row))
            else:
                facts = await _facts_of_running(site, row, cluster, rule)
            explained = rule.explain(facts)
            for name, source, value in explained.steps:
                print(f"{name:12} {source}\n{'':12} = {value}" if source else f"{name:12} {value}")
            if row["job_state"] == JobState.RUNNING and not rule.while_running:
                print("\nThe job is running; this rule is evaluated only at the end of a job.")
            if explained.advice is None:
                print(f"\n{rule.tag} does not hold")
            else:
                print(f"\n{rule.tag} holds ({explained.advice.severity}): {explained.advice.text} {explained.advice.action}".rstrip())

    asyncio.run(run())


def run_apply(data: Path | None, folder: Path | None, *, dry_run: bool, after: int) -> None:
    """Evaluate all rules for all archived jobs with database ids above ``after``, and publish what changed.

    When it is interrupted, it says how to continue.
    """
    from shared.broker.envelope import Envelope
    from shared.broker.publisher import Publisher

    rules, patterns = _rules(folder), load(ArchiverSettings).advice_applications
    applications = Applications.read() if patterns is None else Applications.read(patterns)
    for refused in rules.refused:
        print(refused)
    site = find_site(data)
    last = after

    async def run() -> tuple[int, int, int]:
        nonlocal last
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(database_of(site))
            client, nats = await stack.enter_async_context(broker_of(site, "advice"))
            publisher = Publisher(client, nats.prefix)
            clusters = await _clusters(stack, site)
            now, run_id, actor = datetime.now(UTC), uuid.uuid4().hex, getpass.getuser()
            show = stack.enter_context(progress_bar("jobs"))
            done = changed = unreadable = 0
            archive = store_of(site.archive)
            total = await _count(engine, after)
            async for rows in _pages(engine, after):
                advised = await asyncio.to_thread(_advised, archive, rows, clusters, rules, applications)
                unreadable += sum(isinstance(one, ArchiveError) for one in advised)
                events = [one for row, one in zip(rows, advised, strict=True) if isinstance(one, JobAdvised) and _differs(row, one)]
                if events and not dry_run:
                    await publisher.publish([Envelope(event, f"advice:{run_id}:{event.id}", SOURCE, now, actor) for event in events])
                done, changed, last = done + len(rows), changed + len(events), int(rows[-1]["id"])
                show(done, total)
            return done, changed, unreadable

    try:
        done, changed, unreadable = asyncio.run(run())
    except BaseException:
        if last > after:
            print(f"interrupted; continue with --after {last}", file=sys.stderr)
        raise
    print(
        f"{done} jobs, advice {'would change' if dry_run else 'changed'} for {changed}"
        + (f", {unreadable} entries unreadable" if unreadable else "")
    )


async def _clusters(stack: AsyncExitStack, site: Any) -> dict[str, Cluster]:
    from shared.broker.clusters import ClusterDirectory

    client, nats = await stack.enter_async_context(broker_of(site, "advice-clusters"))
    directory = ClusterDirectory(client, nats)
    await directory.refresh()
    return dict(directory)


async def _row(engine: AsyncEngine, id_: int) -> Row:
    """A job that is archived or running. Raises UserError."""
    from shared.database.tables import tables

    async with engine.connect() as connection:
        found = (await connection.execute(select(tables.job).where(tables.job.c.id == id_))).mappings().one_or_none()
    if found is None:
        raise UserError(f"there is no job with the database id {id_}")
    if found["monitoring_status"] == MONITORING_DISABLED:
        raise UserError(f"the job {id_} is not monitored")
    if found["monitoring_status"] != ARCHIVED and found["job_state"] != JobState.RUNNING:
        raise UserError(f"the job {id_} has ended and is not archived")
    return dict(found)


async def _facts_of_running(site: Site, row: Row, cluster: Cluster, rule: Rule) -> JobFacts:
    """The facts that the archiver uses to evaluate the rules for running jobs. Raises UserError, Unavailable, SourceRefused."""
    from services.archiver.running_advice import courses_of
    from shared.metricdata import open_source, request_until, results_of

    at = int(time.time() - load(ArchiverSettings).footprints_settling_s)
    duration, metrics = at - int(row["start_time"]), cluster.metrics_on(row["subcluster"])
    if duration <= 0:
        raise UserError(f"the job {row['id']} started just now")
    async with open_source(site.metrics(STORE_S)) as source:
        if source is None or not source.store_of(cluster.name):
            raise UserError(f"the cluster {cluster.name} has no metric store: only archived jobs can be tested")
        loaded = await source.load(request_until(at, row, cluster, metrics, rule.metrics))
        courses = await courses_of(source, row, cluster, rule.courses, at)
    results = results_of(loaded.data, metrics, num_nodes=row["num_nodes"], duration_s=duration)
    return facts_of({**row, "duration": duration}, cluster, results.statistics_document(), results.data, courses)


async def _rows(engine: AsyncEngine, *, above: int, limit: int) -> Sequence[Row]:
    from shared.database.tables import tables

    job = tables.job
    query = select(job).where(job.c.id > above, job.c.monitoring_status == ARCHIVED).order_by(job.c.id).limit(limit)
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _count(engine: AsyncEngine, above: int) -> int:
    from shared.database.tables import tables

    async with engine.connect() as connection:
        query = select(func.count()).select_from(tables.job).where(tables.job.c.id > above, tables.job.c.monitoring_status == ARCHIVED)
        return int((await connection.execute(query)).scalar_one())


async def _pages(engine: AsyncEngine, last: int) -> AsyncIterator[Sequence[Row]]:
    """Reads only jobs with ids above ``last``."""
    while rows := await _rows(engine, above=last, limit=PAGE):
        yield rows
        last = int(rows[-1]["id"])


def _advised(
    archive: ArchiveStore, rows: Sequence[Row], clusters: dict[str, Cluster], rules: Rules, applications: Applications
) -> list[JobAdvised | ArchiveError | None]:
    found: list[JobAdvised | ArchiveError | None] = []
    for row in rows:
        try:
            statistics, samples = _entry(archive, row)
        except ArchiveError as e:
            found.append(e)
        else:
            found.append(advise(row, clusters.get(row["cluster"]), statistics, samples, rules, applications))
    return found


def _entry(archive: ArchiveStore, row: Row) -> tuple[dict[str, Any], JobData]:
    path = JobPath(row["cluster"], int(row["job_id"]), int(row["start_time"]))
    return archive.document(path).get("statistics") or {}, archive.job_data(path)


def _differs(row: Row, event: JobAdvised) -> bool:
    """Advice as stored is compared; applications only add tags, which is repeatable."""
    now = [one.model_dump(exclude_defaults=True) for one in event.advice or []]
    return list(holding(row["advice"]).values()) != now or bool(event.applications)
