"""Wiring of the archiver: stopped jobs -> metric data -> archive entries -> JobArchived."""

import asyncio
from contextlib import AsyncExitStack

import structlog

from services.archiver.advice import Adviser
from services.archiver.annotations import Annotator
from services.archiver.applications import MAX_PAUSE_S, StartedApplications
from services.archiver.dependencies import Dependencies
from services.archiver.dispatch import Dispatcher
from services.archiver.folder import ArchiveFolder
from services.archiver.footprints import RunningFootprints
from services.archiver.jobs import JobReader
from services.archiver.lost_stops import LOST_STOPS_WITHIN_S, LostStops
from services.archiver.needed_samples import WITHIN_S, NeededSamplesRecorder
from services.archiver.node_health import DEADLINE_S, NodeHealthChecks
from services.archiver.pipeline import Pipeline
from services.archiver.polling import ClusterPoller
from services.archiver.progress import ProgressWatch
from services.archiver.prometheus import ArchiverNumbers
from services.archiver.queue import WorkQueue, durable
from services.archiver.retention import Retention
from services.archiver.rules_in_use import WITHIN_S as RULES_WITHIN_S
from services.archiver.rules_in_use import RulesRecorder
from services.archiver.running_advice import RunningAdvice
from services.archiver.settings import ArchiverSettings, Settings
from services.archiver.tag_removals import TagRemovals
from shared import prometheus
from shared.archive.places import present_store, retention_store, store_with
from shared.broker.clusters import ClusterDirectory
from shared.broker.connection import connected
from shared.broker.cursor import log_state
from shared.broker.known_archives import KnownArchives
from shared.broker.needed import NeededSamples
from shared.broker.probe import StoreProbe
from shared.broker.publisher import Publisher
from shared.broker.reports import reporting
from shared.broker.rules import RecordedRules
from shared.database.engine import opened, ping
from shared.health import Health, serve_health
from shared.loops import Loops, end
from shared.metricdata import MetricSource, open_source
from shared.service import Report

log = structlog.get_logger()

SLACK_S = 30.0  # beyond its longest round, after which a poller counts as hanging


