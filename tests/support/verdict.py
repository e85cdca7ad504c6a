"""Has every accepted event had its one effect? Asked of the broker and the database only."""

from collections import Counter

import nats
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from shared.broker.streams import EVENTS, INTAKE, NODES
from shared.errors import Unavailable
from shared.settings import DatabaseSettings, NatsSettings
from tests.support.databases import query
from tests.support.waiting import until
from tests.support.workload import Workload


async def settled(settings: NatsSettings, database: DatabaseSettings, deadline_s: float = 60.0) -> None:
    """Wait until ingest has nothing left and jobstore stands at the end of both streams."""
    client = await nats.connect(settings.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    js = client.jetstream(timeout=3)

    async def is_settled() -> bool:
        try:
            queue = await js.consumer_info(settings.stream(INTAKE), "ingest")
            if queue.num_pending or queue.num_ack_pending:
                return False
            for name in (EVENTS, NODES):
                last = (await js.stream_info(settings.stream(name))).state.last_seq
                if last and await query(database, "SELECT sequence FROM position WHERE stream = :name", name=name) != [(last,)]:
                    return False
        except (NatsError, APIError, OSError, TimeoutError, Unavailable):
            return False
        return True

    try:
        await until(is_settled, deadline_s, "everything published is in the database")
    finally:
        await client.close()


async def assert_one_effect_each(plan: Workload, database: DatabaseSettings, *, copies: int = 1) -> None:
    """``copies``: how often every message was published as a message of its own."""
    rows = await query(database, "SELECT job_id, cluster, start_time, subcluster, hpc_user, job_state, duration FROM job")
    assert len(rows) == len(set(rows)), "a job has two rows"
    missing, extra = plan.jobs - set(rows), set(rows) - plan.jobs
    assert not missing, f"{len(missing)} of {len(plan.jobs)} jobs are not as they should be: {sorted(missing)[:3]} are {sorted(extra)[:3]}"
    assert not extra, f"{len(extra)} rows nobody asked for: {sorted(extra)[:3]}"
    assert await query(database, "SELECT * FROM parked_stop") == []
    await _assert_rejections(plan, database, copies)
    states = {(row[0], row[1]): row[2] for row in await query(database, "SELECT cluster, hostname, node_state FROM node")}
    assert states == plan.nodes


async def _assert_rejections(plan: Workload, database: DatabaseSettings, copies: int) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for code, excerpt in await query(database, "SELECT code, excerpt FROM rejection"):
        at = excerpt.find("marker")
        assert at >= 0, f"a rejection nobody asked for: {code}: {excerpt[:200]}"
        found[code, excerpt[at : excerpt.index(".", at) + 1]] += 1
    expected = Counter({key: count * copies for key, count in plan.rejections.items()})
    assert found == expected, f"missing {expected - found}, too many {found - expected}"
