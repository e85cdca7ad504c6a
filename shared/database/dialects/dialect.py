"""What differs between database engines, beyond what SQLAlchemy hides."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar

import sqlalchemy
from sqlalchemy import Connection, Engine, Insert, Table, bindparam, event, update
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from shared.database.many_rows import PREFIX, ManyRows
from shared.errors import StatementTimedOut, TransactionLost, Unavailable
from shared.settings import DatabaseSettings

LOCK_SHARE = 0.8  # of the limit of a statement: a wait for a lock ends before it, so that the two are not confused
ANSWER_S = 5.0
MAX_IDLE_IN_TRANSACTION_S = 15.0  # with the keepalives, a standby takes over within 30 s
MAX_CONNECT_S = 10.0
_TRUSTED_S = 1.0  # connections used more recently are not pinged


@dataclass(frozen=True, slots=True)
class Use:
    """What an engine is opened for, see ``shared.database.engine.create_engine``."""

    read_only: bool = False
    durable: bool = False
    maintenance: bool = False
    connections: int | None = None

    def pool_size(self, settings: DatabaseSettings) -> int:
        return self.connections or settings.pool_size


@dataclass(frozen=True, slots=True)
class Switch:
    """The tables of a rebuild, in the same order, and the prefix of the new names.

    ``indexed_late`` is the new table that is filled before its indexes are created, ``mark`` one that only a rebuild uses.
    """

    old: Sequence[Table]
    new: Sequence[Table]
    prefix: str
    indexed_late: Table
    mark: Table


class Meaning(Enum):
    """What an error of the database says."""

    AWAY = Unavailable  # unreachable, busy for too long, or out of space
    LOST = TransactionLost  # a deadlock or another race, in which the transaction was rolled back
    TIMED_OUT = StatementTimedOut
    FAULT = None  # of the statement or its values


class Dialect(ABC):
    """One engine. ``name`` is that of SQLAlchemy's dialect, ``driver`` the one of its URLs."""

    name: ClassVar[str]
    driver: ClassVar[str]
    schemes: ClassVar[frozenset[str]]  # of URLs in the settings
    has_id_in_each_index: ClassVar[bool]
    joins_lines: ClassVar[bool] = True  # makes one text of any number of lines
    follows_snapshots: ClassVar[bool] = False  # statements of a transaction see one state only with isolation REPEATABLE READ

    # connections and their errors

    @abstractmethod
    def create_engine(self, url: sqlalchemy.URL, settings: DatabaseSettings, use: Use) -> AsyncEngine:
        """See ``shared.database.engine.create_engine``."""

    @abstractmethod
    def meaning(self, error: Exception) -> Meaning | None:
        """None for errors that this engine does not raise, or that its driver raises as the type that says what they mean."""

    # statements

    @abstractmethod
    def list_type(self, item: Any) -> Any:
        """The type under which a list is bound."""

    def list_value(self, values: Sequence[Any] | None) -> Any:
        """A list as the driver takes it for ``is_one_of``."""
        return values

    def word_list_value(self, words: Sequence[str] | None) -> Any:
        """Likewise, for ``has_word``."""
        return self.list_value(words)

    @abstractmethod
    def insert_or_ignore(self, table: Table) -> Insert:
        """An insert that leaves an existing row with the same unique key unchanged."""

    @abstractmethod
    def upsert(self, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> Insert:
        """An insert that sets ``values`` in the row with ``key``, if there is one."""

    def update_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Set the columns of each row, all with the same ones, in the row with its ``id``."""
        _updates(table, tuple(rows[0])).write(connection, rows)

    # locks until the end of the transaction

    async def lock_users(self, connection: AsyncConnection) -> None:  # noqa: B027
        """Serialize changes of users. Nothing to do where there is one writer at a time anyway."""

    # migrations

    begins_at_present_schema: ClassVar[bool] = False  # an empty database gets the present tables instead of all migrations

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        """Serialize migrations, likewise."""
        yield

    # a rebuild: a second set of tables takes the place of the first one

    async def prepare(self, connection: AsyncConnection, switch: Switch) -> None:  # noqa: B027
        """Bring the filled new tables up to what queries need."""

    async def hold_off(self, connection: AsyncConnection, position: Table) -> None:  # noqa: B027
        """Keep jobstore from starting a transaction, since it could lock a table that is dropped here."""

    async def take(self, connection: AsyncConnection, old: Sequence[Table]) -> None:  # noqa: B027
        """Lock out readers, with a short timeout to avoid a deadlock with a reader that holds one table and waits for another."""

    @abstractmethod
    async def replace(self, connection: AsyncConnection, switch: Switch) -> None:
        """Drop the old tables and the mark, and give the new tables their names, at once for readers and in a crash."""

    # `jobtide optimize`

    @abstractmethod
    def tidying(self, tables: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Names and statements, for ``tidy``."""

    async def tidy(self, driver: Any, statement: str) -> None:
        """Execute it on the driver's connection outside a transaction, in which no engine compacts."""
        await driver.execute(statement)

    size_query: ClassVar[str]


@lru_cache(maxsize=100)
def _updates(table: Table, names: tuple[str, ...]) -> ManyRows:
    parameters: dict[str, Any] = {name: bindparam(PREFIX + name) for name in names}
    return ManyRows(update(table).where(table.c.id == parameters.pop("id")).values(parameters))


def ping_idle_connections(engine: Engine) -> None:
    """Ping only connections that have been idle for a while: a ping costs as much as a short statement."""

    @event.listens_for(engine, "checkin")
    def on_checkin(_: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def on_checkout(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("idle_since", math.inf) < _TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as e:
            raise InvalidatePoolError from e  # the pool discards all connections of that age


def write_as(engine: str, forms: Mapping[type[GenericFunction[Any]], str]) -> None:
    """Declare what an engine writes for functions; ``{0}`` is the first argument."""
    for function, form in forms.items():
        compiles(function, engine)(_filled(form))


def _filled(form: str) -> Callable[..., str]:
    def write(element: GenericFunction[Any], compiler: SQLCompiler, **options: Any) -> str:
        return form.format(*(compiler.process(part, **options) for part in element.clauses))

    return write
