"""The MySQL or MariaDB database of a cc-backend 1.2 to 1.4, read without changing it and while cc-backend writes to it."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs

from cli.takeover.database import Execute, Row
from shared.errors import Unavailable, UserError

CONNECT_S = 10.0
READ_S = 60.0
DEFAULT_PORT = 3306
_DSN = re.compile(
    r"(?P<user>[^:@/]*)(?::(?P<password>.*))?@(?:(?P<protocol>tcp|unix)\((?P<address>[^)]*)\)|tcp)?"
    r"/(?P<name>[^?/]+)(?:\?(?P<parameters>.*))?",
    re.DOTALL,
)
T = TypeVar("T")


class MySqlServer:
    """A data source name of cc-backend, such as ``cc:secret@tcp(db.example:3306)/ccdb``; ``name`` has no password."""

    def __init__(self, dsn: str) -> None:
        """Raises UserError."""
        self._options = _connect_options(dsn)
        self.name = f"database {self._options['db']} on {self._options.get('unix_socket') or self._options['host']}"
        self._loop = asyncio.new_event_loop()  # methods block, in a thread of the caller
        self._connection: Any = None

    def close(self) -> None:
        if not self._loop.is_closed():
            self._disconnect()
            self._loop.close()

    def columns(self, table: str) -> set[str]:
        statement = "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = database() AND table_name = ?"
        return {row["name"] for row in self.read(lambda execute: execute(statement, [table]))}

    def read(self, work: Callable[[Execute], T]) -> T:
        driver = _driver()
        try:
            if self._connection is None:
                self._connection = self._wait(self._connect())
            self._wait(self._connection.query("START TRANSACTION READ ONLY"))
            result = work(lambda statement, values=(): self._wait(self._execute(statement, values)))
            self._wait(self._connection.rollback())
        except (driver.errors.MySQLError, OSError, TimeoutError, asyncio.IncompleteReadError) as e:
            self._disconnect()
            raise Unavailable(f"cannot read {self.name}: {e}") from e
        return result

    def _wait(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)

    async def _connect(self) -> Any:
        settings = "SET SESSION sql_mode = 'ANSI_QUOTES'"
        return await _driver().connect(
            **self._options, charset="utf8mb4", connect_timeout=CONNECT_S, read_timeout=READ_S, init_command=settings
        )

    async def _execute(self, statement: str, values: Sequence[Any]) -> list[Row]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement.replace("?", "%s"), tuple(values))
            names = {column[0]: place for place, column in enumerate(cursor.description)}
            return [_NamedRow(values, names) for values in await cursor.fetchall()]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _NamedRow(tuple[Any, ...]):
    """Values by place and by name, as those of SQLite's driver."""

    _names: Mapping[str, int]

    def __new__(cls, values: Sequence[Any], names: Mapping[str, int]) -> "_NamedRow":
        row = super().__new__(cls, values)
        row._names = names
        return row

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._names[key] if isinstance(key, str) else key)


def _driver() -> Any:
    """Raises UserError."""
    try:
        import asyncmy
        import asyncmy.errors
    except ModuleNotFoundError as e:
        raise UserError("a MySQL database needs the package asyncmy, which `pip install 'jobtide[mariadb]'` installs") from e
    return asyncmy


def _connect_options(dsn: str) -> dict[str, Any]:
    match = _DSN.fullmatch(dsn)
    if match is None:
        raise UserError("main.db is not a data source name such as USER:PASSWORD@tcp(HOST:PORT)/NAME")
    options: dict[str, Any] = {"user": match["user"], "password": match["password"] or "", "db": match["name"]}
    address = match["address"] or "127.0.0.1"
    if match["protocol"] == "unix":
        return options | {"unix_socket": address}
    if (context := _encryption(parse_qs(match["parameters"] or "").get("tls", ["false"])[-1])) is not None:
        options["ssl"] = context
    host, separator, port = address.rpartition(":")
    if not separator or (address.endswith("]") and address.startswith("[")):
        host, port = address, str(DEFAULT_PORT)
    if not port.isdigit():
        raise UserError(f"main.db: {port!r} is not a port")
    return options | {"host": host.strip("[]"), "port": int(port)}


def _encryption(tls: str) -> ssl.SSLContext | None:
    """The TLS settings for the parameter ``tls`` of a data source name. Raises UserError for a value that would silently weaken them."""
    if tls in ("false", "0"):
        return None
    context = ssl.create_default_context()
    if tls in ("true", "1"):
        return context
    if tls != "skip-verify":
        raise UserError(f"main.db: tls={tls} is not supported; true, skip-verify and false are")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
