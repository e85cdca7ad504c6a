"""`jobtide rebuild`: builds the job tables from the log, and from the archive for events that have expired."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from nats.aio.client import Client

from cli.progress import progress_bar
from cli.site import Site, broker_of, find_site
from services.jobstore.rebuild import rebuild
from services.jobstore.seeding import ArchivedJob
from services.jobstore.settings import JobstoreSettings, Settings
from shared.archive.imports import UnreadableEntry, entries_of, imported_job
from shared.archive.layout import ArchiveError
from shared.archive.places import store_of
from shared.archive.store import ArchiveStore
from shared.broker.clusters import ClusterDirectory
from shared.broker.cursor import log_state
from shared.broker.streams import EVENTS
from shared.database.engine import opened
from shared.database.schema import require_schema
from shared.domain.values import ARCHIVED
from shared.errors import UserError
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
            archived = await gone_from_the_log(site, nats, client)
            settings = Settings(nats, site.database, load(JobstoreSettings))
            return await rebuild(client, engine, settings, archived, lambda stream, done, total: bar(done, total, stream))

    collect_garbage_rarely()
    reached = asyncio.run(run())
    print(f"the tables are rebuilt up to {' and '.join(f'{stream} {sequence}' for stream, sequence in reached.items())}")


async def gone_from_the_log(site: Site, nats: NatsSettings, client: Client) -> Iterator[ArchivedJob]:
    """The archived jobs, one at a time; none if the log is complete."""
    state = await log_state(client, nats.stream(EVENTS))
    store = store_of(site.archive)
    if state.first_sequence <= state.began_at or not await asyncio.to_thread(_exists, store):
        return iter(())
    clusters = ClusterDirectory(client, nats)
    await clusters.refresh()
    return _archived(store, clusters)


def _exists(store: ArchiveStore) -> bool:
    """False for a place without an archive. Raises Unavailable when that is not known."""
    try:
        store.version()
    except UserError:
        return False
    return True


def _archived(store: ArchiveStore, clusters: ClusterDirectory) -> Iterator[ArchivedJob]:
    """The jobs of the archive. Only entries written by this site's archiver have usable ids; the id of an entry copied from
    elsewhere belongs to another database.
    """
    for entry in entries_of(store):
        if isinstance(entry, UnreadableEntry):
            print(f"{entry.place}: {entry.why}", file=sys.stderr)
            continue
        id_ = entry.meta.get("id") if entry.meta.get("monitoringStatus") == ARCHIVED else None
        cluster = clusters.get(entry.path.cluster)
        if cluster is None:
            print(f"{entry.path.relative}: left out, the cluster is not known", file=sys.stderr)
            continue
        try:
            yield ArchivedJob(id_ if isinstance(id_, int) else None, imported_job(entry.meta, cluster))
        except ArchiveError as e:
            print(f"{entry.path.relative}: left out, {e}", file=sys.stderr)
