"""`jobtide user sync-ldap`."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from cli.site import find_site
from shared.errors import UserError
from shared.settings import load

if TYPE_CHECKING:
    from services.gateway.people.auth.ldap.settings import LdapSettings
    from services.gateway.people.auth.ldap.sync import SyncResult
    from shared.settings import DatabaseSettings


def run_sync_ldap(data: Path | None) -> None:
    from services.gateway.people.auth.ldap.settings import LdapSettings

    database = find_site(data).database
    settings = load(LdapSettings)
    if not settings.is_on:
        raise UserError("JOBTIDE_LDAP_URL: not set, so there is no directory to synchronise with")
    if settings.missing_for_search:
        raise UserError(f"[ldap]: {', '.join(settings.missing_for_search)} required to search the directory")
    result = asyncio.run(_sync(database, settings))
    print(f"{result.found} users in the directory: {len(result.added)} added, {len(result.renamed)} renamed, {len(result.removed)} removed")
    if result.skipped:
        print(f"{len(result.skipped)} entries without a usable name, such as {result.skipped[0]}")
    if result.removal_skipped:
        print(f"nobody was removed: {result.removal_skipped}")


async def _sync(database: "DatabaseSettings", settings: "LdapSettings") -> "SyncResult":
    from services.gateway.people.auth.ldap.directory import Directory
    from services.gateway.people.auth.ldap.sync import DirectorySync
    from services.gateway.people.users.store import UserStore
    from shared.database.engine import opened
    from shared.database.schema import require_schema

    with closing(Directory(settings)) as directory:
        async with opened(database, durable=True, connections=1) as engine:
            await require_schema(engine)
            return await DirectorySync(directory, UserStore(engine, engine)).run()
