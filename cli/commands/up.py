"""`jobtide up`."""

import asyncio
import sys
from pathlib import Path

from cli.embedded.folder import DataFolder, Running, make_folder
from cli.embedded.logfile import Problems, log_to_file
from cli.embedded.services import SiteSettings
from cli.embedded.up import UpOptions, up
from shared.log import configure
from shared.memory import return_freed_memory
from shared.process_end import THREADS_END_S, end_within
from shared.service import collect_garbage_rarely, warn_of_doubtful_variables
from shared.settings import LogSettings, load

# Jobs of the demo are short: an hour takes about half a minute.
DEMO_DEFAULTS = {
    "advice_parameters": {"min_duration_s": 30, "quiet_s": 40, "min_walltime_s": 60},
    "footprints_s": 30.0,
    "footprints_from_s": 30.0,
    "footprints_settling_s": 15.0,
}


def run_up(data: Path, http: str, nats: str, *, demo: bool) -> None:
    """On a terminal, log to a file, and warnings and errors also to the terminal. Otherwise log everything to standard error."""
    return_freed_memory()
    folder = DataFolder(data)
    log_file = folder.log_file if sys.stderr.isatty() else None
    problems = Problems()
    if log_file is None:
        configure(load(LogSettings))
    else:
        make_folder(data)
        log_to_file(log_file, problems)
    warn_of_doubtful_variables()

    async def beforehand(site: SiteSettings, stop: asyncio.Event) -> None:
        from cli.demo.run import prepare_demo

        await prepare_demo(folder, site, stop)

    async def alongside(site: SiteSettings, running: Running, stop: asyncio.Event) -> None:
        from cli.demo.run import run_demo

        await run_demo(folder, site, running, problems, stop)

    def when_ready(running: Running) -> None:
        collect_garbage_rarely()
        _print_addresses(running, log_file)

    options = UpOptions(data, http, nats, DEMO_DEFAULTS if demo else {})

    async def site() -> None:
        if demo:
            await up(options, on_ready=when_ready, beforehand=beforehand, alongside=alongside)
        else:
            await up(options, on_ready=when_ready)
        print("stopped", flush=True)
        end_within(THREADS_END_S, 0)

    asyncio.run(site())


def _print_addresses(running: Running, log_file: Path | None) -> None:
    lines = {"http": running.http, "nats": running.nats, "log": log_file}
    print(*(f"{name:<6}  {value}" for name, value in lines.items() if value), "ready; Ctrl-C ends it", sep="\n", flush=True)
