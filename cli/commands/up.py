"""`jobtide up`."""

import asyncio
from pathlib import Path

from cli.embedded.folder import Running
from cli.embedded.up import UpOptions, up
from shared.log import configure
from shared.settings import LogSettings, load


def run_up(data: Path, http: str, nats: str, *, demo: bool) -> None:
    options = UpOptions(data, http, nats)
    configure(load(LogSettings))
    asyncio.run(up(options, on_ready=_print_addresses))


def _print_addresses(running: Running) -> None:
    print(f"http    {running.http}", f"nats    {running.nats}", "ready; Ctrl-C ends it", sep="\n", flush=True)
