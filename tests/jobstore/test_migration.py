"""Migrating a database from the first schema fills the new columns like the projection does."""

from typing import Any

from alembic import command
from sqlalchemy import Connection, MetaData, Table, delete, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.appliers.nodes import NodesApplier
from shared.database.engine import transaction
from shared.database.migrate import alembic_config, head, migrate
from shared.database.tables import tables
from shared.domain.events import JobMetadataEdited
from shared.domain.payloads import Resource
from shared.settings import DatabaseSettings
from tests.jobstore.logs import apply, record, records
from tests.support.builders import job_started, job_stopped, nodes_reported
from tests.support.databases import dump, query

MANY = 20_001  # rows; the migration needs more than one step
MORE = f"""
WITH RECURSIVE numbers (n) AS (SELECT 101 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100 + {MANY})
INSERT INTO job (id, job_id, cluster, subcluster, start_time, hpc_user, project, job_state, meta_data, resources, num_nodes, shared)
SELECT n, n, 'fritz', 'main', 1, 'a', 'p', 'running', '{{"jobName":"x"}}', '[{{"hostname":"f0101"}}]', 1, 'none' FROM numbers
"""
HOSTS = [Resource(hostname=name, hwthreads=[0, 1]) for name in ("f0102", "f0101", 'é"\\')]
LOG = [
    job_started(1, meta_data={"jobName": 'é "x" \\ \n', "jobScript": "#!"}, resources=HOSTS),
    job_started(2, meta_data={"other": "x"}),
    job_started(3),
    job_stopped(2),
    job_stopped(1, received_state="pending"),
    JobMetadataEdited(id=3, cluster="fritz", key="jobName", value="nul\0 \ufffd"),
    job_started(4, meta_data={"jobName": ""}),
]


def begin_anew(connection: Connection) -> None:
    """Replace all tables with those of the first schema."""
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


def put(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Insert the rows with those columns that the tables have."""
    found = MetaData()
    found.reflect(connection)
    for name, content in rows.items():
        columns = found.tables[name].columns.keys()
        connection.execute(insert(found.tables[name]), [{column: row[column] for column in columns} for row in content])


async def test_rows_of_the_first_schema_get_the_values_of_the_projection(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, records(LOG))
    async with transaction(engine) as connection:
        applier = NodesApplier(tables, history_s=60, unchanged_s=60)
        await connection.run_sync(applier.apply, [record(5, nodes_reported("fritz", {"n1": "idle"}))])
        await connection.execute(insert(tables.position).values(stream="EVENTS", sequence=7, stream_created="x", event_time=1.5))
    before = await dump(database)
    rows = {table.name: [as_columns(table, row) for row in before[table.name]] for table in (tables.job, tables.node, tables.position)}
    async with transaction(engine) as connection:
        await connection.run_sync(begin_anew)
        await connection.run_sync(put, rows)
        await connection.execute(text(MORE))
    assert await migrate(engine) == ("0001", head())
    filled = "SELECT count(*), min(job_name), max(hosts), min(changed_seq - id), max(changed_seq - id) FROM job WHERE id > 100"
    assert await query(database, filled) == [(MANY, "x", " f0101 ", 0, 0)]
    async with transaction(engine) as connection:
        await connection.execute(delete(tables.job).where(tables.job.c.id > 100))
    after = await dump(database)
    assert after["node"] == before["node"]
    assert after["position"] == before["position"]
    jobs = {job["id"]: job for job in (as_columns(tables.job, row) for row in after["job"])}
    # Edits cannot be derived from the rows: the last known change is the start or stop.
    known = zip(rows["job"], (5, 4, 3, 7), strict=True)
    assert [jobs[id_] for id_ in (1, 2, 3, 7)] == [row | {"changed_seq": seq, "unsettled_until": None} for row, seq in known]


async def test_migrated_rejections_belong_to_events_and_are_otherwise_unchanged(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, records([job_stopped(5, may_wait=False), job_stopped(6, may_wait=False)]))
    before = await dump(database)
    rows = {"rejection": [as_columns(tables.rejection, row) for row in before["rejection"]]}
    async with transaction(engine) as connection:
        await connection.run_sync(begin_anew)
        await connection.run_sync(put, rows)
    await migrate(engine)
    assert (await dump(database))["rejection"] == before["rejection"]
    assert {row["stream"] for row in rows["rejection"]} == {"EVENTS"}


def as_columns(table: Table, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(table.columns.keys(), row, strict=True))
