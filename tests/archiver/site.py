"""A running archiver and the rows that jobstore would have written."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import update

from services.archiver.app import run
from services.archiver.settings import ArchiverSettings, Settings
from shared.broker.cursor import log_state
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import opened
from shared.database.tables import tables
from shared.domain.events import Event
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.builders import START_TIME, job_stopped
from tests.support.in_process import running_in_process
from tests.support.nats import client_of

QUICK = ArchiverSettings(
    health="127.0.0.1:0", advice=False, retry_first_s=0.05, retry_max_s=0.2, tries=3, ack_wait_s=5, grace_s=2, footprints_s=0
)


def job_row(id_: int, *, job_id: int = 1, hosts: Sequence[str] = ("f0101",), **columns: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "job_id": job_id,
        "cluster": "fritz",
        "subcluster": "main",
        "submit_time": START_TIME - 60,
        "start_time": START_TIME,
        "hpc_user": "alice",
        "project": "physics",
        "cluster_partition": "main",
        "array_job_id": 0,
        "duration": 3600,
        "walltime": 86_400,
        "job_state": "completed",
        "meta_data": None,
        "resources": orjson.dumps([{"hostname": host} for host in hosts]).decode(),
        "num_nodes": len(hosts),
        "num_hwthreads": 0,
        "num_acc": 0,
        "smt": 0,
        "shared": "none",
        "monitoring_status": 1,
        "energy": 0.0,
        "energy_footprint": None,
        "footprint": None,
        "statistics": None,
        "requested_memory": 0,
        "stop_seq": None,
        "changed_seq": 0,
        "is_overdue": 0,
    } | columns


@dataclass
class Site:
    """The broker's streams, the database and the archive of one test."""

    nats: NatsSettings
    database: DatabaseSettings
    archive: ArchiveSettings
    metrics: MetricsSettings = field(default_factory=lambda: MetricsSettings(kind="none"))
    archiver: ArchiverSettings = QUICK

    @property
    def settings(self) -> Settings:
        return Settings(self.nats, self.database, self.archive, self.metrics, self.archiver)

    def with_settings(self, **changes: Any) -> "Site":
        return replace(self, **changes)

    async def publish(self, *events: Event) -> list[int]:
        """Publish events to the log; returns their sequences."""
        async with client_of(self.nats) as client:
            publisher = Publisher(client, self.nats.prefix)
            now = datetime.now(UTC)
            return await publisher.publish(
                [Envelope(event, f"test:{id(event)}:{n}:{now.timestamp()}", "test", now) for n, event in enumerate(events)]
            )

    async def store(self, *rows: dict[str, Any], position: int) -> None:
        """Insert jobs, and set the position of jobstore."""
        async with client_of(self.nats) as client:
            created = (await log_state(client, self.nats.stream("EVENTS"))).created
        async with opened(self.database) as engine, engine.begin() as connection:
            for row in rows:
                await connection.execute(tables.job.insert(), row)
            await connection.execute(tables.position.delete())
            await connection.execute(
                tables.position.insert(), {"stream": "EVENTS", "sequence": position, "stream_created": created, "event_time": 0.0}
            )

    async def change(self, id_: int, **columns: Any) -> None:
        async with opened(self.database) as engine, engine.begin() as connection:
            await connection.execute(update(tables.job).where(tables.job.c.id == id_).values(**columns))

    async def stopped_job(self, job_id: int = 1, **columns: Any) -> dict[str, Any]:
        """A job whose stop is in the log and in the database; returns its row."""
        (sequence,) = await self.publish(job_stopped(job_id))
        row = job_row(1_000_000 + sequence, job_id=job_id, **{"stop_seq": sequence, **columns})
        await self.store(row, position=sequence)
        return row

    async def events(self, name: str) -> list[dict[str, Any]]:
        """The bodies of all events of one name in the log."""
        async with client_of(self.nats) as client:
            js = client.jetstream(timeout=20)
            stream = self.nats.stream("EVENTS")
            state = await log_state(client, stream)
            found = []
            for sequence in range(max(1, state.first_sequence), state.last_sequence + 1):
                message = await js.get_msg(stream, sequence)
                if message.subject is not None and message.subject.startswith(f"{self.nats.prefix}.{name}."):
                    found.append(orjson.loads(message.data or b"{}"))
            return found

    async def unfinished(self) -> int:
        """Messages of the archive queue that are not acknowledged."""
        async with client_of(self.nats) as client:
            info = await client.jetstream(timeout=20).consumer_info(self.nats.stream("EVENTS"), "archiver")
            return (info.num_pending or 0) + (info.num_ack_pending or 0)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[dict[str, str]]:
    """An archiver in this process; yields its addresses once it is up, and stops it at the end."""
    async with running_in_process(lambda stop, report: run(site.settings, stop, report)) as addresses:
        yield addresses
