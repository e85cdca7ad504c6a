"""ingest on one page: intake stream -> translate -> events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, NatsUserPassword, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from services.ingest.handler import BatchHandler, IngestNumbers, hand_back
from services.ingest.pull import PromptPull
from services.ingest.settings import Settings
from services.ingest.translate import IntakeSubjects, Translator
from shared import metrics
from shared.backoff import Backoff, first_of, sleep_unless
from shared.broker.clusters import ClusterDirectory
from shared.broker.connection import connect_options, connected
from shared.broker.cursor import log_state
from shared.broker.publisher import Publisher
from shared.broker.puller import pulling
from shared.broker.streams import INTAKE, Durable, ensure_consumer, intake_filters
from shared.errors import Unavailable
from shared.health import Health, serve_health
from shared.loops import Loops
from shared.service import Report

log = structlog.get_logger()

FIRST_FETCH_S = 0.05  # FastStream's own, before PromptPull takes over
STOP_GRACE_S = 10.0
BIND_S = 15.0
STALE_S = 90.0  # longer than one batch may wait for the broker


def durable(settings: Settings) -> Durable:
    return Durable(
        stream=settings.nats.stream(INTAKE),
        name="ingest",
        subjects=tuple(intake_filters([*settings.nats.job_subjects, *settings.nats.node_subjects])),
        ack_wait_s=settings.ingest.ack_wait_s,
        max_ack_pending=settings.ingest.batch * 4,
    )


async def run(settings: Settings, stop: asyncio.Event, report: Report) -> None:
    """Run until ``stop``. Any number of replicas may run beside each other."""
    health = Health("ingest")
    numbers = IngestNumbers(health.registry)
    is_connected = metrics.BROKER_CONNECTED.gauge(health.registry)
    turned = health.loop("intake", within_s=STALE_S)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve_health(health, settings.ingest.health))
        client = await stack.enter_async_context(connected(settings.nats, "ingest", stop, on_change=lambda up: is_connected.set(int(up))))
        clusters = ClusterDirectory(client, settings.nats)
        queue = durable(settings)
        health.check("intake", lambda: client.jetstream(timeout=2).consumer_info(queue.stream, queue.name))
        publisher = Publisher(client, settings.nats.prefix)
        translator = Translator(IntakeSubjects(settings.nats), clusters, client.max_payload)
        pause = Backoff(first_s=0.2, most_s=5.0)
        reported = False
        async with Loops() as loops:
            loops.create_task(clusters.keep_fresh(stop), name="clusters")
            while not stop.is_set():
                turned()
                try:
                    await clusters.refresh()
                    stream = await _intake(client, queue)
                except Unavailable as e:
                    log.warning("waiting_for_intake", why=str(e))
                    await pause.wait(stop)
                    continue
                handler = BatchHandler(translator, clusters, publisher, stream, numbers)
                try:
                    async with _consuming(settings, client, queue, handler, health) as lost:
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


async def _intake(client: Client, queue: Durable) -> str:
    """Make sure that the durable exists; returns the identity of the intake stream for message ids."""
    state = await log_state(client, queue.stream)
    try:
        done = await ensure_consumer(client.jetstream(timeout=5), queue)
    except (APIError, NatsError, TimeoutError, OSError) as e:
        raise Unavailable(f"cannot bind the consumer {queue.name} of {queue.stream}: {e!r}") from e
    if done:
        log.info("intake_consumer_bound", consumer=queue.name, done=done)
    return f"{queue.stream}@{state.created}"


@asynccontextmanager
async def _consuming(
    settings: Settings, client: Client, queue: Durable, handler: BatchHandler, health: Health
) -> AsyncIterator[asyncio.Event]:
    """FastStream's batch subscriber at work; yields the event that is set when its consumer was lost."""
    lost = asyncio.Event()
    in_hand: list[Msg] = []
    turned = health.loop("intake", within_s=STALE_S)

    async def raw_messages(message: StreamMessage[list[Msg]]) -> list[Msg]:
        return message.raw_message

    options = connect_options(settings.nats, "ingest-intake")
    # FastStream refuses nats-py's own names for these two.
    security = NatsUserPassword(options.pop("user"), options.pop("password")) if "user" in options else None
    broker = NatsBroker(
        **options,
        security=security,
        apply_types=False,
        ack_policy=AckPolicy.MANUAL,
        graceful_timeout=STOP_GRACE_S,
        logger=None,
    )
    subscriber = broker.subscriber(
        queue.subjects[0],
        durable=queue.name,
        stream=JStream(queue.stream, declare=False),
        pull_sub=PullSub(batch_size=settings.ingest.batch, timeout=FIRST_FETCH_S, batch=True),
        decoder=raw_messages,
        ack_policy=AckPolicy.MANUAL,
    )

    @subscriber
    async def handle(batch: list[Msg]) -> None:
        turned()
        await handler.handle(batch)
        in_hand.clear()

    async with AsyncExitStack() as stack:
        stack.push_async_callback(_quietly, broker.stop)
        try:
            await asyncio.wait_for(broker.start(), BIND_S)
            await ensure_consumer(client.jetstream(timeout=5), queue)  # had it gone meanwhile, FastStream made one of its own
        except (NatsError, APIError, TimeoutError, OSError) as e:
            raise Unavailable(f"the intake cannot be bound: {e!r}") from e
        if subscriber.subscription is not None:
            stack.push_async_callback(_quietly, subscriber.subscription.unsubscribe)
        puller = await stack.enter_async_context(pulling(client, queue.stream, queue.name))
        subscriber.subscription = PromptPull(puller, in_hand=in_hand, on_turn=turned, on_lost=lost.set)  # type: ignore[assignment]
        stack.push_async_callback(hand_back, in_hand)
        stack.push_async_callback(_quietly, subscriber.stop)  # first of all: takes no more, lets the handler finish
        yield lost


async def _quietly(close: Callable[[], Awaitable[object]]) -> None:
    try:
        await asyncio.wait_for(close(), STOP_GRACE_S)
    except (NatsError, TimeoutError, OSError) as e:
        log.warning("intake_not_closed", error=repr(e))
