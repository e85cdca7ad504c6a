"""Rows that are read in one go are those that a plain statement gives."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from services.gateway.queries.rows import rows
from shared.database.engine import opened
from shared.database.reading import read
from shared.database.tables import tables
from shared.domain.values import INT64_MAX
from shared.settings import DatabaseSettings
from tests.gateway.rows import job_row, write
from tests.support.databases import SqliteTemplate
from tests.support.programs import run_blocking

SPECIAL = ['"', "\\", "\\u0000", "[1]", "</x>", "\u2028", "\x7f", "1.0"]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(SPECIAL)
JOBS = st.fixed_dictionaries(
    {
        "job_id": st.integers(1, INT64_MAX),
        "energy": st.floats(1e-100, 1e100) | st.floats(-1e100, -1e-100) | st.sampled_from([0.0, 0.1 + 0.2, 3.0]),
        "hpc_user": TEXTS,
        "cluster_partition": st.none() | TEXTS,
        "meta_data": st.none() | TEXTS,
        "num_acc": st.none() | st.integers(0, 9),
    }
)
COLUMNS = [tables.job.c[name] for name in ("id", "job_id", "energy", "hpc_user", "cluster_partition", "meta_data", "num_acc")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs=st.lists(JOBS, min_size=1, max_size=5))
def test_every_value_is_the_same(
    sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory, jobs: list[dict[str, object]]
) -> None:
    async def compare(database: DatabaseSettings) -> None:
        await write(database, "job", [job_row(key, **job) for key, job in enumerate(jobs, 1)])
        statement = select(*COLUMNS).order_by(tables.job.c.id.desc()).limit(4)
        async with opened(database, read_only=True) as engine:
            found = await read(engine, lambda connection: rows(connection, statement))
            plain = await read(engine, lambda connection: [tuple(row) for row in connection.execute(statement)])
            none = await read(engine, lambda connection: rows(connection, statement.where(tables.job.c.id < 0)))
        assert found == plain
        assert [row.id for row in found] == [row[0] for row in plain]
        assert none == []

    run_blocking(compare(sqlite_template.fresh(tmp_path_factory.mktemp("rows"))))
