"""The metric store on one page: METRICS -> blocks of samples -> the query API."""

import asyncio
import time
from contextlib import AsyncExitStack

import structlog

from services.metricstore.api import Api
from services.metricstore.folder import Folder
from services.metricstore.intake import Intake, Sources
from services.metricstore.lines import Decoder
from services.metricstore.prometheus import MetricStoreNumbers
from services.metricstore.saving import Saver
from services.metricstore.settings import Settings
from services.metricstore.store import Store
from services.metricstore.tokens import TokenCheck
from shared import prometheus
from shared.backoff import Backoff, first_of, sleep_unless
from shared.broker.clusters import REFRESH_S, ClusterDirectory
from shared.broker.connection import connected
from shared.broker.cursor import log_state
from shared.broker.needed import NeededSamples
from shared.broker.publisher import Publisher
from shared.broker.reports import reporting
from shared.broker.streams import METRICS, free_subject, write_subject
from shared.errors import Unavailable
from shared.health import Health, serve_health
from shared.http.limits import HttpLimits
from shared.http.server import listening
from shared.loops import Loops
from shared.service import Report
from shared.settings import setting_name
from shared.standstill import Standstill

log = structlog.get_logger()

MIB = 1024 * 1024
STALE_S = 60.0
NEEDED_S = 60.0  # between two looks at what jobs need; the archiver records it every 5 minutes
NEEDED_UNKNOWN_S = 3600.0


async def run(settings: Settings, stop: asyncio.Event, report: Report) -> None:
    """Run until ``stop``."""
    own = settings.metricstore
    health = Health("metricstore")
    numbers = MetricStoreNumbers(health.registry)
    is_connected = prometheus.BROKER_CONNECTED.gauge(health.registry)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve_health(health, own.health))
        client = await stack.enter_async_context(
            connected(settings.nats, "metricstore", stop, on_change=lambda up: is_connected.set(int(up)))
        )
        clusters = ClusterDirectory(client, settings.nats)
        folder = Folder(own.path)
        stack.enter_context(folder.opened())
        store = Store(
            folder,
            memory_s=int(own.memory_hours * 3600),
            retention_s=int(own.retention_days * 86_400),
            max_retention_s=int(own.max_retention_days * 86_400),
            max_ahead_s=own.max_ahead_s,
            max_series=own.max_series,
        )
        saver = Saver(store, numbers, lambda: intake.applied, save_s=own.save_s, max_bytes=int(own.max_gib * 1024 * MIB))
        decoder = Decoder(store.catalogue, clusters=own.clusters)
        stream = settings.nats.stream(METRICS)
        intake = Intake(client, settings.nats, store, saver, decoder, Sources(settings.nats, own.subject_clusters), numbers, own.batch)
        publisher = Publisher(client, settings.nats.prefix)
        api = Api(
            store,
            decoder,
            intake,
            publisher,
            TokenCheck(own.jwt_public_key),
            numbers,
            write_subject=write_subject(settings.nats),
            free_subject=free_subject(settings.nats),
            max_samples=own.max_samples,
        )
        health.check("metrics", lambda: log_state(client, stream, timeout_s=2))
        health.check("publish", publisher.require)
        health.check("files", saver.require)
        standstill = Standstill(f"the position in {stream}", intake.place, intake.latest_failure)
        health.check(f"position {METRICS}", standstill.require)
        await stack.enter_async_context(reporting(client, settings.nats, health))
        await _first_clusters(clusters, stop)
        _configure(store, decoder, clusters)
        http = await stack.enter_async_context(
            listening(api.application(own.max_body_mb * MIB), own.http, setting_name("metricstore", "http"), health.http, HttpLimits())
        )
        async with Loops() as loops:
            reading = asyncio.Event()
            loops.create_task(_follow(clusters, store, decoder, stop), name="clusters")
            loops.create_task(_follow_needed(NeededSamples(client, settings.nats), store, stop), name="needed_samples")
            loops.create_task(saver.run(stop, health.loop("saving", within_s=STALE_S)), name="saving")
            loops.create_task(standstill.watch(stop), name="standstill")
            loops.create_task(intake.run(stop, health.loop("intake", within_s=STALE_S), reading), name="intake")
            if await first_of(stop, reading) is reading:
                report("metricstore", health=address, http=http)


async def _first_clusters(clusters: ClusterDirectory, stop: asyncio.Event) -> None:
    """Lines that came before their cluster was known would be refused, so the clusters are read first."""
    pause = Backoff()
    while not stop.is_set():
        try:
            await clusters.refresh()
            return
        except Unavailable as e:
            log.warning("waiting_for_clusters", why=str(e))
            await pause.wait(stop)


def _configure(store: Store, decoder: Decoder, clusters: ClusterDirectory) -> None:
    store.configure({name: cluster for name, cluster in clusters.items() if decoder.is_stored_here(name)})
    decoder.forget()


async def _follow(clusters: ClusterDirectory, store: Store, decoder: Decoder, stop: asyncio.Event) -> None:
    """Use changed definitions from the next message on."""
    while not await sleep_unless(stop, REFRESH_S):
        try:
            if await clusters.refresh():
                _configure(store, decoder, clusters)
        except Unavailable as e:
            log.debug("clusters_not_read", why=str(e))


async def _follow_needed(needed: NeededSamples, store: Store, stop: asyncio.Event) -> None:
    """Nothing is removed until the first answer; without any for ``NEEDED_UNKNOWN_S`` the retention alone counts."""
    pause = Backoff(first_s=1.0, max_s=NEEDED_S)
    started = time.monotonic()
    while not stop.is_set():
        try:
            store.needed_since = await needed.read()
            pause.reset()
            await sleep_unless(stop, NEEDED_S)
        except Unavailable as e:
            log.warning("needed_samples_unknown", why=str(e))
            if store.needed_since is None and time.monotonic() - started > NEEDED_UNKNOWN_S:
                store.needed_since = {}
            await pause.wait(stop)
