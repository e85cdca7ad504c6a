"""`jobtide takeover`: a site that runs cc-backend becomes a site that runs jobtide."""

import asyncio
import sys
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.commands.importing import refuse_nested, wait_until_applied
from cli.progress import progress_bar
from cli.site import Site, broker_of, database_of, find_site
from cli.takeover.bringing import SOURCE, JobBringer, JobTally
from cli.takeover.database import Database
from cli.takeover.entries import Entries, archive_of, clusters_in, is_same_place, why_not_usable
from cli.takeover.nodes import NodeTally, bring_nodes
from cli.takeover.settings import as_toml, translated
from cli.takeover.source import Source, read_source
from cli.takeover.tags import create_tags, new_tags, remember_tags
from cli.takeover.users import UserTally, bring_users, counted_users
from services.jobstore.settings import JobstoreSettings
from shared.archive.files import FileStore
from shared.archive.layout import ArchiveUnavailable
from shared.archive.places import open_place, store_of
from shared.archive.transfer import copy_clusters
from shared.broker.clusters import ClusterDirectory, add_cluster
from shared.broker.cursor import LogState, log_state
from shared.broker.known_archives import KnownArchives
from shared.broker.publisher import Publisher
from shared.broker.streams import EVENTS
from shared.database.engine import opened
from shared.database.schema import require_schema
from shared.errors import JobtideError, Unavailable, UserError
from shared.service import collect_garbage_rarely
from shared.settings import NatsSettings, load, setting_name

SHOWN = 20  # lines of one kind of findings; all of them are in the report of `jobtide takeover verify`


class TakeoverIncomplete(JobtideError):
    """Something could not be taken over; all of it has been printed."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a run. ``clusters_without_definition`` have jobs, but no cluster.json.

    ``unreachable`` are the reasons why parts of the site could not be used by a dry run, ``is_compared``: whether its database could.
    """

    jobs: JobTally
    users: UserTally
    nodes: NodeTally
    tags: int
    clusters_without_definition: list[str]
    why_no_entries: str | None
    links: str
    unreachable: Sequence[str] = ()
    is_compared: bool = True


def run_settings(path: Path) -> None:
    source = read_source(path)
    database = source.open_database()
    try:
        print(as_toml(translated(source, database.highest_id()), source), end="")
    finally:
        database.close()


def run_takeover(data: Path | None, path: Path, *, dry_run: bool, copies: bool) -> None:
    source = read_source(path)
    site = find_site(data)
    database = source.open_database()
    collect_garbage_rarely()
    work = _preview if dry_run else _take_over
    try:
        taken = asyncio.run(work(source, database, site, copies=copies))
    finally:
        database.close()
    _report(source, database, taken, dry_run=dry_run)
    failed = len(taken.users.failed) + taken.jobs.failed.number
    shown = [*taken.users.failed, *taken.jobs.failed.first]
    for line in shown:
        print(line, file=sys.stderr)
    if failed > len(shown):
        print(f"… and {failed - len(shown)} more", file=sys.stderr)
    if failed:
        raise TakeoverIncomplete(f"{failed} rows could not be taken over")


async def _take_over(source: Source, database: Database, site: Site, *, copies: bool) -> Taken:
    async with AsyncExitStack() as stack:
        bar = stack.enter_context(progress_bar("jobs"))
        engine = await stack.enter_async_context(database_of(site))
        client, nats = await stack.enter_async_context(broker_of(site, "takeover"))
        known = await KnownArchives(client, nats).read()
        entries, why_no_entries = await asyncio.to_thread(partial(_entries, source, site, copies=copies, known=known))
        publisher = Publisher(client, nats.prefix)
        directory = await _clusters(source, site, client, copies=copies)
        users, settings = await asyncio.to_thread(database.users), await asyncio.to_thread(database.settings)
        tags = await asyncio.to_thread(database.tags)
        new = await new_tags(engine, tags)
        last_tag = await create_tags(new, publisher, SOURCE)
        async with opened(site.database, durable=True, connections=1) as writable:
            await require_schema(writable)
            brought = await bring_users(writable, users, settings, dry_run=False)
            await remember_tags(writable, tags)
        bringer = JobBringer(database, engine, publisher, entries)
        await bringer.run(bar)
        nodes = await bring_nodes(database, engine, publisher, SOURCE, load(JobstoreSettings), lambda done: bar(done, None, "node states"))
        await wait_until_applied(engine, max(bringer.tally.last_sequence, last_tag), bar)
        await wait_until_applied(engine, nodes.last_sequence, bar, "nodes")
        links = _links(await asyncio.to_thread(database.highest_id), nats, await log_state(client, nats.stream(EVENTS)))
    missing = sorted(bringer.tally.clusters - set(directory) - _clusters_to_add(source))
    return Taken(bringer.tally, brought, nodes, len(new), missing, why_no_entries, links)


