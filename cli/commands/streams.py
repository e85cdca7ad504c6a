"""`jobtide provision` and `jobtide migrate`."""

import asyncio
from pathlib import Path

from cli.site import broker_of, find_site


def run_provision(data: Path | None, *, continue_log: bool) -> None:
    from shared.broker.streams import provision

    async def run() -> list[str]:
        async with broker_of(find_site(data), "provision") as (client, nats):
            return await provision(client, nats)

    changes = asyncio.run(run())
    print("\n".join(changes) if changes else "nothing to change")


def run_migrate(data: Path | None) -> None:
    from shared.database.migrate import migrate_blocking

    before, after = migrate_blocking(find_site(data).database)
    print(f"the schema is at {after} already" if before == after else f"migrated from {before or 'nothing'} to {after}")
