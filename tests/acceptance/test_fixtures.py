"""The fixtures that other tests rely on."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.broker.cursor import log_state
from shared.settings import DatabaseSettings, NatsSettings
from tests.support.builders import node_line, start_line, stop_line
from tests.support.clusters import sample_clusters
from tests.support.databases import dump, query
from tests.support.nats import NatsServer, client_of, publish
from tests.support.postgres import PostgresServer
from tests.support.processes import REPOSITORY, ServiceRunner
from tests.support.waiting import until


async def test_each_test_has_a_fresh_migrated_database(database: DatabaseSettings) -> None:
    tables = await dump(database)
    assert tables["job"] == []
    assert set(tables) >= {"job", "tag", "jobtag", "node", "node_state", "parked_stop", "rejection", "position"}


async def test_the_intake_stream_captures_plain_publishes(site: NatsSettings, nats_client: Client) -> None:
    await publish(site, start_line(1), stop_line(1))
    await publish(site, node_line(), subject=site.node_subjects[0])

    async def stored() -> bool:
        return (await log_state(nats_client, site.stream("INTAKE"))).last_sequence == 3

    await until(stored)


async def test_a_restarted_broker_has_its_streams(private_nats: NatsServer, private_site: NatsSettings) -> None:
    async with client_of(private_site) as client:  # wait until it is stored: a plain publish is not acknowledged
        await client.jetstream(timeout=30).publish(private_site.job_subjects[0], start_line(1))
    private_nats.kill()
    with pytest.raises((NatsError, OSError)):
        await publish(private_site, start_line(2))
    private_nats.restart()
    async with client_of(private_site) as client:
        assert (await log_state(client, private_site.stream("INTAKE"))).last_sequence == 1


async def test_a_restarted_postgres_has_its_data(private_postgres: PostgresServer) -> None:
    settings = DatabaseSettings.model_validate({"url": private_postgres.url})
    assert await query(settings, "SELECT 1") == [(1,)]
    private_postgres.stop()
    private_postgres.start()
    assert await query(settings, "SELECT 1") == [(1,)]


async def test_services_run_as_processes(service: ServiceRunner, site: NatsSettings) -> None:
    ingest = await service.start("ingest", site)
    assert ingest.addresses["health"].startswith("127.0.0.1:")
    ingest.kill9()
    await ingest.restart()
    assert await ingest.terminate() == 0


def test_builders_name_nodes_of_the_sample_clusters() -> None:
    assert sorted(sample_clusters()) == ["alex", "emmy", "fritz", "slurmlab"]


async def test_waiting_ends_at_its_deadline() -> None:
    with pytest.raises(AssertionError, match="never true"):
        await until(lambda: False, 0.05, "never true")


def _run_pytest(folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.support.fixtures"]\n')
    (folder / "test_inner.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", str(folder)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_an_unobserved_failure_of_a_task_fails_its_test(tmp_path: Path) -> None:
    done = _run_pytest(
        tmp_path,
        "import asyncio\n"
        "async def boom():\n    raise RuntimeError('lost')\n"
        "async def test_one():\n    task = asyncio.create_task(boom())\n    await asyncio.sleep(0)\n    await asyncio.sleep(0)\n",
    )
    assert done.returncode == 1
    assert "RuntimeError('lost')" in done.stdout


def test_a_missing_container_engine_fails_the_run_with_one_line(tmp_path: Path) -> None:
    done = _run_pytest(tmp_path, "def test_one():\n    pass\n", JOBTIDE_TEST_DOCKER="1", DOCKER_HOST=f"unix://{tmp_path}/nowhere.sock")
    assert done.returncode == 4
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert line.startswith("ERROR: JOBTIDE_TEST_DOCKER is set")


async def test_running_servers_are_used_by_their_address(tmp_path: Path, private_nats: NatsServer) -> None:
    text = f"def test_one(nats_server, nats_settings):\n    assert nats_server.url == {private_nats.url!r} == nats_settings.url\n"
    done = await asyncio.to_thread(_run_pytest, tmp_path, text, JOBTIDE_TEST_NATS_URL=private_nats.url)
    assert done.returncode == 0, done.stdout + done.stderr