async def _preview(source: Source, database: Database, site: Site, *, copies: bool) -> Taken:
    """Count what a run would take over. If the site cannot be reached, everything in the source counts as new."""
    entries, why_no_entries = _entries(source, site, copies=copies)
    unreachable: list[str] = []
    async with AsyncExitStack() as stack:
        bar = stack.enter_context(progress_bar("jobs"))
        engine: AsyncEngine | None = None
        try:
            engine = await stack.enter_async_context(database_of(site))
        except (UserError, Unavailable) as e:
            unreachable.append(str(e))
        known, log = set[str](), None
        try:
            client, nats = await stack.enter_async_context(broker_of(site, "takeover"))
            directory = ClusterDirectory(client, nats)
            await directory.refresh()
            known, log = set(directory), await log_state(client, nats.stream(EVENTS))
        except (UserError, Unavailable) as e:
            unreachable.append(str(e))
        users, settings = await asyncio.to_thread(database.users), await asyncio.to_thread(database.settings)
        if engine is None:
            brought = counted_users(users, settings)
        else:
            async with opened(site.database, durable=True, connections=1) as own:
                brought = await bring_users(own, users, settings, dry_run=True)
        new = await new_tags(engine, await asyncio.to_thread(database.tags))
        bringer = JobBringer(database, engine, None, entries)
        await bringer.run(bar)
        nodes = await bring_nodes(database, engine, None, SOURCE, load(JobstoreSettings), lambda done: bar(done, None, "node states"))
    links = _links(await asyncio.to_thread(database.highest_id), load(NatsSettings), log)
    missing = sorted(bringer.tally.clusters - known - _clusters_to_add(source))
    return Taken(bringer.tally, brought, nodes, len(new), missing, why_no_entries, links, unreachable, is_compared=engine is not None)


def _links(highest: int, nats: NatsSettings, log: LogState | None) -> str:
    """A sentence that says whether links with ids of the former database lead to its jobs."""
    setting = setting_name("nats", "first_job_id")
    if nats.first_job_id <= highest:
        return f"ids up to {highest} are not found here, because {setting} is {nats.first_job_id}"
    if log is not None and log.began_at < nats.first_job_id:
        return f"ids up to {highest} lead to the jobs that had them there unless a job here has the same id: the log here began earlier"
    return f"ids up to {highest} lead to the jobs that had them there"


def _entries(source: Source, site: Site, *, copies: bool, known: Collection[str] | None = None) -> tuple[Entries | None, str | None]:
    """The archives, and why no entries are copied. ``known`` are the places that held an archive, None for a dry run.

    Raises UserError, ArchiveUnavailable.
    """
    archive, target = archive_of(source), store_of(site.archive)
    if (why := why_not_usable(archive)) is not None:
        return None, why
    if not copies or is_same_place(archive, target):
        return Entries(archive, None), "they stay where they are"
    if isinstance(archive, FileStore):
        refuse_nested(archive.root, target)
    if known is not None:
        for part in target.parts():
            open_place(part, known)
        return Entries(archive, target), None
    try:
        target.require()
    except ArchiveUnavailable:  # it is created by the first run
        return Entries(archive, target, is_target_known=False), None
    return Entries(archive, target), None


async def _clusters(source: Source, site: Site, client: Client, *, copies: bool) -> ClusterDirectory:
    """Add the clusters of the archive that the site does not know; known ones keep their definition."""
    nats, archive, target = site.nats(), archive_of(source), store_of(site.archive)
    directory = ClusterDirectory(client, nats)
    await directory.refresh()
    for name in await asyncio.to_thread(clusters_in, archive):
        if name not in directory:
            await add_cluster(client, nats, await asyncio.to_thread(archive.cluster_text, name))
            print(f"added the cluster {name}", file=sys.stderr)
    if copies and why_not_usable(archive) is None and not is_same_place(archive, target):
        await asyncio.to_thread(copy_clusters, archive, target)
    await directory.refresh()
    return directory


def _clusters_to_add(source: Source) -> set[str]:
    return set(clusters_in(archive_of(source)))


def _report(source: Source, database: Database, taken: Taken, *, dry_run: bool) -> None:
    jobs, users, nodes = taken.jobs, taken.users, taken.nodes
    verb = "would be taken over" if dry_run else "taken over"
    print(f"{verb} from {source.folder} (schema {database.version}):")
    if not taken.is_compared:
        print("  compared with nothing, because there is no site to compare with:")
    for why in taken.unreachable:
        print(f"    {why}")
    deleted = f", {jobs.deleted} deleted here" if jobs.deleted else ""
    print(f"  jobs      {jobs.new} new, {jobs.changed} changed, {jobs.unchanged} unchanged{deleted}")
    if taken.why_no_entries is not None:
        print(f"  archive   no entries copied: {taken.why_no_entries}")
    else:
        print(f"  archive   {jobs.entries} entries copied, {jobs.without_entry.number} are missing or unreadable")
    print(f"  tags      {taken.tags} new")
    print(f"  users     {users.new} new, {users.changed} changed, {users.unchanged} unchanged; {users.settings} personal settings")
    print(f"  links     {taken.links}")
    print(f"  nodes     {nodes.states} states of {nodes.nodes} nodes, {nodes.unchanged} nodes have no newer ones")
    if users.kept:
        print(f"  kept      users as they are here: {_some(users.kept)}")
    if taken.clusters_without_definition:
        print(f"  clusters  no cluster.json, so no metrics are shown for their jobs: {_some(taken.clusters_without_definition)}")
    for line in jobs.without_entry.first[:SHOWN]:
        print(f"no archive entry: {line}", file=sys.stderr)
    if jobs.without_entry.number > SHOWN:
        print(f"… and {jobs.without_entry.number - SHOWN} more; `jobtide takeover verify` lists them", file=sys.stderr)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
