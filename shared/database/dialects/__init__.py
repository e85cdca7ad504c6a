"""One module per database engine, with everything that differs from the others."""

from typing import Any

from shared.database.dialects.dialect import Dialect, Meaning, Switch, Use
from shared.database.dialects.mariadb import MariaDb
from shared.database.dialects.postgresql import PostgreSql
from shared.database.dialects.sqlite import Sqlite

__all__ = ["DIALECTS", "Dialect", "Meaning", "Switch", "Use", "dialect_of"]

DIALECTS: tuple[Dialect, ...] = (Sqlite(), PostgreSql(), MariaDb())
_BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def dialect_of(something: Any) -> Dialect:
    """The dialect of a connection, an engine or a dialect of SQLAlchemy."""
    return _BY_NAME[getattr(something, "dialect", something).name]
