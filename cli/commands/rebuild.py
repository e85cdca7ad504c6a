"""`jobtide rebuild`: builds the job tables from the log, and from the archive for events that have expired."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from nats.aio.client import Client
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.progress import progress_bar
from cli.site import Site, broker_of, find_site
from services.jobstore.rebuild import rebuild
from services.jobstore.seeding import ArchivedJob
from services.jobstore.settings import JobstoreSettings, Settings
from shared.archive.imports import UnreadableEntry, imported_job, iter_entries
from shared.archive.layout import VERSION_FILE, ArchiveError, JobPath
from shared.broker.clusters import ClusterDirectory
from shared.broker.cursor import log_state
from shared.broker.streams import EVENTS
from shared.database.engine import opened, transaction
from shared.database.schema import require_schema
from shared.database.tables import tables
from shared.domain.values import ARCHIVED
from shared.service import collect_garbage_rarely
from shared.settings import NatsSettings, load


def run_rebuild(data: Path | None) -> None:
    site = find_site(data)

    async def run() -> dict[str, int]:
        async with AsyncExitStack() as stack:
            bar = stack.enter_context(progress_bar("EVENTS"))
            client, nats = await stack.enter_async_context(broker_of(site, "rebuild"))
            engine = await stack.enter_async_context(opened(site.database, maintenance=True))
            await require_schema(engine)
            archived = await gone_from_the_log(site, nats, client, engine)
            settings = Settings(nats, site.database, load(JobstoreSettings))
            return await rebuild(client, engine, settings, archived, lambda stream, done, total: bar(done, total, stream))

    collect_garbage_rarely()
    reached = asyncio.run(run())
    print(f"the tables are rebuilt up to {' and '.join(f'{stream} {sequence}' for stream, sequence in reached.items())}")


async def gone_from_the_log(site: Site, nats: NatsSettings, client: Client, engine: AsyncEngine) -> Iterator[ArchivedJob]:
    """The archived jobs whose start may have expired from the log; none when the log is complete."""
    first = (await log_state(client, nats.stream(EVENTS))).first_sequence
    root = site.archive.path
    if first <= 1 or not (root / VERSION_FILE).exists():
        return iter(())
    clusters = ClusterDirectory(client, nats)
    await clusters.refresh()
    job = tables.job.c
    async with transaction(engine) as connection:
        rows = await connection.execute(select(job.id, job.cluster, job.job_id, job.start_time).where(job.id < first))
        known = {JobPath(row.cluster, row.job_id, row.start_time): row.id for row in rows}
    return _archived(root, clusters, known)


def _archived(root: Path, clusters: ClusterDirectory, known: dict[JobPath, int]) -> Iterator[ArchivedJob]:
    """Entries with their ids: from the database row, else from an entry that this system's archiver wrote.

    An entry copied from elsewhere carries the id of another database, which must not be used.
    """
    for entry in iter_entries(root):
        if isinstance(entry, UnreadableEntry):
            print(f"{entry.directory}: {entry.why}", file=sys.stderr)
            continue
        is_ours = entry.meta.get("monitoringStatus") == ARCHIVED
        id_ = known.get(entry.path) or (entry.meta.get("id") if is_ours else None)
        cluster = clusters.get(entry.path.cluster)
        if not isinstance(id_, int) or cluster is None:
            print(f"{entry.path.relative}: left out, {'the cluster is' if cluster is None else 'its id is'} not known", file=sys.stderr)
            continue
        try:
            yield ArchivedJob(id_, imported_job(entry.meta, cluster))
        except ArchiveError as e:
            print(f"{entry.path.relative}: left out, {e}", file=sys.stderr)
