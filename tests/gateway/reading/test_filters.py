"""Bounds of filters, within which each engine accepts the statement."""

import pytest

from services.gateway.errors import RequestError
from services.gateway.people.identity import User
from services.gateway.reading.filters import MAX_FILTERS, MAX_VALUES, MAX_VALUES_TOGETHER
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.model import JobFilter, MetricRange, Range, TextMatch
from services.gateway.reading.nodes import NodeFilter, NodeQueries
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.rows import every_node, job_row, write
from tests.support.fixtures import any_database

database = any_database

ROOT = User("root", frozenset({"admin"}))
NUMBERS = tuple(range(MAX_VALUES))
NAMES = tuple(map(str, NUMBERS))


async def test_filters_accept_values_up_to_the_limit(database: DatabaseSettings) -> None:
    await write(database, "job", [job_row(1)])
    async with opened(database, read_only=True) as engine:
        most = [JobFilter(ids=NUMBERS), JobFilter(project=TextMatch("in", (*NAMES[1:], "phys-a")))]
        assert len(NUMBERS) + len(NAMES) == MAX_VALUES_TOGETHER
        assert await JobQueries(engine, 100).count(ROOT, most + [JobFilter(duration=Range(1, 99))] * (MAX_FILTERS - 2)) == 1
        assert await NodeQueries(engine, every_node(engine)).count([NodeFilter(hostname=TextMatch("in", NAMES))], "node") == []


@pytest.mark.parametrize(
    "where",
    [
        [JobFilter()] * (MAX_FILTERS + 1),
        [JobFilter(ids=(*NUMBERS, 1))],
        [JobFilter(ids=NUMBERS), JobFilter(tags=NUMBERS), JobFilter(ids=(1,))],
        [JobFilter(metric_stats=(MetricRange("mem_used_max", Range(1, 2)),) * (MAX_VALUES_TOGETHER // 3 + 1))],
    ],
    ids=["filters", "one list", "all lists", "metrics"],
)
async def test_filters_refuse_values_above_the_limit(sqlite_database: DatabaseSettings, where: list[JobFilter]) -> None:
    async with opened(sqlite_database, read_only=True) as engine:
        with pytest.raises(RequestError, match="more than") as caught:
            await JobQueries(engine, 100).count(ROOT, where)
        assert caught.value.status == 400


async def test_node_filters_have_the_same_limits(sqlite_database: DatabaseSettings) -> None:
    names = TextMatch("in", NAMES)
    async with opened(sqlite_database, read_only=True) as engine:
        queries = NodeQueries(engine, every_node(engine))
        for where in ([NodeFilter(hostname=names, cluster=names, subcluster=names)], [NodeFilter()] * (MAX_FILTERS + 1)):
            for answer in (queries.all(where), queries.count(where, "health"), queries.history(where, "node")):
                with pytest.raises(RequestError, match="more than"):
                    await answer
