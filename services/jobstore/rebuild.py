"""Builds a second set of tables from the log and switches to it while readers and jobstore keep running."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog
from nats.aio.client import Client
from sqlalchemy import MetaData, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from services.jobstore.appliers import events_applier, nodes_applier
from services.jobstore.position import Position, Positions
from services.jobstore.projection import Applier
from services.jobstore.seeding import ArchivedJob, JobSeeds, seed_nodes
from services.jobstore.settings import Settings
from shared.backoff import Backoff
from shared.broker.cursor import LogState, log_state, read_from
from shared.broker.streams import EVENTS, NODES
from shared.database.engine import transaction
from shared.database.tables import projection_tables, tables
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import JobtideError, Unavailable

log = structlog.get_logger()

PREFIX = "rebuild_"
BATCH = 5000
MAX_QUIET_FETCHES = 10  # empty fetches in a row although the stream reports more events
MAX_SWITCHES = 30
MAX_LOCK_MS = 300  # PostgreSQL checks for deadlocks after one second

ReportProgress = Callable[[str, int, int], None]  # stream, last sequence applied, last sequence of the stream


class Rebuild:
    """One rebuild at a time per database. Tables left by an unfinished one are dropped first."""

    def __init__(self, client: Client, engine: AsyncEngine, settings: Settings) -> None:
        self._client = client
        self._engine = engine
        self._settings = settings
        self._new = projection_tables(MetaData(), PREFIX)
        self._appliers: dict[str, Applier] = {
            EVENTS: events_applier(settings, self._new),
            NODES: nodes_applier(settings, self._new),
        }

    async def run(self, archived: Iterable[ArchivedJob], progress: ReportProgress) -> dict[str, int]:
        """Rebuild and switch; returns the last sequence of each stream in the new tables.

        ``archived`` is asked only for jobs whose start is no longer in the log. Raises Unavailable.
        """
        await self._create()
        states = {stream: await log_state(self._client, self._settings.nats.stream(stream)) for stream in (EVENTS, NODES)}
        await self._seed(states, archived)
        for stream, state in states.items():
            await self._catch_up(stream, state.last_sequence, progress)
        await self._index()
        for stream in states:  # events that arrived while the first part was applied and indexed
            latest = await log_state(self._client, self._settings.nats.stream(stream))
            await self._catch_up(stream, latest.last_sequence, progress)
        return await self._switch(progress)

    async def _create(self) -> None:
        async with transaction(self._engine) as connection:
            for table in self._new.all():
                await connection.execute(DropTable(table, if_exists=True))
                await connection.execute(CreateTable(table))
                if table is not self._new.job:  # indexing the large table is cheaper once it is full
                    for index in table.indexes:
                        await connection.execute(CreateIndex(index))

    async def _index(self) -> None:
        if self._engine.dialect.name != "postgresql":
            return  # SQLite cannot rename an index, so the switch creates them
        async with transaction(self._engine) as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            for index in self._new.job.indexes:
                await connection.execute(CreateIndex(index))
            for table in self._new.all():  # new tables have no statistics, and plans without them are bad until autovacuum runs
                await connection.execute(text(f'ANALYZE "{table.name}"'))

    async def _seed(self, states: dict[str, LogState], archived: Iterable[ArchivedJob]) -> None:
        for stream, state in states.items():
            first = state.first_sequence
            if first > 1 and stream == EVENTS:
                await JobSeeds(self._engine, self._new, self._appliers[EVENTS], first).put(archived)
            async with transaction(self._engine) as connection:
                if first > 1 and stream == NODES:
                    await seed_nodes(connection, self._new, first)
                await Positions(self._new, stream).put(connection, Position(max(0, first - 1), state.created, 0.0))

    # the log

    async def _catch_up(self, stream: str, to: int, progress: ReportProgress) -> None:
        positions = Positions(self._new, stream)
        async with transaction(self._engine) as connection:
            position = await positions.get(connection)
        assert position is not None
        if position.sequence >= to:
            return
        quiet = 0
        async with read_from(self._client, self._settings.nats.stream(stream), position.sequence + 1) as cursor:
            while position.sequence < to:
                batch = await cursor.batch(BATCH)
                quiet = 0 if batch else quiet + 1
                if quiet > MAX_QUIET_FETCHES:
                    raise Unavailable(f"{stream}: no event after {position.sequence}, although it ends at {to}")
                if not batch:
                    continue
                try:
                    position = await self._apply(stream, positions, position, batch)
                except JobtideError:
                    raise
                except Exception:
                    log.exception("batch_failed", stream=stream, first=batch[0].sequence, last=batch[-1].sequence)
                    for record in batch:  # as in the projection: bury the event that fails, apply its neighbours
                        position = await self._apply_or_bury(stream, positions, position, record)
                progress(stream, position.sequence, to)

    async def _apply(
        self, stream: str, positions: Positions, position: Position, batch: Sequence[Recorded | Unreadable], why: str | None = None
    ) -> Position:
        """With ``why``, the batch holds one event, which is buried."""
        async with transaction(self._engine) as connection:
            if why is None:
                await self._appliers[stream].apply(connection, batch)
            else:
                await self._appliers[stream].bury(connection, batch[0], why)
            position = Position(batch[-1].sequence, position.created, batch[-1].time)
            await positions.put(connection, position)
        return position

    async def _apply_or_bury(self, stream: str, positions: Positions, position: Position, record: Recorded | Unreadable) -> Position:
        try:
            return await self._apply(stream, positions, position, [record])
        except JobtideError:
            raise
        except Exception as e:
            log.exception("event_buried", stream=stream, sequence=record.sequence)
            return await self._apply(stream, positions, position, [record], f"{type(e).__name__}: {e}")

    async def _switch(self, progress: ReportProgress) -> dict[str, int]:
        """Bring the new tables level with the old ones and rename them, in one transaction."""
        pause = Backoff(first_s=0.1, most_s=2.0)
        for attempt in range(MAX_SWITCHES):
            try:
                async with transaction(self._engine) as connection:
                    await self._hold_off(connection)
                    reached = {stream: await self._finish(connection, stream, applier) for stream, applier in self._appliers.items()}
                    await self._count_build(connection)
                    await self._take(connection)
                    await self._rename(connection)
                break
            except Unavailable as e:
                if attempt == MAX_SWITCHES - 1:
                    raise
                log.info("switch_retried", why=str(e))
                await asyncio.sleep(pause.next_s())
        for stream, sequence in reached.items():
            progress(stream, sequence, sequence)
        return reached

    async def _hold_off(self, connection: AsyncConnection) -> None:
        """Keep jobstore from starting a transaction, which could hold a lock on a table that is dropped here."""
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(text(f'LOCK TABLE "{tables.position.name}" IN EXCLUSIVE MODE'))

    async def _take(self, connection: AsyncConnection) -> None:
        """Lock out readers, with a short timeout: a reader that holds one table and waits for another would otherwise deadlock with us."""
        if connection.dialect.name == "postgresql":
            await connection.execute(text(f"SET LOCAL lock_timeout = {MAX_LOCK_MS}"))
            names = ", ".join(f'"{table.name}"' for table in tables.all())
            await connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))

    async def _finish(self, connection: AsyncConnection, stream: str, applier: Applier) -> int:
        """Lock the old position and apply the few events that the new tables still lack."""
        old = await Positions(tables, stream).get(connection, lock=True)
        positions = Positions(self._new, stream)
        position = await positions.get(connection)
        assert position is not None
        if old is None or position.sequence >= old.sequence:
            return position.sequence
        quiet = 0
        async with read_from(self._client, self._settings.nats.stream(stream), position.sequence + 1) as cursor:
            while position.sequence < old.sequence:
                batch = [record for record in await cursor.batch(BATCH) if record.sequence <= old.sequence]
                quiet = 0 if batch else quiet + 1
                if quiet > MAX_QUIET_FETCHES:
                    raise Unavailable(f"{stream}: no event after {position.sequence}, although the database has {old.sequence}")
                if batch:
                    await applier.apply(connection, batch)
                    position = Position(batch[-1].sequence, position.created, batch[-1].time)
        await positions.put(connection, position)
        return position.sequence

    async def _count_build(self, connection: AsyncConnection) -> None:
        """Rows may differ although their ``changed_seq`` does not, so readers that follow it must start over."""
        before = await connection.scalar(select(func.max(tables.position.c.build)))
        await connection.execute(update(self._new.position).values(build=(before or 0) + 1))

    async def _rename(self, connection: AsyncConnection) -> None:
        for old, new in zip(tables.all(), self._new.all(), strict=True):
            await connection.execute(DropTable(old))
            if connection.dialect.name == "sqlite":
                for index in new.indexes if new is not self._new.job else ():
                    await connection.execute(text(f'DROP INDEX "{index.name}"'))
            await connection.execute(text(f'ALTER TABLE "{new.name}" RENAME TO "{old.name}"'))
            if connection.dialect.name == "sqlite":
                for index in old.indexes:
                    await connection.execute(CreateIndex(index))
        if connection.dialect.name == "postgresql":
            names = await connection.execute(
                text("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND starts_with(indexname, :prefix)"),
                {"prefix": PREFIX},
            )
            for (name,) in names.all():  # renaming a constraint renames its index
                await connection.execute(text(f'ALTER INDEX "{name}" RENAME TO "{name.removeprefix(PREFIX)}"'))


async def rebuild(
    client: Client, engine: AsyncEngine, settings: Settings, archived: Iterable[ArchivedJob], progress: ReportProgress
) -> dict[str, int]:
    """See ``Rebuild.run``."""
    return await Rebuild(client, engine, settings).run(archived, progress)
