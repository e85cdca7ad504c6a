"""gateway on one page: database and broker -> routes -> HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.call import GATEWAY, Gateway
from services.gateway.frame.layers import Cors, GatewayNumbers, Layers
from services.gateway.frame.loop_lag import LoopLag
from services.gateway.frame.pages import swagger
from services.gateway.frame.pages.built import read_built
from services.gateway.frame.pages.errors import ErrorPages
from services.gateway.frame.routes import add_routes
from services.gateway.frame.settings import GatewaySettings
from services.gateway.graphql import transport
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.live.wiring import Live, make_live
from services.gateway.metrics.archived import ArchiveReader
from services.gateway.metrics.hosts import Hosts
from services.gateway.metrics.wall import Walls
from services.gateway.metrics.wiring import MetricServices, metric_services
from services.gateway.people.auth.attempts import StoredBuckets
from services.gateway.people.auth.wiring import Auth, PeopleTables, make_auth
from services.gateway.people.users.store import SettingsLimits, UserStore
from services.gateway.people.users.tokens import TokenStore
from services.gateway.reading.columns import ColumnNumbers, Columns
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.nodes import NodeQueries
from services.gateway.reading.roster import Roster
from services.gateway.rest import GROUPS
from services.gateway.rest.description import served_document
from services.gateway.settings import Settings
from services.gateway.web import DIST
from services.gateway.web import pages as web_pages
from services.gateway.writing.commands import Commands
from services.gateway.writing.link import BrokerLink
from services.gateway.writing.tagging import Tagging, TagLimits
from shared import prometheus
from shared.archive.places import store_of
from shared.broker.streams import EVENTS
from shared.database.engine import opened, ping
from shared.database.schema import require_schema
from shared.errors import Unavailable
from shared.health import Health
from shared.http.server import listening
from shared.service import Report
from shared.settings import setting_name

USER_CONNECTIONS = 2  # that write users, sessions and texts


async def run(settings: Settings, stop: asyncio.Event, report: Report, *, clock: Callable[[], float] = time.time) -> None:
    """Serve until ``stop``. Reads need the database only; writes answer 503 while the broker is away. Any number of replicas."""
    health = Health("gateway")
    is_connected = prometheus.BROKER_CONNECTED.gauge(health.registry)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(opened(settings.database, read_only=True))
        with suppress(Unavailable):  # away is no reason not to start
            await require_schema(engine)
        writing = await stack.enter_async_context(opened(settings.database, durable=True, connections=USER_CONNECTIONS))
        limits = SettingsLimits(settings.gateway.max_settings, settings.gateway.max_settings_characters)
        users = UserStore(engine, writing, limits)
        tables = PeopleTables(users, TokenStore(engine, writing), StoredBuckets(writing))
        auth = make_auth(stack, settings.gateway, settings.auth, settings.ldap, settings.oidc, tables, clock)
        link = BrokerLink(settings.nats, lambda up: is_connected.set(int(up)), health)
        health.check("database", schema_check(engine))
        health.check("broker", lambda: link.client.jetstream(timeout=2).stream_info(settings.nats.stream(EVENTS)))
        health.check("store", link.require_store)
        live = make_live(settings.gateway, engine, health.registry)
        roster = Roster(engine, lambda: link.clusters, clock, unknown_after_s=settings.gateway.node_unknown_after_s)
        store = store_of(settings.archive)
        stack.callback(store.close)
        archive = ArchiveReader(store, settings.series.readers)
        stack.callback(archive.close)
        data = await stack.enter_async_context(
            metric_services(settings.metrics, settings.series, Hosts(engine, roster), archive, lambda: link.clusters, clock)
        )
        columns = make_columns(settings, engine, health)
        jobs = JobQueries(engine, settings.gateway.chunk_rows, clock, columns, settings.nats.first_job_id)
        commands = Commands(link, engine, settings.gateway.outcome_timeout_s, health.registry)
        nodes = NodeQueries(engine, roster)
        walls = Walls(jobs, nodes, data.nodes, lambda: link.clusters, clock)
        stack.push_async_callback(walls.close)
        gateway = make_gateway(settings, engine, link, commands, users, auth, live, archive, data, walls, jobs, nodes, clock)
        app = application(settings.gateway, settings.graphql, gateway, health)
        async with asyncio.TaskGroup() as tasks:
            served = asyncio.Event()  # the broker is kept until the last request has its answer
            tasks.create_task(link.keep(served), name="broker")
            if auth.directory_sync is not None:
                tasks.create_task(auth.directory_sync.keep(served), name="directory-sync")
            tasks.create_task(live.run(stop), name="changes")
            if columns is not None:
                tasks.create_task(columns.run(served), name="columns")
            tasks.create_task(LoopLag(health.registry).watch(served), name="loop lag")
            try:
                own = settings.gateway
                async with listening(app, own.http, setting_name("gateway", "http"), health.http, own.http_limits) as address:
                    report("gateway", http=address, health=address)
                    await stop.wait()
            finally:
                served.set()


def schema_check(engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
    """A check that the database answers and has our schema; the schema is looked at until it was right once."""
    is_right = False

    async def check() -> None:
        nonlocal is_right
        if is_right:
            await ping(engine)
            return
        await require_schema(engine)
        is_right = True

    return check


def make_columns(settings: Settings, engine: AsyncEngine, health: Health) -> Columns | None:
    gateway = settings.gateway
    if not gateway.columns:
        return None
    return Columns(
        engine,
        ColumnNumbers(health.registry),
        memory_mb=gateway.columns_memory_mb,
        threads=gateway.columns_threads,
        timeout_s=settings.database.timeout_s,
    )


def make_gateway(
    settings: Settings,
    engine: AsyncEngine,
    link: BrokerLink,
    commands: Commands,
    users: UserStore,
    auth: Auth,
    live: Live,
    archive: ArchiveReader,
    data: MetricServices,
    walls: Walls,
    jobs: JobQueries,
    nodes: NodeQueries,
    clock: Callable[[], float],
) -> Gateway:
    gateway = settings.gateway
    return Gateway(
        settings=gateway,
        engine=engine,
        jobs=jobs,
        nodes=nodes,
        archive=archive,
        metrics=data,
        walls=walls,
        link=link,
        commands=commands,
        tagging=Tagging(commands, engine, TagLimits(gateway.max_private_tags, gateway.max_tag_changes), clock),
        users=users,
        auth=auth,
        live=live,
        pages=read_built(DIST, gateway.base_path) if gateway.pages else None,
        has_playground=settings.graphql.playground,
        clock=clock,
    )


def application(settings: GatewaySettings, graphql: GraphqlSettings, gateway: Gateway, health: Health) -> web.Application:
    app = web.Application(client_max_size=settings.max_body_bytes)
    app[GATEWAY] = gateway
    Layers(
        Cors(settings.cors_origins),
        GatewayNumbers(health.registry),
        settings.request_timeout_s,
        ErrorPages(lambda: gateway.look).shown,
        gateway.auth.guards.delete_invalid_cookie,
    ).install(app)
    add_routes(app, GROUPS, gateway.call)
    transport.add_to(app, graphql)
    swagger.add_to(app, lambda: served_document(settings.base_path))
    web_pages.add_to(app, gateway.pages)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", health.metrics)
    return app
