"""`jobtide up`."""

import asyncio
import contextlib
import sys
from pathlib import Path

from cli.embedded.folder import DataFolder, Running, make_folder
from cli.embedded.services import SiteSettings
from cli.embedded.up import UpOptions, up
from shared.log import configure
from shared.service import collect_garbage_rarely, warn_of_doubtful_variables
from shared.settings import LogSettings, load

LOG_FILE = "demo.log"


def run_up(data: Path, http: str, nats: str, *, demo: bool) -> None:
    options = UpOptions(data, http, nats)
    with contextlib.ExitStack() as stack:
        if demo and sys.stdout.isatty():  # the display owns the terminal
            make_folder(data)
            log_file = stack.enter_context((data / LOG_FILE).open("a", buffering=1, encoding="utf-8"))
            configure(load(LogSettings), stream=log_file)
            print(f"the log goes to {data / LOG_FILE}")
        else:
            configure(load(LogSettings))
        warn_of_doubtful_variables()

        async def alongside(site: SiteSettings, running: Running, stop: asyncio.Event) -> None:
            from cli.demo.run import run_demo

            await run_demo(DataFolder(data), site, running, stop)

        asyncio.run(up(options, on_ready=_when_ready, alongside=alongside if demo else None))
        print("stopped")


def _when_ready(running: Running) -> None:
    collect_garbage_rarely()
    print(f"http    {running.http}", f"nats    {running.nats}", "ready; Ctrl-C ends it", sep="\n", flush=True)
