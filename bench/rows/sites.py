"""The ways a site can be put up, as rows go through them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.context import Bench
from bench.support.servers import Engine
from bench.support.site import Site, embedded_site, separate_site


def modes(bench: Bench, engines: Sequence[Engine]) -> list[tuple[str, Engine]]:
    return [(mode, engine) for mode in ("separate", "embedded") for engine in engines if mode == "separate" or engine == "sqlite"]


@asynccontextmanager
async def site_of(bench: Bench, mode: str, engine: Engine, services: Sequence[str]) -> AsyncIterator[Site]:
    """A fresh site; an embedded one always has all services."""
    with bench.folder() as folder:
        if mode == "embedded":
            async with embedded_site(folder) as site:
                yield site
        else:
            async with separate_site(bench.databases, engine, folder, services) as site:
                yield site
