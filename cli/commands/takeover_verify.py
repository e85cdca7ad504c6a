"""`jobtide takeover verify`: compares a site with the cc-backend that it was taken over from."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.progress import Bar, progress_bar
from cli.site import database_of, find_site
from cli.takeover.bringing import PAGE
from cli.takeover.comparing import Comparison, compare_page
from cli.takeover.database import Database, StoredJob
from cli.takeover.entries import archive_of, is_in, why_not_usable
from cli.takeover.report import ArchiveFindings, Report, as_json_object, print_report
from cli.takeover.source import read_source
from cli.takeover.tags import TagKey, tags_brought, tags_here
from cli.takeover.users import USER, account_of_row, unchanged_fields
from services.gateway.people.users.rows import account_of
from services.gateway.people.users.rules import BadField
from shared.archive.layout import ArchiveError, JobPath
from shared.archive.places import store_of
from shared.archive.store import ArchiveStore
from shared.database.engine import transaction
from shared.database.tables import configuration, hpc_user, tables, taken_over
from shared.errors import JobtideError
from shared.service import collect_garbage_rarely

# Fields of an account, and their columns.
_ACCOUNT = {"source": "ldap", "roles": "roles", "projects": "projects", "real_name": "name", "email": "email", "password": "password"}


class Differs(JobtideError):
    """The site is not equal to its source."""


def run_verify(data: Path | None, path: Path, *, as_json: bool, sample: int) -> None:
    source = read_source(path)
    site = find_site(data)
    database = source.open_database()
    collect_garbage_rarely()

    async def run() -> Report:
        with progress_bar("jobs") as bar:
            async with database_of(site) as engine:
                return await _verify(archive_of(source), database, engine, store_of(site.archive), sample, bar)

    try:
        report = asyncio.run(run())
    finally:
        database.close()
    if as_json:
        print(json.dumps(as_json_object(report), ensure_ascii=False))
    else:
        print_report(report)
    if not report.is_equal:
        raise Differs("the site differs from its source" + ("" if as_json else "; `jobtide takeover run` brings what has changed there"))


async def _verify(source: ArchiveStore, database: Database, engine: AsyncEngine, archive: ArchiveStore, sample: int, bar: Bar) -> Report:
    comparison = Comparison()
    total = await asyncio.to_thread(database.count_jobs)
    pages, seen = _pages(database), 0
    while (page := await asyncio.to_thread(next, pages, None)) is not None:
        await compare_page(comparison, engine, page)
        seen += len(page)
        bar(seen, total)
    async with transaction(engine) as connection:
        here = int(await connection.scalar(select(func.count()).select_from(tables.job)) or 0)
    users, users_edited, number_of_users = await _users(database, engine)
    tags = await asyncio.to_thread(database.tags)
    missing_tags, tags_removed = await _missing_tags(tags, engine)
    return Report(
        comparison=comparison,
        only_here=here - sum(comparison.here.jobs.values()),
        users=users,
        tags=missing_tags,
        tags_removed=tags_removed,
        settings=await _missing_settings(database, engine),
        nodes=await _differing_nodes(database, engine),
        archive=await asyncio.to_thread(_check_archive, comparison.archived, source, archive, sample, bar),
        users_edited=users_edited,
        number_of_users=number_of_users,
        number_of_tags=len(tags),
    )


def _pages(database: Database) -> Iterator[Sequence[StoredJob]]:
    if staged := database.staged():
        yield staged
    yield from database.jobs(PAGE)


async def _users(database: Database, engine: AsyncEngine) -> tuple[list[str], int, int]:
    """A line for each user that is missing or differs; the number of those changed or removed here only, and of all users."""
    async with transaction(engine) as connection:
        here = {row.username: account_of(row) for row in await connection.execute(select(hpc_user))}
        query = select(taken_over.c.name, taken_over.c.digest).where(taken_over.c.kind == USER)
        brought = {row[0]: row[1] for row in await connection.execute(query)}
    found, edited = [], 0
    rows = await asyncio.to_thread(database.users)
    for row in rows:
        try:
            there = account_of_row(row)
        except BadField as e:
            found.append(f"{row['username']!r} cannot be taken over: {e}")
            continue
        account, same = here.get(there.name), unchanged_fields(there, brought.get(there.name))
        if account is None and there.name not in brought:
            found.append(f"{there.name} is missing here")
            continue
        differing = [name for name in _ACCOUNT if account is None or _of(there, name) != _of(account, name)]
        if account is not None and (names := [name for name in differing if _ACCOUNT[name] not in same]):
            found.append(f"{there.name} has different {', '.join(names)}")
        elif differing:
            edited += 1
    return found, edited, len(rows)


def _of(account: Any, name: str) -> Any:
    value = getattr(account, name)
    return set(value) if isinstance(value, tuple) else value


async def _missing_tags(tags: Sequence[TagKey], engine: AsyncEngine) -> tuple[list[str], int]:
    """The tags that are missing, and the number of those that were removed here."""
    missing = set(tags) - await tags_here(engine)
    removed = missing & await tags_brought(engine)
    return ["/".join(one) for one in tags if one in missing - removed], len(removed)


async def _missing_settings(database: Database, engine: AsyncEngine) -> list[str]:
    columns = configuration.c.username, configuration.c.confkey
    async with transaction(engine) as connection:
        here = {(row[0], row[1]) for row in await connection.execute(select(*columns))}
    return [f"{user}: {key}" for user, key, _ in await asyncio.to_thread(database.settings) if (user, key) not in here]


async def _differing_nodes(database: Database, engine: AsyncEngine) -> list[str]:
    """Nodes that are missing here, or whose newest state there is newer, or another one of the same time."""
    node = tables.node.c
    async with transaction(engine) as connection:
        found = await connection.execute(select(node.cluster, node.hostname, node.time_stamp, node.node_state))
        here = {(row[0], row[1]): (row[2], row[3]) for row in found}
    lines = []
    for row in await asyncio.to_thread(database.node_states):
        name, newest = f"{row['cluster']}/{row['hostname']}", (row["time_stamp"], row["node_state"])
        known = here.get((row["cluster"], row["hostname"]))
        if known is None:
            lines.append(f"{name} is missing here")
        elif known[0] < newest[0] or (known[0] == newest[0] and known[1] != newest[1]):
            lines.append(f"{name} is {newest[1]} since {newest[0]} there and {known[1]} since {known[0]} here")
    return lines


def _check_archive(paths: Sequence[JobPath], source: ArchiveStore, archive: ArchiveStore, sample: int, bar: Bar) -> ArchiveFindings:
    """Every entry must be there; a random sample of them is read with its data."""
    found, is_usable = ArchiveFindings(), why_not_usable(source) is None
    chosen = set(random.Random(0).sample(range(len(paths)), min(sample, len(paths))))
    for index, path in enumerate(paths):
        found.checked += 1
        if index % PAGE == 0:
            bar(index, len(paths), "archive")
        try:
            if not is_in(archive, path):
                (found.missing if not is_usable or is_in(source, path) else found.missing_there_too).append(path.relative)
            elif index in chosen:
                archive.document(path)
                archive.job_data(path)
                found.read += 1
        except (ArchiveError, OSError) as e:
            found.unreadable.append(f"{path.relative}: {e}")
    return found
