"""The database of a cc-backend 1.2 to 1.4 on a MySQL or MariaDB server."""

import json
import os
from typing import Any

import asyncmy

from tests.support.cc_backend import FormerSite
from tests.support.mariadb import PASSWORD, USER, MariaDbServer
from tests.support.programs import run_blocking

_LONG = ("meta_data", "resources", "energy_footprint", "footprint", "value")  # JSON, as TEXT
_TYPES = {
    "bigint": "BIGINT",
    "integer": "BIGINT",
    "int": "INT",
    "tinyint": "TINYINT",
    "real": "DOUBLE",
    "uint64": "BIGINT",
    "bool": "TINYINT",
}


class MysqlSite:
    """Moves the database of ``site``, whose schema is at most 8, to the server, and changes the configuration accordingly."""

    def __init__(self, site: FormerSite, server: MariaDbServer) -> None:
        self._port = server.port
        self._name = f"ccdb_{os.urandom(4).hex()}"
        names = [name for (name,) in site.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        server.execute(f"CREATE DATABASE {self._name} CHARACTER SET utf8mb4")
        for name in names:
            columns = [(column, declared.lower()) for _, column, declared, *_ in site.db.execute(f'PRAGMA table_info("{name}")')]
            types = ", ".join(f"`{column}` {_type(column, declared)}" for column, declared in columns)
            self.execute(f"CREATE TABLE `{name}` ({types})")
            marks = ", ".join(["%s"] * len(columns))
            for row in site.db.execute(f'SELECT * FROM "{name}"').fetchall():
                self.execute(f"INSERT INTO `{name}` VALUES ({marks})", *row)
        site.stop()
        site.database.unlink()
        config = {"addr": "127.0.0.1:8080", "db-driver": "mysql", "db": f"{USER}:{PASSWORD}@tcp(127.0.0.1:{self._port})/{self._name}"}
        (site.folder / "config.json").write_text(json.dumps(config))

    def execute(self, statement: str, *values: Any) -> None:
        async def work() -> None:
            options = {"host": "127.0.0.1", "port": self._port, "user": USER, "password": PASSWORD, "db": self._name}
            connection = await asyncmy.connect(**options, autocommit=True, connect_timeout=30, read_timeout=60)
            try:
                async with connection.cursor() as cursor:
                    await cursor.execute(statement, values or None)
            finally:
                await connection.ensure_closed()

        run_blocking(work())


def _type(column: str, declared: str) -> str:
    if column in _LONG:
        return "TEXT"
    return _TYPES.get(declared.split("(", maxsplit=1)[0], "VARCHAR(255)")
