"""The demo of a site: adds the clusters, people and the history before the services start, then feeds events and shows the display."""

import asyncio
import time
from contextlib import AsyncExitStack

from nats.aio.client import Client

from cli.demo.accounts import add_people, sign_in_line
from cli.demo.feed import Feed
from cli.demo.figures import watch
from cli.demo.history.making import Folders, is_due, make_history, read_plan
from cli.demo.machines import CLUSTERS, definition
from cli.demo.state import write_states
from cli.demo.view import display
from cli.embedded.accounts import ADAPTER, OPERATOR
from cli.embedded.folder import DataFolder, Running
from cli.embedded.logfile import Problems
from cli.embedded.services import SiteSettings
from cli.embedded.settings import UpSettings
from cli.keys import sign_token
from cli.progress import progress_bar
from shared.broker.clusters import ClusterDirectory, add_cluster
from shared.broker.connection import dial
from shared.database.engine import opened
from shared.settings import NatsSettings, load

TOKEN_LIFE_S = 30 * 86_400
STATE_FILE = "demo.json"
PLAN_FILE = "demo-history.json"


async def prepare_demo(folder: DataFolder, site: SiteSettings, stop: asyncio.Event) -> None:
    """Add the clusters, people, and the history of a new site. Raises Unavailable, OSError."""
    await add_people(folder, site.database)
    nats = site.nats_as(OPERATOR)
    client = await dial(nats, "jobtide-demo-history")
    try:
        await _add_clusters(client, nats)
        folders = Folders(folder.root / PLAN_FILE, folder.root / STATE_FILE, folder.archive, folder.samples)
        days = load(UpSettings).demo_days
        if not days or not await is_due(folders, client, nats):
            return
        print(f"making a history of {days:g} days, once", flush=True)
        with progress_bar("history") as bar:
            pasts = await make_history(folders, client, nats, days=days, now=int(time.time()), stop=stop, show=bar)
    finally:
        await client.close()
    if pasts is not None:
        write_states(folders.state, {name: past.left for name, past in pasts.items()})
        print(f"made {sum(len(past.finished) for past in pasts.values()):,} finished jobs", flush=True)


async def run_demo(folder: DataFolder, site: SiteSettings, running: Running, problems: Problems, stop: asyncio.Event) -> None:
    """Publish the events and samples of the site, and show the display, until ``stop``."""
    async with AsyncExitStack() as stack:
        nats = site.nats_as(OPERATOR)
        client = await dial(nats, "jobtide-demo")
        stack.push_async_callback(client.close)
        adapter = await dial(site.nats_as(ADAPTER), "jobtide-demo-adapter")
        stack.push_async_callback(adapter.close)
        engine = await stack.enter_async_context(opened(site.database, read_only=True))
        feed = Feed(adapter, nats, folder.root / STATE_FILE)
        if feed.was_continued:
            print(f"the simulated site continues with {feed.running} running jobs")
        print(f"\nthree of its running jobs:\n\n{curl_line(site, running)}\n")
        print(f"{sign_in_line(folder, running.http)}\n", flush=True)
        view = stack.enter_context(display(problems))
        collectors = feed.collectors()
        history = read_plan(folder.root / PLAN_FILE)
        for one in collectors:
            await one.catch_up(history.end if history is not None else None)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feed.run(stop))
            for one in collectors:
                tasks.create_task(one.run(stop))
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
