"""The demo on a running site: adds the clusters, feeds events, shows the display."""

import asyncio
from contextlib import AsyncExitStack

from nats.aio.client import Client

from cli.demo.feed import Feed
from cli.demo.machines import CLUSTERS, definition
from cli.demo.numbers import watch
from cli.demo.view import display
from cli.embedded.accounts import ADAPTER, OPERATOR
from cli.embedded.folder import DataFolder, Running
from cli.embedded.logfile import Problems
from cli.embedded.services import SiteSettings
from cli.keys import sign_token
from shared.broker.clusters import ClusterDirectory, add_cluster
from shared.broker.connection import dial
from shared.database.engine import opened
from shared.settings import NatsSettings

TOKEN_LIFE_S = 30 * 86_400


async def run_demo(folder: DataFolder, site: SiteSettings, running: Running, problems: Problems, stop: asyncio.Event) -> None:
    """Until ``stop``."""
    async with AsyncExitStack() as stack:
        nats = site.nats_as(OPERATOR)
        client = await dial(nats, "jobtide-demo")
        stack.push_async_callback(client.close)
        adapter = await dial(site.nats_as(ADAPTER), "jobtide-demo-adapter")
        stack.push_async_callback(adapter.close)
        engine = await stack.enter_async_context(opened(site.database, read_only=True))
        await _add_clusters(client, nats)
        feed = Feed(adapter, nats, folder.root / "demo.json")
        if feed.was_continued:
            print(f"the simulated site continues with {feed.running} running jobs")
        print(f"\nthree of its running jobs:\n\n{curl_line(site, running)}\n", flush=True)
        view = stack.enter_context(display(problems))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feed.run(stop))
            tasks.create_task(watch(client, nats, engine, stop, view.show))


def curl_line(site: SiteSettings, running: Running) -> str:
    token = sign_token(site.keys.private, "demo", ["api"], TOKEN_LIFE_S)
    return f"curl -H 'X-Auth-Token: {token}' '{running.http}/api/jobs/?state=running&items-per-page=3'"


async def _add_clusters(client: Client, nats: NatsSettings) -> None:
    directory = ClusterDirectory(client, nats)
    await directory.refresh()
    for name in CLUSTERS:
        if name not in directory or directory.raw(name) != definition(name):
            await add_cluster(client, nats, definition(name))
