"""The archiver's look-ups use indexes, regardless of the number of jobs."""

import re
from typing import Any

import pytest
from sqlalchemy import event

from services.archiver.jobs import JobReader
from shared.database.engine import opened
from shared.database.tables import tables
from shared.settings import DatabaseSettings
from tests.archiver.site import job_row
from tests.support.builders import START_TIME, job_stopped
from tests.support.fixtures import any_database
from tests.support.plans import analyze, explain

database = any_database

POSITION = {"stream": "EVENTS", "sequence": 9000, "stream_created": "now", "event_time": 0.0}


async def test_every_lookup_uses_an_index(database: DatabaseSettings) -> None:
    async with opened(database) as engine:
        async with engine.begin() as connection:
            await connection.execute(tables.job.insert(), [job_row(n, job_id=n, stop_seq=5000 + n, changed_seq=77) for n in range(1, 500)])
            running: list[dict[str, Any]] = [{}, {"start_time": START_TIME + 1}, {"cluster": "alex"}, {"monitoring_status": 0}]
            rows = [job_row(n, job_id=n, job_state="running", **columns) for n, columns in enumerate(running, 500)]
            rows += [job_row(n, job_id=n, stop_seq=6000, monitoring_status=3) for n in range(600, 900)]
            await connection.execute(tables.job.insert(), rows)
            await connection.execute(tables.position.insert(), POSITION)
        statements: list[tuple[str, Any]] = []

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
            if statement.startswith("SELECT") and "FROM position" not in statement:  # two rows, so a scan is fine
                statements.append((statement, parameters))

        reader = JobReader(engine)
        found = await reader.find({5007: job_stopped(7), 5008: job_stopped(9)}, [11], through=5008, stream_created="now")
        assert found is not None
        assert {sequence: job.id for sequence, job in found.by_stop.items()} == {5007: 7, 5011: 11}
        assert found.by_id[11].path.job_id == 11
        assert [job.id for job in await reader.running("fritz", START_TIME + 1)] == [500]
        assert [row["id"] for row in await reader.still_running([11, 500, 501])] == [500, 501]
        assert [job.id for job in await reader.changed_since((77, 3), limit=2)] == [4, 5]
        assert list(await reader.by_id([11])) == [11]
        assert [job.id for job in await reader.waiting((5003, 3), before=5006, limit=9)] == [4, 5]
        assert await reader.needed_since() == {"fritz": START_TIME, "alex": START_TIME}
        assert [(job.id, job.cluster) for job in await reader.started(500, limit=2)] == [(501, "fritz"), (502, "alex")]
        assert await reader.started(503, limit=2) == []
        assert len(statements) == 17

        await analyze(engine)
        async with engine.connect() as connection:
            for statement, parameters in statements:
                lines = await explain(connection, statement, parameters, is_large=True)
                assert "Seq Scan" not in lines, lines
                assert "SCAN" not in re.sub(r"SCAN job USING (COVERING )?INDEX job_(running|waits_for_archive)", "", lines), lines
                if "monitoring_status = 1" in statement:
                    # Both begin with the status on MariaDB, and without an order are equally good.
                    either = engine.dialect.name == "mariadb" and "stop_seq" not in statement
                    assert re.search("job_waits_for_archive|job_archiving_failed" if either else "job_waits_for_archive", lines), lines
                elif "running" in statement and " IN (" not in statement:
                    assert "job_running" in lines, lines


@pytest.mark.parametrize("count", [0, 3])
async def test_an_empty_lookup_finds_nothing(count: int, sqlite_database: DatabaseSettings) -> None:
    async with opened(sqlite_database) as engine:
        reader = JobReader(engine)
        async with engine.begin() as connection:
            await connection.execute(tables.position.insert(), POSITION)
        found = await reader.find({n: job_stopped(n) for n in range(1, count + 1)}, [], through=count, stream_created="now")
    assert found is not None
    assert (found.by_stop, found.parked, found.by_id) == ({}, frozenset(), {})
