"""Builds a second set of tables from the log and switches to it while readers and jobstore keep running."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from uuid import uuid4

import structlog
from nats.aio.client import Client
from sqlalchemy import Column, Connection, MetaData, Table, Text, delete, exists, func, insert, inspect, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from services.jobstore.appliers import appliers, nodes
from services.jobstore.fingerprint import fingerprint
from services.jobstore.position import LostRace, Position, Positions
from services.jobstore.projection import MAX_BURIED_IN_A_ROW, Applier
from services.jobstore.seeding import ArchivedJob, JobSeeds, seed_nodes, seed_rejections
from services.jobstore.settings import Settings
from shared.backoff import Backoff
from shared.broker.cursor import LogState, log_state, read_from
from shared.broker.streams import EVENTS, LOGS, NODES, REJECTIONS
from shared.database.dialects import Switch, dialect_of
from shared.database.engine import run, transaction
from shared.database.tables import projection_tables, tables
from shared.domain.reasons import JOB_NOT_FOUND, TAG_NOT_FOUND
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import JobtideError, Unavailable

log = structlog.get_logger()

PREFIX = "rebuild_"
BATCH = 5000
MAX_QUIET_FETCHES = 10  # consecutive empty fetches although the stream reports more events
MAX_SWITCHES = 30

ReportProgress = Callable[[str, int, int], None]  # stream, last sequence applied, last sequence of the stream


class Rebuild:
    """One rebuild at a time per database: a concurrent one fails with LostRace.

    An unfinished rebuild by the same code and settings is continued from its positions; tables of any other rebuild are dropped.
    """

    def __init__(self, client: Client, engine: AsyncEngine, settings: Settings) -> None:
        self._client = client
        self._engine = engine
        self._dialect = dialect_of(engine)
        self._settings = settings
        self._first = 1  # sequence of the first event in EVENTS
        self._buried_in_a_row = 0
        self._new = projection_tables(MetaData(), PREFIX)
        # Its row identifies the rebuild that seeds the tables, and afterwards what they were seeded for.
        self._seeded = Table(f"{PREFIX}seeded", MetaData(), Column("fingerprint", Text, nullable=False))
        self._claim = f"seeding {uuid4()}"
        self._tables_of_switch = Switch(tables.all(), self._new.all(), PREFIX, indexed_late=self._new.job, mark=self._seeded)
        self._appliers = appliers(settings, self._new)

    async def run(self, archived: Iterable[ArchivedJob], progress: ReportProgress) -> dict[str, int]:
        """Rebuild and switch. Returns the last sequence of each stream in the new tables.

        ``archived`` is only read for jobs whose start is no longer in the log. Raises Unavailable, and JobtideError
        if more than MAX_BURIED_IN_A_ROW consecutive events cannot be applied; the tables in use are then unchanged.
        """
        states = {stream: await log_state(self._client, self._settings.nats.stream(stream)) for stream in LOGS}
        seeded_by = fingerprint(self._settings.jobstore, {stream: state.created for stream, state in states.items()})
        if not await self._may_continue(states, seeded_by):
            await self._create()
            await self._seed(states, archived, seeded_by)
        self._first = states[EVENTS].first_sequence
        for stream, state in states.items():
            await self._catch_up(stream, state.last_sequence, progress)
        await self._index()
        for stream in states:  # events that arrived during the first pass and indexing
            latest = await log_state(self._client, self._settings.nats.stream(stream))
            await self._catch_up(stream, latest.last_sequence, progress)
        return await self._switch(progress)

    async def _may_continue(self, states: dict[str, LogState], seeded_by: str) -> bool:
        """Whether the tables of an unfinished rebuild can be continued from their positions."""
        async with transaction(self._engine) as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table(self._seeded.name)):
                return False
            if await connection.scalar(select(self._seeded.c.fingerprint)) != seeded_by:
                return False
            for stream, state in states.items():
                position = await Positions(self._new, stream).get(connection)
                if position is None or not state.first_sequence <= position.sequence + 1 <= state.last_sequence + 1:
                    return False
                log.info("rebuild_continued", stream=stream, after=position.sequence)
        return True

    async def _create(self) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(DropTable(self._seeded, if_exists=True))
            await connection.execute(CreateTable(self._seeded))
            await connection.execute(insert(self._seeded).values(fingerprint=self._claim))
            for table in self._new.all():
                await connection.execute(DropTable(table, if_exists=True))
                await connection.execute(CreateTable(table))
                if table is not self._new.job:  # indexing the large table is cheaper when it has been filled
                    for index in table.indexes:
                        await connection.execute(CreateIndex(index))

    async def _index(self) -> None:
        async with transaction(self._engine) as connection:
            await self._dialect.prepare(connection, self._tables_of_switch)

    async def _seed(self, states: dict[str, LogState], archived: Iterable[ArchivedJob], seeded_by: str) -> None:
        for stream, state in states.items():
            first = state.first_sequence
            if first > 1 and stream == EVENTS:
                await JobSeeds(self._engine, self._new, self._appliers[EVENTS], first).put(archived)
            async with transaction(self._engine) as connection:
                await self._require_claim(connection)
                if first > 1 and stream == NODES:
                    await seed_nodes(connection, self._new, first)
                if first > 1 and stream == REJECTIONS:
                    await seed_rejections(connection, self._new, first)
                await Positions(self._new, stream).put(connection, Position(max(0, first - 1), state.created))
        async with transaction(self._engine) as connection:
            await self._require_claim(connection)
            await connection.execute(update(self._seeded).values(fingerprint=seeded_by))

    async def _require_claim(self, connection: AsyncConnection) -> None:
        """Raises LostRace if another rebuild has created the tables again: resetting a position that it moved would repeat events."""
        if await connection.scalar(select(self._seeded.c.fingerprint).with_for_update()) != self._claim:
            raise LostRace("another rebuild has begun")

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
                batch = await cursor.batch(BATCH, nodes.MAX_BATCH_BYTES if stream == NODES else None)
                quiet = 0 if batch else quiet + 1
                if quiet > MAX_QUIET_FETCHES:
                    raise Unavailable(f"{stream}: no event after {position.sequence}, although it ends at {to}")
                if not batch:
                    continue
                try:
                    position = await self._apply(stream, positions, position, batch)
                    self._buried_in_a_row = 0
                except JobtideError:
                    raise
                except Exception:
                    log.exception("batch_failed", stream=stream, first=batch[0].sequence, last=batch[-1].sequence)
                    for record in batch:  # as in the projection: bury the event that fails, apply the others
                        position = await self._apply_or_bury(stream, positions, position, record)
                progress(stream, position.sequence, to)

    async def _apply(
        self, stream: str, positions: Positions, position: Position, batch: Sequence[Recorded | Unreadable], why: str | None = None
    ) -> Position:
        """Apply a batch. With ``why``, it has one event, which is buried. Raises LostRace if another rebuild is running."""
        moved = position.moved_to(batch[-1])

        def write(connection: Connection) -> None:
            positions.hold(connection, position.sequence)
            if why is None:
                self._appliers[stream].apply(connection, batch)
            else:
                self._appliers[stream].bury(connection, batch[0], why)
            positions.advance(connection, position.sequence, moved)

        async with transaction(self._engine) as connection:
            await run(connection, write)
        return moved

    async def _apply_or_bury(self, stream: str, positions: Positions, position: Position, record: Recorded | Unreadable) -> Position:
        try:
            moved = await self._apply(stream, positions, position, [record])
        except JobtideError:
            raise
        except Exception as e:
            log.exception("event_buried", stream=stream, sequence=record.sequence)
            self._buried_in_a_row += 1
            if self._buried_in_a_row > MAX_BURIED_IN_A_ROW:
                async with transaction(self._engine) as connection:  # continuing here would bury the next ones
                    await connection.execute(delete(self._seeded))
                raise JobtideError(f"{stream}: {self._buried_in_a_row} events in a row cannot be applied: {e}") from e
            return await self._apply(stream, positions, position, [record], f"{type(e).__name__}: {e}")
        self._buried_in_a_row = 0
        return moved

    async def _switch(self, progress: ReportProgress) -> dict[str, int]:
        """Bring the new tables up to the position of the old ones and rename them, in one transaction."""
        pause = Backoff(first_s=0.1, max_s=2.0)
        reached: dict[str, int] = {}
        for attempt in range(MAX_SWITCHES):
            try:
                async with transaction(self._engine) as connection:
                    if reached and not await connection.run_sync(lambda driver: inspect(driver).has_table(self._seeded.name)):
                        break  # the connection was lost after the tables had been renamed
                    await self._dialect.hold_off(connection, tables.position)
                    reached = {stream: await self._finish(connection, stream, applier) for stream, applier in self._appliers.items()}
                    if self._first > 1:
                        await self._match_deletions(connection, self._first)
                    await self._count_build(connection)
                    await self._dialect.take(connection, tables.all())
                    await self._dialect.replace(connection, self._tables_of_switch)
                break
            except Unavailable as e:
                if attempt == MAX_SWITCHES - 1:
                    raise
                log.info("switch_retried", why=str(e))
                await asyncio.sleep(pause.next_s())
        for stream, sequence in reached.items():
            progress(stream, sequence, sequence)
        return reached

    async def _finish(self, connection: AsyncConnection, stream: str, applier: Applier) -> int:
        """Lock the old position and apply the few remaining events to the new tables."""
        old = await Positions(tables, stream).get(connection, lock=True)
        positions = Positions(self._new, stream)
        position = await positions.get(connection)
        assert position is not None
        if old is None or position.sequence >= old.sequence:
            return position.sequence
        quiet = 0
        async with read_from(self._client, self._settings.nats.stream(stream), position.sequence + 1) as cursor:
            while position.sequence < old.sequence:
                batch = [
                    record
                    for record in await cursor.batch(BATCH, nodes.MAX_BATCH_BYTES if stream == NODES else None)
                    if record.sequence <= old.sequence
                ]
                quiet = 0 if batch else quiet + 1
                if quiet > MAX_QUIET_FETCHES:
                    raise Unavailable(f"{stream}: no event after {position.sequence}, although the database has {old.sequence}")
                if batch:
                    await run(connection, partial(applier.apply, batch=batch))
                    position = position.moved_to(batch[-1])
        await positions.put(connection, position)
        return position.sequence

    async def _match_deletions(self, connection: AsyncConnection, first: int) -> None:
        """Reconcile events about jobs and tags that were deleted and whose own events have expired: the rebuild refused these events.

        Drop those rejections, since no input was refused, and copy the deletions from the tables in use.
        """
        new, old = self._new, tables
        is_known = exists().where(old.rejection.c.origin == new.rejection.c.origin)
        until = select(old.position.c.sequence).where(old.position.c.stream == EVENTS).scalar_subquery()
        is_about_gone = or_(new.rejection.c.seq <= until, new.rejection.c.code.in_([JOB_NOT_FOUND, TAG_NOT_FOUND]))
        is_in_log = new.rejection.c.stream == EVENTS, new.rejection.c.seq >= first
        await connection.execute(delete(new.rejection).where(*is_in_log, is_about_gone, ~is_known))
        columns = [column.name for column in old.job_deletion.columns]
        is_there = exists().where(new.job_deletion.c.seq == old.job_deletion.c.seq)
        missing = select(old.job_deletion).where(old.job_deletion.c.job < first, ~is_there)
        await connection.execute(insert(new.job_deletion).from_select(columns, missing))

    async def _count_build(self, connection: AsyncConnection) -> None:
        """Count the build: rows may differ although ``changed_seq`` does not, so clients following it must start over."""
        before = await connection.scalar(select(func.max(tables.position.c.build)))
        await connection.execute(update(self._new.position).values(build=(before or 0) + 1))


async def rebuild(
    client: Client, engine: AsyncEngine, settings: Settings, archived: Iterable[ArchivedJob], progress: ReportProgress
) -> dict[str, int]:
    """See ``Rebuild.run``."""
    return await Rebuild(client, engine, settings).run(archived, progress)
