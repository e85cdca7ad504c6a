import asyncio
import os

from shared.service import Report, importing, main

with importing():
    from services.archiver.app import run
    from services.archiver.settings import load_settings


async def _run(stop: asyncio.Event, report: Report) -> None:
    settings = load_settings()
    os.nice(settings.archiver.nice)  # events have priority over archiving on a shared machine
    await run(settings, stop, report)


if __name__ == "__main__":
    main("archiver", _run)
