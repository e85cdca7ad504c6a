"""Many rows are written with one statement, which names only what changes."""

from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, event, insert, select

from shared.database.dialects import dialect_of
from shared.database.many_rows import ManyRows

TABLE = Table("thing", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text), Column("size", Integer))


def test_rows_are_inserted_and_updated_by_column() -> None:
    engine = create_engine("sqlite://")
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    inserts = ManyRows(insert(TABLE))
    with engine.begin() as connection:
        TABLE.create(connection)
        event.listen(engine, "before_cursor_execute", note)
        inserts.write(connection, [])
        inserts.write(connection, [{"id": 1, "name": "a", "size": 1}, {"id": 2, "name": "b", "size": 2}])
        inserts.write(connection, [{"size": 3, "id": 3}])
        dialect_of(connection).update_rows(connection, TABLE, [{"size": 30, "id": 3}, {"size": 10, "id": 1}])
        rows = list(connection.execute(select(TABLE).order_by(TABLE.c.id)))
    assert rows == [(1, "a", 10), (2, "b", 2), (3, None, 30)]
    assert len(statements) == 4
    assert statements[2].partition("SET")[2].split() == "size=? WHERE thing.id = ?".split()  # an id that is set is written to every index
