"""ingest on one page: intake stream -> translate -> events."""

import asyncio
from contextlib import AsyncExitStack, suppress

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from services.ingest.backlog import BacklogWatch
from services.ingest.handler import BatchHandler, IngestNumbers
from services.ingest.progress import Progress
from services.ingest.settings import Settings
from services.ingest.subscription import subscribed
from services.ingest.translate import IntakeSubjects, Translator
from shared import prometheus
from shared.backoff import Backoff, first_of, sleep_unless
from shared.broker.clusters import ClusterDirectory
from shared.broker.connection import connected
from shared.broker.cursor import log_state
from shared.broker.probe import StoreProbe
from shared.broker.publisher import Publisher
from shared.broker.reports import reporting
from shared.broker.streams import INTAKE, Durable, ensure_consumer, intake_filters
from shared.errors import Refused, Unavailable
from shared.health import Health, serve_health
from shared.loops import Loops
from shared.service import Report
from shared.standstill import Place, Standstill

log = structlog.get_logger()

STALE_S = 90.0  # longer than a batch may wait for the broker


def durable(settings: Settings) -> Durable:
    return Durable(
        stream=settings.nats.stream(INTAKE),
        name="ingest",
        subjects=tuple(intake_filters([*settings.nats.job_subjects, *settings.nats.node_subjects])),
        ack_wait_s=settings.ingest.ack_wait_s,
        max_ack_pending=settings.ingest.batch * 4,
    )


async def run(settings: Settings, stop: asyncio.Event, report: Report) -> None:
    """Run until ``stop``. Any number of replicas may run concurrently."""
    health = Health("ingest")
    numbers = IngestNumbers(health.registry)
    is_connected = prometheus.BROKER_CONNECTED.gauge(health.registry)
    turned = health.loop("intake", within_s=STALE_S)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve_health(health, settings.ingest.health))
        client = await stack.enter_async_context(connected(settings.nats, "ingest", stop, on_change=lambda up: is_connected.set(int(up))))
        clusters = ClusterDirectory(client, settings.nats)
        queue = durable(settings)
        health.check("intake", lambda: client.jetstream(timeout=2).consumer_info(queue.stream, queue.name))
        probe = StoreProbe(settings.nats, "ingest")
        health.check("store", lambda: probe.require(client))
        publisher = Publisher(client, settings.nats.prefix)
        progress = Progress(client, settings.nats, queue)
        backlog = BacklogWatch(client, queue, publisher, progress, health.registry)
        health.check("backlog", backlog.require_young)
        health.check("publish", publisher.require)
        standstill = Standstill(f"reading of {queue.stream}", lambda: _place(client, queue), lambda: None)
        health.check("unread", standstill.require)
        translator = Translator(IntakeSubjects(settings.nats), clusters, client.max_payload)
        await stack.enter_async_context(reporting(client, settings.nats, health))
        pause = Backoff(first_s=0.2, max_s=5.0)
        reported = False
        async with Loops() as loops:
            loops.create_task(clusters.keep_fresh(stop), name="clusters")
            loops.create_task(backlog.watch(stop, health.loop("backlog", within_s=STALE_S)), name="backlog")
            loops.create_task(standstill.watch(stop), name="standstill")
            while not stop.is_set():
                turned()
                try:
                    await clusters.refresh()
                    await backlog.advance()
                    stream = await _intake(client, queue, progress)
                except Unavailable as e:
                    log.warning("waiting_for_intake", why=str(e))
                    await pause.wait(stop)
                    continue
                handler = BatchHandler(client, translator, clusters, publisher, queue, stream, numbers)
                try:
                    async with subscribed(client, queue, settings.ingest.batch, handler.handle, turned) as lost:
                        pause.reset()
                        if not reported:
                            report("ingest", health=address)
                            reported = True
                        await first_of(stop, lost)
                except Unavailable as e:
                    log.warning("waiting_for_intake", why=str(e))
                    await pause.wait(stop)
                if not stop.is_set():
                    log.warning("intake_consumer_lost", consumer=queue.name)
                    await sleep_unless(stop, 0.5)
        with suppress(Unavailable, Refused):  # the next start would take what was finished since the last time for removed
            await backlog.advance()


async def _place(client: Client, queue: Durable) -> Place:
    """The last sequence delivered, and the last one to deliver. Raises Unavailable."""
    try:
        info = await client.jetstream(timeout=2).consumer_info(queue.stream, queue.name)
    except (APIError, NatsError, TimeoutError, OSError) as e:
        raise Unavailable(f"the broker does not answer for the consumer {queue.name}") from e
    delivered = (info.delivered.stream_seq or 0) if info.delivered else 0
    return Place(delivered, delivered + (info.num_pending or 0))


async def _intake(client: Client, queue: Durable, progress: Progress) -> str:
    """Create the consumer if it is missing. Returns the identity of the intake stream, which is part of message ids."""
    state = await log_state(client, queue.stream)
    try:
        done = await ensure_consumer(client.jetstream(timeout=5), queue, progress.first_unfinished)
    except (APIError, NatsError, TimeoutError, OSError) as e:
        raise Unavailable(f"cannot bind the consumer {queue.name} of {queue.stream}: {e!r}") from e
    if done:
        log.info("intake_consumer_bound", consumer=queue.name, done=done)
    return f"{queue.stream}@{state.created}"
