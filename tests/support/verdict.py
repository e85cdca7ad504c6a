"""Checks that every accepted event had exactly one effect, using only the broker and the database."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from services.jobstore.rebuild import rebuild
from services.jobstore.settings import JobstoreSettings
from services.jobstore.settings import Settings as JobstoreServiceSettings
from shared.broker.streams import EVENTS, INTAKE, LOGS
from shared.database.engine import opened
from shared.errors import Unavailable
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.databases import dump, query
from tests.support.waiting import until
from tests.support.workload import Workload

RULES = JobstoreSettings(superseded_after_s=60)  # settings of the services under test, on which rows depend


async def settled(settings: NatsSettings, database: DatabaseSettings, deadline_s: float = 60.0, *, published: int = 0) -> None:
    """Wait until ingest has finished and jobstore is at the end of every log.

    At least ``published`` messages must be in INTAKE: a plain publish returns shortly before the stream has the message.
    """
    client = await nats.connect(settings.url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    js = client.jetstream(timeout=5)

    async def is_settled() -> bool:
        try:
            queue = await js.consumer_info(settings.stream(INTAKE), "ingest")
            if queue.num_pending or queue.num_ack_pending or queue.delivered is None or queue.delivered.stream_seq < published:
                return False
            for name in LOGS:
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


async def has_unapplied(settings: NatsSettings, database: DatabaseSettings) -> bool:
    """Whether the log has events after the position."""
    client = await nats.connect(settings.url.split(","))
    try:
        last = (await client.jetstream(timeout=30).stream_info(settings.stream(EVENTS))).state.last_seq
    finally:
        await client.close()
    at = await query(database, "SELECT sequence FROM position WHERE stream = :name", name=EVENTS)
    return bool(last) and at != [(last,)]


async def assert_one_effect_each(plan: Workload, database: DatabaseSettings, *, copies: int = 1) -> None:
    """``copies`` is how many times every message was published as a separate message."""
    rows = await query(database, "SELECT job_id, cluster, start_time, subcluster, hpc_user, job_state, duration FROM job")
    assert len(rows) == len(set(rows)), "a job has two rows"
    missing, extra = plan.jobs - set(rows), set(rows) - plan.jobs
    assert not missing, f"{len(missing)} of {len(plan.jobs)} jobs are not as they should be: {sorted(missing)[:3]} are {sorted(extra)[:3]}"
    assert not extra, f"{len(extra)} unexpected rows: {sorted(extra)[:3]}"
    assert await query(database, "SELECT * FROM parked_stop") == []
    await _assert_rejections(plan, database, copies)
    states = {(row[0], row[1]): row[2] for row in await query(database, "SELECT cluster, hostname, node_state FROM node")}
    assert states == plan.nodes


async def _assert_rejections(plan: Workload, database: DatabaseSettings, copies: int) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for code, excerpt in await query(database, "SELECT code, excerpt FROM rejection"):
        at = excerpt.find("marker")
        assert at >= 0, f"an unexpected rejection: {code}: {excerpt[:200]}"
        found[code, excerpt[at : excerpt.index(".", at) + 1]] += 1
    expected = Counter({key: count * copies for key, count in plan.rejections.items()})
    assert found == expected, f"missing {expected - found}, too many {found - expected}"


async def assert_rebuild_changes_nothing(settings: NatsSettings, database: DatabaseSettings) -> None:
    """Check that rebuilt tables equal the present ones, row for row. No jobstore may be running."""
    before = await dump(database, without=("position.build",))  # the column counts rebuilds
    client = await nats.connect(settings.url.split(","))
    try:
        async with opened(database) as engine:
            jobstore = JobstoreServiceSettings(settings, database, RULES)
            await rebuild(client, engine, jobstore, [], lambda stream, done, total: None)
    finally:
        await client.close()
    after = await dump(database, without=("position.build",))
    for table, rows in before.items():
        assert after[table] == rows, f"{table}: only before {set(rows) - set(after[table])}, only after {set(after[table]) - set(rows)}"


async def archived(database: DatabaseSettings, deadline_s: float = 60.0) -> None:
    """Wait until every finished job is archived and none is waiting to be archived again."""

    async def is_archived() -> bool:
        waiting = "monitoring_status <> 3 OR archive_due IS NOT NULL"
        return not await query(database, f"SELECT id FROM job WHERE job_state <> 'running' AND ({waiting}) LIMIT 1")

    await until(is_archived, deadline_s, "every finished job is archived")


def data_of(entry: Path) -> dict[str, Any]:
    """The metric data of one archive entry."""
    files = list(entry.glob("data.json*"))
    assert len(files) == 1, f"{entry} has {len(files)} data files"
    text = files[0].read_bytes()
    data: dict[str, Any] = json.loads(gzip.decompress(text) if files[0].suffix == ".gz" else text)
    return data


def assert_entries_are_whole(plan: Workload, archive: ArchiveSettings) -> set[tuple[str, int, int]]:
    """Check that every visible entry is correct and complete. Returns cluster, job_id and start_time of the entries."""
    expected = {(job[1], job[0], job[2]): job for job in plan.jobs}
    found = set()
    for meta_file in archive.path.glob("*/*/*/*/meta.json"):
        meta = json.loads(meta_file.read_text())
        job = expected[meta["cluster"], meta["jobId"], meta["startTime"]]
        assert (meta["jobState"], meta["duration"], meta["user"], meta["subCluster"]) == (job[5], job[6], job[4], job[3])
        data_of(meta_file.parent)
        found.add((meta["cluster"], meta["jobId"], meta["startTime"]))
    return found


def assert_archive_is_complete(plan: Workload, archive: ArchiveSettings) -> None:
    """Check that every finished job has exactly one complete entry."""
    expected = {(job[1], job[0], job[2]) for job in plan.jobs if job[5] != "running"}
    found = assert_entries_are_whole(plan, archive)
    assert found == expected, f"{len(expected - found)} of {len(expected)} jobs have no entry"
