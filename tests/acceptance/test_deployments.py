"""The same cases against running deployments: `jobtide up` on SQLite, and the four services on PostgreSQL."""

import asyncio
from pathlib import Path

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.acceptance.cases import CASES
from tests.acceptance.deployments import SESSION_KEY, Deployment, Embedded, Services, asking
from tests.cli.sites import UpProcess
from tests.support.clusters import add_clusters_blocking
from tests.support.processes import ServiceRunner
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


async def _run_all(deployment: Deployment) -> None:
    async with asking(deployment) as asker:
        for case in CASES:
            try:
                await case(asker)
            except Exception as e:
                e.add_note(f"in the case {case.__name__}")
                raise


async def test_an_embedded_site(tmp_path: Path) -> None:
    site = UpProcess(tmp_path / "data")
    try:
        await asyncio.to_thread(site.start)
        deployment = Embedded(site)
        await asyncio.to_thread(add_clusters_blocking, deployment.nats)
        await _run_all(deployment)
        assert await asyncio.to_thread(site.interrupt) == 0
        assert "Traceback" not in site.log_text
    finally:
        site.end()


async def test_services_on_postgresql(
    site: NatsSettings, postgres_database: DatabaseSettings, archive_settings: ArchiveSettings, service: ServiceRunner
) -> None:
    stack = Stack(site, postgres_database, archive_settings, service, variables={"JOBTIDE_AUTH_SESSION_KEY": SESSION_KEY})
    await stack.up()
    await _run_all(Services(stack))
    await stack.down()
    assert all("Traceback" not in one.log_text for one in stack.services)
