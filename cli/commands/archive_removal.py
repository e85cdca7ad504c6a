"""`jobtide archive remove`."""

import asyncio
import getpass
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.commands.archive_tools import (
    archive_of,
    count_text,
    print_failures,
    print_json,
    size_text,
    tally_json,
)
from cli.commands.counting import counted
from cli.site import broker_of, database_of, find_site
from shared.archive.layout import JobPath
from shared.archive.moving import selected_paths
from shared.archive.selection import Selection
from shared.archive.store import ArchiveStore
from shared.archive.transfer import Tally, batches
from shared.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

SOURCE = "/cli"
BATCH = 200


def run_remove(data: Path | None, address: str | None, selection: Selection, *, database: bool, dry_run: bool, as_json: bool) -> None:
    """Raises UserError, ArchiveUnsound."""
    if selection.before is None and selection.after is None and not selection.clusters:
        raise UserError("give --before, --after or --cluster: without them all jobs would be removed")
    if database and address is not None:
        raise UserError("--database removes jobs of the site, so ARCHIVE cannot be given with it")
    store = archive_of(data, address)
    store.version()
    tally = Tally()
    with counted(store, lambda path: isinstance(path, JobPath) and selection.includes(path)) as bar:

        def show() -> None:
            bar(tally.done + tally.skipped + tally.failed)

        selected = batches(selected_paths(store, selection, omitted=tally.skip, failed=lambda path, e: tally.fail(path.relative, e)), BATCH)
        if database:
            in_database = asyncio.run(_with_database(data, store, selected, tally, show, dry_run=dry_run))
        else:
            in_database = 0
            for paths in selected:
                remove(store, paths, tally, dry_run=dry_run)
                show()
    if as_json:
        print_json({"archive": store.address, "dryRun": dry_run, "removed": tally.done, "inDatabase": in_database, **tally_json(tally)})
    else:
        verb = "would be removed" if dry_run else "removed"
        also = f", {count_text(in_database)} of them from the database" if database else ""
        print(f"{count_text(tally.done)} {verb} ({size_text(tally.size)}){also}, {count_text(tally.skipped)} left out for their tags")
    print_failures(tally, as_json=as_json)


def remove(store: ArchiveStore, paths: Sequence[JobPath], tally: Tally, *, dry_run: bool) -> None:
    tally.seen += len(paths)
    sizes = [store.size(path) for path in paths]
    errors: Sequence[Exception | None] = [None] * len(paths) if dry_run else store.remove(paths)
    for path, size, error in zip(paths, sizes, errors, strict=True):
        if error is not None:
            tally.fail(path.relative, error)
        else:
            tally.done += 1
            tally.size += size


async def _with_database(
    data: Path | None, store: ArchiveStore, selected: Iterator[list[JobPath]], tally: Tally, show: Callable[[], None], *, dry_run: bool
) -> int:
    """Deletions are published before the entries are removed: after an interruption the entries are still found."""
    from shared.broker.envelope import Envelope
    from shared.broker.publisher import Publisher
    from shared.domain.events import JobDeleted

    site, run_id, actor, count = find_site(data), uuid.uuid4().hex, getpass.getuser(), 0
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(database_of(site))
        client, nats = await stack.enter_async_context(broker_of(site, "archive"))
        publisher = Publisher(client, nats.prefix)
        while (paths := await asyncio.to_thread(next, selected, None)) is not None:
            jobs = await ids_of(engine, paths)
            if jobs and not dry_run:
                now = datetime.now(UTC)
                await publisher.publish(
                    [Envelope(JobDeleted(id=id_, cluster=cluster), f"{run_id}:{id_}", SOURCE, now, actor) for id_, cluster in jobs]
                )
            count += len(jobs)
            await asyncio.to_thread(remove, store, paths, tally, dry_run=dry_run)
            show()
    return count


async def ids_of(engine: "AsyncEngine", paths: Sequence[JobPath]) -> list[tuple[int, str]]:
    """Database id and cluster of the jobs that have ended. Raises Unavailable."""
    from services.archiver.jobs import JobReader

    return [(job.id, job.cluster) for job in await JobReader(engine).by_path(paths)]
