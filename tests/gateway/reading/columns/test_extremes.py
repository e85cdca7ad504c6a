"""A few absurd jobs do not break the statistics of all jobs."""

import pytest

from services.gateway.metrics.hosts import HostFilter, Hosts
from services.gateway.people.identity import User
from services.gateway.reading.columns import store as store_module
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.model import JobFilter, MetricRange, Range, Slice
from services.gateway.reading.routing import ColumnsAway, Steps
from services.gateway.reading.source import Source
from services.gateway.reading.statistics import Statistics, StatisticsGroup, StatisticsQuery
from services.gateway.reading.totals import TOTALS
from shared.database.engine import opened
from shared.domain.clusters import read_cluster
from shared.domain.values import INT32_MAX, TIME_MAX
from shared.settings import DatabaseSettings
from tests.gateway.reading.columns.places import NOW, loaded
from tests.gateway.rows import every_node, job_row, write
from tests.support.fixtures import any_database

database = any_database

ROOT = User("root", frozenset({"admin"}))


async def test_a_duration_in_wrong_units_does_not_overflow_sums(database: DatabaseSettings) -> None:
    wanted = StatisticsQuery(totals=TOTALS, group_by="user")
    absurd = job_row(1, duration=TIME_MAX, num_nodes=INT32_MAX, num_hwthreads=INT32_MAX, num_acc=INT32_MAX)
    await write(database, "job", [absurd, job_row(2, duration=7200, num_nodes=2, num_hwthreads=4, hpc_user="udo", num_acc=0)])

    def question(source: Source) -> Steps[list[StatisticsGroup]]:
        return Statistics(ROOT, [], wanted, NOW).answer(source)

    async with opened(database, read_only=True) as engine, loaded(engine) as columns:
        of_columns = await columns.ask(question)  # fails where the columns cannot answer
        of_database = await JobQueries(engine, 100).statistics(ROOT, [], wanted, NOW)
    assert of_columns == of_database
    odd, plain = of_database[1].totals, of_database[0].totals
    assert (plain["total_walltime"], plain["total_node_hours"], plain["total_core_hours"]) == (2, 4, 8)
    assert odd["total_node_hours"] == odd["total_core_hours"] == odd["total_acc_hours"] == INT32_MAX * INT32_MAX // 3600


async def test_host_names_that_cannot_be_stored_match_nothing(database: DatabaseSettings) -> None:
    cluster = read_cluster(
        b'{"name": "c", "metricConfig": [{"name": "m", "unit": {}, "timestep": 60}], "subClusters": [{"name": "s", "nodes": "n[1-3]"}]}'
    )
    async with opened(database, read_only=True) as engine:
        assert (await Hosts(engine, every_node(engine)).page(HostFilter(cluster, state="id\0le"), Slice())).total == 0
        assert (await Hosts(engine, every_node(engine)).page(HostFilter(cluster, name="n\0"), Slice())).total == 0
        assert (await Hosts(engine, every_node(engine)).page(HostFilter(cluster, name="N"), Slice())).hosts == ["n1", "n2", "n3"]


async def test_the_database_answers_for_footprint_keys_without_a_column(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_FOOTPRINT_KEYS", 1)
    await write(database, "job", [job_row(key, footprint=f'{{"a_avg": {key}, "b_avg": {key}}}') for key in (1, 2, 3)])
    async with opened(database, read_only=True) as engine, loaded(engine) as columns:
        queries = JobQueries(engine, 100, columns=columns)
        counts = [await queries.count(ROOT, [JobFilter(metric_stats=(MetricRange(name, Range(2)),))]) for name in ("a_avg", "b_avg")]
        assert counts == [2, 2]

        def question(source: Source) -> Steps[bool]:
            yield from ()
            return source.footprint("b_avg") is None

        with pytest.raises(ColumnsAway):
            await columns.ask(question)
