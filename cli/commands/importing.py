"""`jobtide import`: publishes an existing archive as events."""

import asyncio
import getpass
import itertools
import sys
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from nats.aio.client import Client
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.progress import Bar, progress_bar
from cli.site import broker_of, database_of, find_site
from shared.archive.files import FileStore
from shared.archive.imports import ArchivedJob, UnreadableEntry, entries_of, imported_job
from shared.archive.layout import ArchiveError, require_version
from shared.archive.places import open_place, store_at, store_of
from shared.archive.store import ArchiveStore
from shared.archive.transfer import copied, copy_clusters
from shared.broker.clusters import ClusterDirectory, add_cluster
from shared.broker.cursor import log_state
from shared.broker.envelope import Envelope
from shared.broker.known_archives import KnownArchives
from shared.broker.publisher import Publisher
from shared.broker.streams import EVENTS
from shared.database.engine import transaction
from shared.database.progress import progress_of
from shared.database.tables import tables
from shared.errors import JobtideError, Unavailable, UserError
from shared.settings import NatsSettings

SOURCE = "/import"
BATCH = 200
WAIT_S = 0.2
STALLED_AFTER_S = 60.0  # a position that has not moved for this long means that jobstore is not running
HEADROOM_BYTES = 4096


class ImportFailed(JobtideError):
    """Some entries could not be imported; all have been printed."""


@dataclass(slots=True)
class Tally:
    sequences: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Importer:
    """Publishes the entries of ``source`` as events. Copies them to ``target``, the archive of the site, unless that is None."""

    def __init__(
        self, source: ArchiveStore, target: ArchiveStore | None, client: Client, clusters: ClusterDirectory, publisher: Publisher
    ) -> None:
        self._source = source
        self._target = target
        self._max_bytes = client.max_payload - HEADROOM_BYTES
        self._clusters = clusters
        self._publisher = publisher
        self._actor = getpass.getuser()
        # Each import has its own message ids: importing again after a deletion restores the job, even within the duplicate window.
        self._intent = uuid.uuid4().hex
        self.tally = Tally()

    async def run(self, bar: Bar) -> None:
        total = await asyncio.to_thread(lambda: sum(1 for _ in self._source.paths())) if sys.stderr.isatty() else None
        entries = entries_of(self._source)
        seen = 0
        while batch := await asyncio.to_thread(lambda: list(itertools.islice(entries, BATCH))):
            await self._import(batch)
            seen += len(batch)
            bar(seen, total)

    async def _import(self, batch: Sequence[ArchivedJob | UnreadableEntry]) -> None:
        jobs = [entry for entry in batch if isinstance(entry, ArchivedJob)]
        self.tally.failed += [f"{entry.place}: {entry.why}" for entry in batch if isinstance(entry, UnreadableEntry)]
        ready = [(job, envelope) for job in jobs if (envelope := self._envelope(job)) is not None]
        if self._target is not None:  # copied before the events, so that every visible job has its data
            paths = [job.path for job, _ in ready]
            errors = await asyncio.to_thread(copied, self._source, paths, self._target)
            self.tally.failed += [f"{path.relative}: {error}" for path, error in zip(paths, errors, strict=True) if error is not None]
            ready = [pair for pair, error in zip(ready, errors, strict=True) if error is None]
        if ready:
            self.tally.sequences += await self._publisher.publish([envelope for _, envelope in ready])

    def _envelope(self, job: ArchivedJob) -> Envelope | None:
        """None when the entry cannot be imported; the tally then has the reason."""
        path = job.path
        try:
            event = imported_job(job.meta, self._clusters[path.cluster])
        except ArchiveError as e:
            self.tally.failed.append(f"{path.relative}: {e}")
            return None
        message_id = f"import:{self._intent}:{path.cluster}:{path.job_id}:{path.start_time}"
        envelope = Envelope(event, message_id, SOURCE, datetime.now(UTC), self._actor)
        if len(envelope.body()) > self._max_bytes:
            self.tally.failed.append(f"{path.relative}: larger than the broker accepts")
            return None
        return envelope


async def bring_clusters(source: ArchiveStore, client: Client, nats: NatsSettings) -> ClusterDirectory:
    """Add the clusters that the site does not know; known ones keep their definition."""
    directory = ClusterDirectory(client, nats)
    await directory.refresh()
    for name in await asyncio.to_thread(source.clusters):
        if name not in directory:
            await add_cluster(client, nats, await asyncio.to_thread(source.cluster_text, name))
            print(f"added the cluster {name}", file=sys.stderr)
    await directory.refresh()
    return directory


async def wait_until_applied(engine: AsyncEngine, sequence: int, bar: Bar, stream: Literal["events", "nodes"] = "events") -> None:
    """Wait for a sequence of EVENTS or NODES. Raises Unavailable when jobstore makes no progress."""
    loop = asyncio.get_running_loop()
    position, moved_at = -1, loop.time()
    while (now := getattr(await progress_of(engine), stream)) < sequence:
        if now > position:
            position, moved_at = now, loop.time()
            bar(now, sequence, "in the database")
        if loop.time() - moved_at > STALLED_AFTER_S:
            raise Unavailable(f"the events are recorded, but jobstore has stopped at {position} of {sequence}; is it running?")
        await asyncio.sleep(WAIT_S)


async def count_new(engine: AsyncEngine, sequences: Sequence[int], after: int) -> int:
    """The number of jobs created by events after ``after``; the id of an imported job is the sequence of its event."""
    new = [sequence for sequence in sequences if sequence > after]
    count = 0
    for first in range(0, len(new), BATCH):
        async with transaction(engine) as connection:
            query = select(func.count()).where(tables.job.c.id.in_(new[first : first + BATCH]))
            count += await connection.scalar(query) or 0
    return count


def refuse_nested(source: Path, target: ArchiveStore) -> None:
    """Raises UserError."""
    for part in target.parts():
        if isinstance(part, FileStore):
            root = part.root.resolve()
            if source.resolve() in root.parents or root in source.resolve().parents:
                raise UserError(f"one of {source} and the site's archive {part.root} is inside the other")


def run_import(data: Path | None, address: str, *, copies: bool) -> None:
    site = find_site(data)
    source = store_at(address, site.archive)
    require_version(source.version(), source.address)
    target = store_of(site.archive) if copies else None
    if target is not None and any(part.is_same_place(source) for part in target.parts()):
        target = None
    if target is not None and isinstance(source, FileStore):
        refuse_nested(source.root, target)

    async def run() -> tuple[Tally, int]:
        async with AsyncExitStack() as stack:
            bar = stack.enter_context(progress_bar("read"))
            client, nats = await stack.enter_async_context(broker_of(site, "import"))
            engine = await stack.enter_async_context(database_of(site))
            known = await KnownArchives(client, nats).read()
            for part in target.parts() if target is not None else ():
                await asyncio.to_thread(open_place, part, known)
            clusters = await bring_clusters(source, client, nats)
            if target is not None:
                await asyncio.to_thread(copy_clusters, source, target)
            before = (await log_state(client, nats.stream(EVENTS))).last_sequence
            importer = Importer(source, target, client, clusters, Publisher(client, nats.prefix))
            await importer.run(bar)
            tally = importer.tally
            await wait_until_applied(engine, max(tally.sequences, default=0), bar)
            return tally, await count_new(engine, tally.sequences, before)

    tally, new = asyncio.run(run())
    for line in tally.failed:
        print(line, file=sys.stderr)
    print(f"imported {new} jobs, {len(tally.sequences) - new} were already known")
    if tally.failed:
        raise ImportFailed(f"{len(tally.failed)} entries could not be imported")
