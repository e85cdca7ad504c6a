"""The queries of the benchmark get correct answers on both engines."""

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bench.dashboard.client import Client
from bench.dashboard.measure import wrong_answer, wrong_row
from bench.dashboard.oracle import read_oracle
from bench.dashboard.queries import LISTS, QUERIES
from bench.history.clusters import CLUSTERS
from bench.history.jobs import History
from bench.history.seed import seed_history
from shared.broker.clusters import add_cluster
from shared.broker.streams import provision
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.stack import gateway, token
from tests.support.nats import client_of


@pytest.fixture
def history() -> History:
    return History(finished=1500, running=60, end=int(time.time()))


@pytest.fixture
async def client(
    history: History, database: DatabaseSettings, nats_settings: NatsSettings, archive_settings: ArchiveSettings
) -> AsyncIterator[Client]:
    await seed_history(database, history, "a stream")
    async with client_of(nats_settings) as broker:
        await provision(broker, nats_settings)
        for plan in CLUSTERS:
            await add_cluster(broker, nats_settings, plan.text())
    async with (
        gateway(nats_settings, database, archive_settings) as served,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token('admin', 'api', user='bench')}"}) as session,
    ):
        yield Client(session, f"http://{served.address}")


async def test_every_query_has_the_answer_of_the_oracle(client: Client, history: History, database: DatabaseSettings) -> None:
    oracle = await read_oracle(database)
    wrong = [await wrong_answer(client, query, history, oracle, answers=3) for query in QUERIES]
    wrong += [await wrong_row(client, query, history, database) for query in LISTS]
    assert [one for one in wrong if one is not None] == []


async def test_a_wrong_answer_is_detected(client: Client, history: History, database: DatabaseSettings) -> None:
    """Here the oracle is wrong: it does not know the last job."""
    oracle = await read_oracle(database, most=history.last_sequence - 1)
    by_start = LISTS[0]
    assert "ids" in (await wrong_answer(client, by_start, history, oracle, answers=1) or "")