async def run(settings: Settings, stop: asyncio.Event, report: Report) -> None:
    """Run until ``stop``. Any number of replicas may run at the same time."""
    health = Health("archiver")
    numbers = ArchiverNumbers(health.registry)
    is_connected = prometheus.BROKER_CONNECTED.gauge(health.registry)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve_health(health, settings.archiver.health))
        engine = await stack.enter_async_context(opened(settings.database, read_only=True))
        client = await stack.enter_async_context(connected(settings.nats, "archiver", stop, on_change=lambda up: is_connected.set(int(up))))
        source = await stack.enter_async_context(open_source(settings.metrics))
        clusters = ClusterDirectory(client, settings.nats)
        present, target = present_store(settings.archive), retention_store(settings.archive)
        archive = store_with(present, target)
        stack.callback(archive.close)
        folder = ArchiveFolder(archive, clusters, KnownArchives(client, settings.nats))
        stack.callback(folder.close)
        await folder.open()
        consumer = durable(settings)
        queue = WorkQueue(client, consumer)
        stack.push_async_callback(queue.release)
        reader = JobReader(engine)
        progress = ProgressWatch(reader)
        publisher = Publisher(client, settings.nats.prefix)
        dependencies = Dependencies(folder, source, clusters, numbers, archive_gates=not settings.archiver.gives_up_when_full)
        annotator = Annotator(reader, archive)
        adviser = Adviser.of(settings.archiver)
        pipeline = Pipeline(settings, folder, clusters, source, publisher, annotator, dependencies, numbers, adviser)
        tag_removals = TagRemovals(
            reader,
            annotator,
            dependencies,
            publisher,
            numbers,
            ack_wait_s=settings.archiver.ack_wait_s,
            max_pause_s=settings.archiver.retry_max_s,
        )
        dispatcher = Dispatcher(
            settings,
            queue,
            reader,
            progress,
            pipeline,
            dependencies,
            tag_removals,
            numbers,
            tick=health.loop("queue", within_s=60.0),
        )
        lost_stops = LostStops(reader, publisher, lambda: log_state(client, consumer.stream))
        health.check("queue", queue.info)
        probe = StoreProbe(settings.nats, "archiver")
        health.check("store", lambda: probe.require(client))
        health.check("publish", publisher.require)
        health.check("database", lambda: ping(engine))
        for place in dependencies.archives.values():
            health.check("archive" if len(dependencies.archives) == 1 else f"archive {place.address}", place.require)
        for store in dependencies.stores.values():
            health.check("metric_store" if len(dependencies.stores) == 1 else f"metric_store {store.address}", store.require)
        await stack.enter_async_context(reporting(client, settings.nats, health))

        async with Loops() as loops:
            background = [
                loops.create_task(pipeline.run(), name="pipeline"),
                loops.create_task(tag_removals.run(), name="tag-removals"),
                loops.create_task(dependencies.keep_probing(stop), name="dependencies"),
                loops.create_task(progress.keep_reading(stop), name="progress"),
                loops.create_task(clusters.keep_fresh(stop), name="clusters"),
                loops.create_task(lost_stops.run(stop, health.loop("lost_stops", within_s=LOST_STOPS_WITHIN_S)), name="lost_stops"),
            ]
            if source is not None:
                recorder = NeededSamplesRecorder(reader, NeededSamples(client, settings.nats))
                tick = health.loop("needed_samples", within_s=WITHIN_S)
                background.append(loops.create_task(recorder.run(stop, tick), name="needed_samples"))
            in_use = RulesRecorder(adviser, RecordedRules(client, settings.nats))
            tick = health.loop("rules", within_s=RULES_WITHIN_S)
            background.append(loops.create_task(in_use.run(stop, tick), name="rules"))
            if adviser is not None:
                tick = health.loop("applications", within_s=SLACK_S + MAX_PAUSE_S)
                applications = StartedApplications(reader, adviser, publisher)
                background.append(loops.create_task(applications.run(stop, tick), name="applications"))
            if settings.archive.retention != "none":
                retention = Retention(settings.archive, present, target, reader, annotator, publisher, numbers)
                tick = health.loop("retention", within_s=retention.max_round_s)
                background.append(loops.create_task(retention.run(stop, tick), name="retention"))
            pollers = _pollers(settings.archiver, source, reader, clusters, publisher, numbers, adviser)
            if source is not None and settings.archiver.node_health_s:
                checks = NodeHealthChecks(engine, clusters, source, publisher, numbers, interval_s=settings.archiver.node_health_s)
                pollers["node_health"] = checks.poller
                tick = health.loop("new_nodes", within_s=DEADLINE_S + SLACK_S)
                background.append(loops.create_task(checks.keep_checking_new(stop, tick), name="new_nodes"))
            for name, poller in pollers.items():
                tick = health.loop(name, within_s=poller.max_round_s + SLACK_S)
                background.append(loops.create_task(poller.run(stop, tick), name=name))
            await dispatcher.run(stop, clusters, on_bound=lambda: report("archiver", health=address))
            await pipeline.drain(settings.archiver.grace_s)
            await end(background)
        await queue.release()
        await pipeline.hand_back()
        await tag_removals.hand_back()


def _pollers(
    settings: ArchiverSettings,
    source: MetricSource | None,
    reader: JobReader,
    clusters: ClusterDirectory,
    publisher: Publisher,
    numbers: ArchiverNumbers,
    adviser: Adviser | None,
) -> dict[str, ClusterPoller]:
    """Regular requests to the metric store, in addition to those for ended jobs."""
    pollers: dict[str, ClusterPoller] = {}
    if source is not None and settings.footprints_s:
        footprints = RunningFootprints(
            reader,
            clusters,
            source,
            publisher,
            numbers,
            None if adviser is None else RunningAdvice(adviser, source),
            interval_s=settings.footprints_s,
            from_s=settings.footprints_from_s,
            settling_s=settings.footprints_settling_s,
        )
        pollers["footprints"] = footprints.poller
    return pollers
