"""`jobtide up`."""

import asyncio
import sys
from pathlib import Path

from cli.embedded.folder import DataFolder, Running, make_folder
from cli.embedded.logfile import Problems, log_to_file
from cli.embedded.services import SiteSettings
from cli.embedded.up import UpOptions, up
from shared.log import configure
from shared.service import collect_garbage_rarely, warn_of_doubtful_variables
from shared.settings import LogSettings, load


def run_up(data: Path, http: str, nats: str, *, demo: bool) -> None:
    """On a terminal the log goes to a file, and warnings and errors to the terminal too; elsewhere all of it to standard error."""
    folder = DataFolder(data)
    log_file = folder.log_file if sys.stderr.isatty() else None
    problems = Problems()
    if log_file is None:
        configure(load(LogSettings))
    else:
        make_folder(data)
        log_to_file(log_file, problems)
    warn_of_doubtful_variables()

    async def alongside(site: SiteSettings, running: Running, stop: asyncio.Event) -> None:
        from cli.demo.run import run_demo

        await run_demo(folder, site, running, problems, stop)

    def when_ready(running: Running) -> None:
        collect_garbage_rarely()
        _print_addresses(running, log_file)

    asyncio.run(up(UpOptions(data, http, nats), on_ready=when_ready, alongside=alongside if demo else None))
    print("stopped")


def _print_addresses(running: Running, log_file: Path | None) -> None:
    lines = {"http": running.http, "nats": running.nats, "log": log_file}
    print(*(f"{name:<6}  {value}" for name, value in lines.items() if value), "ready; Ctrl-C ends it", sep="\n", flush=True)
