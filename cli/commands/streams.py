"""`jobtide provision` and `jobtide migrate`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from nats.aio.client import Client

from cli.site import Site, broker_of, find_site
from shared.errors import UserError
from shared.settings import NatsSettings, load


def run_provision(data: Path | None, *, continue_log: bool, adopts: bool = False) -> None:
    from shared.broker.streams import provision

    site = find_site(data)

    async def run() -> list[str]:
        async with AsyncExitStack() as stack:
            if not (continue_log or adopts):
                client, nats = await stack.enter_async_context(broker_of(site, "provision"))
                return await provision(client, nats)
            client, nats = await stack.enter_async_context(_broker_without_services(site))
            return await provision(client, nats) + await _recover(site, client, nats, continue_log=continue_log, adopts=adopts)

    changes = asyncio.run(run())
    print("\n".join(changes) if changes else "nothing to change")


async def _recover(site: Site, client: Client, nats: NatsSettings, *, continue_log: bool, adopts: bool) -> list[str]:
    from services.jobstore import continue_log as continuing
    from services.jobstore.recognition import adopt
    from shared.database.engine import opened
    from shared.database.schema import require_schema

    async with opened(site.database, maintenance=True) as engine:
        await require_schema(engine)
        changes = await adopt(client, nats, engine) if adopts else []
        return changes + (await continuing.continue_log(client, nats, engine) if continue_log else [])


@asynccontextmanager
async def _broker_without_services(site: Site) -> AsyncIterator[tuple[Client, NatsSettings]]:
    """The broker of a deployment, or that of an embedded site, which must be stopped and whose broker is started for this command."""
    if site.folder is None:
        async with broker_of(site, "provision") as found:
            yield found
        return
    from cli.embedded.accounts import OPERATOR
    from cli.embedded.broker import own_broker
    from cli.embedded.folder import is_locked, locked
    from shared.broker.connection import dial

    if is_locked(site.folder):
        raise UserError(f"a site is running in {site.folder.root}: stop it first, and start it again afterwards")
    _ = site.database  # reject a wrong folder before starting anything in it
    with locked(site.folder):
        async with own_broker(site.folder, "127.0.0.1:0", load(NatsSettings)) as broker:
            nats = broker.settings(OPERATOR)
            client = await dial(nats, "jobtide-provision")
            try:
                yield client, nats
            finally:
                await client.close()


def run_migrate(data: Path | None) -> None:
    from shared.database.migrate import migrate_blocking

    before, after = migrate_blocking(find_site(data).database)
    print(f"the schema is at {after} already" if before == after else f"migrated from {before or 'nothing'} to {after}")
