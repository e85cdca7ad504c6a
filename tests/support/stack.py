"""All services as processes on one broker and one database."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.processes import ServiceProcess, ServiceRunner
from tests.support.tokens import PUBLIC_KEY
from tests.support.verdict import (
    RULES,
    archived,
    assert_archive_is_complete,
    assert_one_effect_each,
    assert_rebuild_changes_nothing,
    has_unapplied,
    settled,
)
from tests.support.workload import Workload

ALL = ("ingest", "jobstore", "archiver", "gateway")
# Small batches give more points of failure, short waits reveal failures soon.
QUICK = {
    "JOBTIDE_INGEST_ACK_WAIT_S": "5",
    "JOBTIDE_INGEST_BATCH": "50",
    "JOBTIDE_JOBSTORE_BATCH": "50",
    "JOBTIDE_JOBSTORE_SUPERSEDED_AFTER_S": str(RULES.superseded_after_s),
    "JOBTIDE_ARCHIVER_ACK_WAIT_S": "5",
    "JOBTIDE_ARCHIVER_RETRY_FIRST_S": "0.1",
    "JOBTIDE_ARCHIVER_RETRY_MAX_S": "1",
    "JOBTIDE_ARCHIVER_TRIES": "1000",
    "JOBTIDE_GATEWAY_JWT_PUBLIC_KEY": PUBLIC_KEY,
}


@dataclass(slots=True)
class Stack:
    """``services`` in the order of ``names``; a repeated name gives two replicas."""

    nats: NatsSettings
    database: DatabaseSettings
    archive: ArchiveSettings
    runner: ServiceRunner
    names: Sequence[str] = ALL
    variables: dict[str, str] = field(default_factory=dict)
    services: list[ServiceProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        variables = QUICK | self.variables
        self.services = [self.runner.prepare(name, self.nats, self.database, self.archive, **variables) for name in self.names]

    def __getitem__(self, name: str) -> ServiceProcess:
        """The first replica of a service."""
        return next(service for service in self.services if service.name == name)

    def launch(self) -> None:
        for service in self.services:
            service.launch()

    async def up(self) -> None:
        """Start the services that are not running, and wait until all are up."""
        for service in self.services:
            if not service.is_running:
                service.launch()
        for service in self.services:
            await service.up()

    async def down(self) -> None:
        """Terminate all services."""
        for service in self.services:
            assert service.is_running, f"{service.name} ended with {service.exit_code}:\n{service.log_text[-2000:]}"
            code = await service.terminate()
            assert code == 0, f"{service.name} ended with {code}:\n{service.log_text[-2000:]}"

    async def verify(self, plan: Workload, *, copies: int = 1, deadline_s: float = 60.0) -> None:
        """Check that every accepted event had exactly one effect, every finished job is archived, and a rebuild changes nothing."""
        await settled(self.nats, self.database, deadline_s)
        if "archiver" in self.names:
            for _ in range(2):  # a job may still be requested to be archived again
                await archived(self.database, deadline_s)
                await settled(self.nats, self.database, deadline_s)
        await assert_one_effect_each(plan, self.database, copies=copies)
        if "archiver" in self.names:
            assert_archive_is_complete(plan, self.archive)
        await self.down()
        while await has_unapplied(self.nats, self.database):  # jobstore published after the last look, and ended before it applied that
            jobstore = self["jobstore"]
            jobstore.launch()
            await jobstore.up()
            await settled(self.nats, self.database, deadline_s)
            assert await jobstore.terminate() == 0
        await assert_rebuild_changes_nothing(self.nats, self.database)
