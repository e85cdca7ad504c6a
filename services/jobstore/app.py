"""jobstore on one page: EVENTS, NODES and REJECTIONS -> rules -> rows."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from services.jobstore.appliers import appliers, nodes
from services.jobstore.housekeeping import Housekeeping
from services.jobstore.position import Positions
from services.jobstore.projection import Applier, Projection
from services.jobstore.prometheus import ProjectionNumbers
from services.jobstore.settings import Settings
from shared import prometheus
from shared.backoff import Backoff, first_of
from shared.broker.connection import connected
from shared.broker.cursor import broker_time, log_state
from shared.broker.probe import StoreProbe
from shared.broker.publisher import Publisher
from shared.broker.reports import reporting
from shared.broker.streams import EVENTS, LOGS, NODES
from shared.database.engine import opened, ping
from shared.database.schema import older_rules, require_present_rules, require_schema
from shared.database.tables import tables
from shared.errors import Unavailable
from shared.health import Health, serve_health
from shared.loops import Loops
from shared.service import Report
from shared.standstill import Standstill

log = structlog.get_logger()

STALE_S = 90.0  # longer than the database's time limit for a transaction


async def run(settings: Settings, stop: asyncio.Event, report: Report) -> None:
    """Run until ``stop``. A second replica is a standby until the first one fails. Raises LogMismatch, UserError."""
    health = Health("jobstore")
    is_connected = prometheus.BROKER_CONNECTED.gauge(health.registry)
    numbers = ProjectionNumbers(health.registry)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve_health(health, settings.jobstore.health))
        engine = await stack.enter_async_context(opened(settings.database))
        client = await stack.enter_async_context(connected(settings.nats, "jobstore", stop, on_change=lambda up: is_connected.set(int(up))))
        health.check("database", lambda: ping(engine))
        health.check("events", lambda: log_state(client, settings.nats.stream(EVENTS), timeout_s=2))
        probe = StoreProbe(settings.nats, "jobstore")
        health.check("store", lambda: probe.require(client))
        await stack.enter_async_context(reporting(client, settings.nats, health))
        pause = Backoff()
        while not stop.is_set():
            try:
                await require_schema(engine)
                if (why := await older_rules(engine)) is not None:
                    log.warning("tables_of_older_rules", why=why)
                break
            except Unavailable as e:
                log.warning("waiting_for_database", why=str(e))
                await pause.wait(stop)

        health.remark("rules", lambda: require_present_rules(engine))

        def projection(stream: str, applier: Applier) -> Projection:
            return Projection(
                stream,
                settings.nats.stream(stream),
                applier,
                Positions(tables, stream),
                client,
                engine,
                numbers,
                batch=settings.jobstore.batch,
                max_batch_bytes=nodes.MAX_BATCH_BYTES if stream == NODES else None,
                may_skip=stream != EVENTS,
            )

        publisher, events = Publisher(client, settings.nats.prefix), settings.nats.stream(EVENTS)
        health.check("publish", publisher.require)
        housekeeping = Housekeeping(settings.jobstore, engine, publisher, lambda: broker_time(client, events))
        async with Loops() as loops:
            readings = {stream: asyncio.Event() for stream in LOGS}
            for stream, applier in appliers(settings, tables).items():
                one = projection(stream, applier)
                standstill = Standstill(f"the position in {settings.nats.stream(stream)}", one.place, one.latest_failure)
                health.check(f"position {stream}", standstill.require)
                loops.create_task(standstill.watch(stop), name=f"standstill {stream}")
                loops.create_task(one.follow(stop, health.loop(stream, within_s=STALE_S), readings[stream]), name=stream)
            loops.create_task(housekeeping.run(stop, health.loop("housekeeping", within_s=2 * STALE_S)), name="housekeeping")
            loops.create_task(_report_up(report, address, stop, list(readings.values())), name="report")


async def _report_up(report: Report, address: str, stop: asyncio.Event, readings: list[asyncio.Event]) -> None:
    """Report the service as up once every stream is being read."""
    for reading in readings:
        if await first_of(stop, reading) is stop:
            return
    report("jobstore", health=address)
