"""Jobs that shared a host, partitions, hosts in use: the database and the columns agree."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.people.identity import User
from services.gateway.reading.concurrent import CONCURRENT_COLUMNS
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.model import JobFilter, JobSelection, Order, Slice
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.reading.columns.places import loaded
from tests.gateway.rows import job_row, write
from tests.support.fixtures import any_database

database = any_database

T0 = 1_700_000_000
NOW = T0 + 100_000
ROOT = User("root", frozenset({"admin"}))


def shared_job(key: int, start: int, duration: int, *hosts: str, **columns: Any) -> dict[str, Any]:
    defaults = {
        "start_time": T0 + start,
        "duration": duration,
        "shared": "multi_user",
        "cluster_partition": None,
        "hosts": f" {' '.join(hosts)} ",
        "resources": json.dumps([{"hostname": host} for host in hosts]),
    }
    return job_row(key, **(defaults | columns))


JOBS = [
    shared_job(1, 10_000, 5000, "a", "b"),
    shared_job(2, 12_000, 5000, "c", "b"),  # on the second host only
    shared_job(3, 12_000, 5000, "c"),
    shared_job(4, 14_801, 5000, "a"),  # 199 s before the end of 1
    shared_job(5, 14_799, 5000, "a"),
    shared_job(6, 8000, 2200, "a"),  # ends 200 s after the start of 1
    shared_job(7, 8000, 2201, "a"),
    shared_job(8, 9000, 0, "b", job_state="running"),
    shared_job(9, 11_000, 3000, "a", cluster="alex"),
    shared_job(10, 11_000, 3000, "a", shared="none"),
    shared_job(11, 11_000, 600, "a", hpc_user="eva"),
    shared_job(12, 11_000, 3000, "ab", cluster_partition="long"),
    shared_job(13, 90_000, 0, "x", "y", job_state="running", cluster="alex", cluster_partition="short"),
]


@pytest.fixture(params=["database", "columns"])
async def queries(request: pytest.FixtureRequest, database: DatabaseSettings) -> AsyncIterator[JobQueries]:
    await write(database, "job", JOBS)
    async with opened(database, read_only=True) as engine:
        if request.param == "database":
            yield JobQueries(engine, 100, lambda: NOW)
            return
        async with loaded(engine) as columns:
            yield JobQueries(engine, 100, lambda: NOW, columns)


async def concurrent(queries: JobQueries, user: User = ROOT) -> dict[int, list[int]]:
    rows = (await queries.page(ROOT, [JobFilter()], Order("id", is_descending=False), Slice(), JobSelection(CONCURRENT_COLUMNS))).jobs
    found = await queries.concurrent(user, rows)
    assert all(job_id == 1000 + key for others in found.values() for key, job_id in others)
    return {key: [other for other, _ in others] for key, others in found.items()}


async def test_jobs_that_share_a_host_long_enough_are_concurrent(queries: JobQueries) -> None:
    found = await concurrent(queries)
    assert found[1] == [7, 10, 11, 2, 5, 8]  # by start, running jobs last
    assert found[2] == [1, 3, 8]
    assert found[8] == [1, 2]
    assert found[9] == []
    assert found[12] == []
    assert 10 not in found  # had its nodes exclusively
    assert 11 not in found  # too short


async def test_concurrent_jobs_are_only_those_the_viewer_may_see(queries: JobQueries) -> None:
    assert (await concurrent(queries, User("eva", frozenset({"user"}))))[1] == [11]


async def test_partitions_and_allocated_hosts_are_counted_per_cluster(queries: JobQueries) -> None:
    assert await queries.partitions() == {"alex": ["short"], "fritz": ["long"]}
    assert await queries.allocated_nodes("fritz") == {"main": 1}
    assert await queries.allocated_nodes("alex") == {"main": 2}
    assert await queries.allocated_nodes("nowhere") == {}
