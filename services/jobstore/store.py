"""The jobs of a batch, read from and written to the database in few statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import TypeAdapter
from sqlalchemy import bindparam, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.jobstore.rules.world import JobHead, ParkedStop, Refusal, World
from services.jobstore.sql import insert_or_ignore, one_of, write_rows
from shared.database.sql import is_running
from shared.database.tables import ProjectionTables
from shared.domain.events import Event, JobFacts, JobsMeasured, JobStopped, JobTagged, JobUntagged, Tag, TagCreated, TagRemoved
from shared.domain.oddities import Oddity
from shared.domain.recorded import Recorded, Unreadable, without_stored_time
from shared.domain.values import ARCHIVING_FAILED, MONITORING_DISABLED, JobState

_ODDITIES = TypeAdapter(list[Oddity])
JOBS_AT_ONCE = 20_000  # of one statement, so that it ends well within the database's time limit


class JobStore:
    """Reads and writes one set of tables; the caller owns the transaction."""

    def __init__(self, tables: ProjectionTables) -> None:
        self._tables = tables
        job = tables.job.c
        self._heads = select(
            job.id, job.job_id, job.cluster, job.start_time, job.job_state, job.duration, job.monitoring_status, job.is_overdue
        )
        self._insert_job = insert(tables.job)
        self._updates: dict[tuple[str, ...], Any] = {}

    def _update(self, columns: tuple[str, ...]) -> Any:
        return (
            update(self._tables.job)
            .where(self._tables.job.c.id == bindparam("b_id"))
            .values({name: bindparam(f"b_{name}") for name in columns})
        )

    # reading

    async def load(self, connection: AsyncConnection, records: Iterable[Recorded | Unreadable]) -> World:
        """Everything that the rules can ask for about the events of a batch."""
        world = World()
        events = [record.event for record in records if isinstance(record, Recorded)]
        job_ids = {event.job_id for event in events if isinstance(event, JobFacts | JobStopped)}
        ids = {id_ for event in events if (id_ := getattr(event, "id", None)) is not None}
        ids |= {job.id for event in events if isinstance(event, JobsMeasured) for job in event.jobs}
        if job_ids:
            await self.load_runs(connection, world, job_ids)
            await self._load_parked(connection, world, job_ids)
        if missing := ids - world.jobs.keys():
            await self._know(connection, world, self._heads.where(one_of(connection, self._tables.job.c.id, missing)))
        await self._load_tags(connection, world, events, ids)
        return world

    async def load_runs(self, connection: AsyncConnection, world: World, job_ids: Iterable[int]) -> None:
        """All runs with these scheduler ids."""
        await self._know(connection, world, self._heads.where(one_of(connection, self._tables.job.c.job_id, list(job_ids))))

    async def _know(self, connection: AsyncConnection, world: World, statement: Any) -> None:
        for row in await connection.execute(statement):
            world.know(JobHead(row[0], row[1], row[2], row[3], row[4], row[5], row[6], bool(row[7])))

    async def _load_parked(self, connection: AsyncConnection, world: World, job_ids: set[int]) -> None:
        table = self._tables.parked_stop
        for parked in await self.parked(connection, one_of(connection, table.c.job_id, job_ids)):
            world.parked.setdefault(parked.stop.job_id, []).append(parked)

    async def parked(self, connection: AsyncConnection, where: Any) -> list[ParkedStop]:
        """Parked stops, oldest first."""
        table = self._tables.parked_stop
        rows = await connection.execute(select(table).where(where).order_by(table.c.seq))
        return [_parked_stop(row) for row in rows]

    async def _load_tags(self, connection: AsyncConnection, world: World, events: list[Event], ids: Collection[int]) -> None:
        tags = [tag for event in events if isinstance(event, JobFacts | JobTagged | JobUntagged) for tag in event.tags]
        tags += [event.tag for event in events if isinstance(event, TagCreated | TagRemoved)]
        if not tags:
            return
        table, jobtag = self._tables.tag, self._tables.jobtag
        rows = await connection.execute(select(table).where(one_of(connection, table.c.tag_name, sorted({tag.name for tag in tags}))))
        for row in rows:
            world.know_tag(row.id, Tag(type=row.tag_type, name=row.tag_name, scope=row.tag_scope))
        if any(isinstance(event, TagRemoved) for event in events):
            ids = world.jobs.keys()  # a removal changes the jobs that have the tag, also those that another event is about
        if ids:
            pairs = await connection.execute(select(jobtag.c.job_id, jobtag.c.tag_id).where(one_of(connection, jobtag.c.job_id, ids)))
            world.stored_jobtags = {(row[0], row[1]) for row in pairs}
            world.jobtags = set(world.stored_jobtags)

    # writing

    async def save(self, connection: AsyncConnection, world: World) -> None:
        """Write what the rules changed. What goes makes room first: a name or a run may come back in the same batch."""
        tables = self._tables
        await self._delete_jobs(connection, world)
        await self._delete_tags(connection, world.removed_tags)
        await self._merge_metadata(connection, world)
        await write_rows(connection, self._insert_job, [job.row for job in world.jobs.values() if job.row is not None])
        await self._save_changes(connection, world)
        await write_rows(
            connection,
            insert(tables.tag),
            [{"id": i, "tag_type": t.type, "tag_name": t.name, "tag_scope": t.scope} for i, t in world.new_tags.items()],
        )
        await self._save_jobtags(connection, world)
        await write_rows(connection, insert(tables.parked_stop), [_parked_row(parked) for parked in world.newly_parked.values()])
        if world.unparked:
            await connection.execute(delete(tables.parked_stop).where(one_of(connection, tables.parked_stop.c.seq, world.unparked)))
        await self.save_refusals(connection, world.refusals)

    async def save_refusals(self, connection: AsyncConnection, refusals: Sequence[Refusal]) -> None:
        """The same input is rejected once, however often it is read."""
        new = await self._without_known(connection, refusals)
        await write_rows(connection, insert_or_ignore(connection, self._tables.rejection), [_refusal_row(r) for r in new])

    async def _without_known(self, connection: AsyncConnection, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Leave out what is known under an id of the first form, without stored time: an upgrade may come between two readings.

        Such an id may also belong to another message, of an intake that was restored; then the time of the event differs.
        """
        rejection = self._tables.rejection.c
        first_forms = {form for refusal in refusals if (form := without_stored_time(refusal.origin)) is not None}
        query = select(rejection.origin, rejection.time).where(one_of(connection, rejection.origin, first_forms))
        known = {(row.origin, row.time) for row in await connection.execute(query)} if first_forms else set()
        known |= {(refusal.origin, refusal.time) for refusal in refusals}
        return [refusal for refusal in refusals if (without_stored_time(refusal.origin), refusal.time) not in known]

    async def _merge_metadata(self, connection: AsyncConnection, world: World) -> None:
        job = self._tables.job
        edited = {head.id: head for head in world.jobs.values() if head.metadata_changes}
        if not edited:
            return
        stored = [id_ for id_, head in edited.items() if head.row is None]
        rows = (await connection.execute(select(job.c.id, job.c.meta_data).where(one_of(connection, job.c.id, stored)))).all()
        before = {row.id: row.meta_data for row in rows}
        for id_, head in edited.items():
            head.set(meta_data=_merged(before[id_] if head.row is None else head.row["meta_data"], head.metadata_changes))

    async def _save_changes(self, connection: AsyncConnection, world: World) -> None:
        """Updates grouped by the columns that they set: a few statements, however many jobs."""
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for job in world.jobs.values():
            if job.changes:
                row = {f"b_{name}": value for name, value in job.changes.items()}
                row["b_id"] = job.id
                groups.setdefault(tuple(job.changes), []).append(row)
        for columns, rows in groups.items():
            if columns not in self._updates:
                self._updates[columns] = self._update(columns)
            await write_rows(connection, self._updates[columns], rows)

    async def _delete_jobs(self, connection: AsyncConnection, world: World) -> None:
        deletions, ids = world.deletions, world.deleted_jobs.keys()
        if ids:
            job = self._tables.job
            await connection.execute(delete(self._tables.jobtag).where(one_of(connection, self._tables.jobtag.c.job_id, ids)))
            gone = delete(job).where(one_of(connection, job.c.id, ids)).returning(job.c.id, job.c.cluster, job.c.hpc_user, job.c.project)
            deletions = deletions + [
                {"seq": world.deleted_jobs[row[0]], "job": row[0], "cluster": row[1], "hpc_user": row[2], "project": row[3]}
                for row in await connection.execute(gone)
            ]
        await write_rows(connection, insert(self._tables.job_deletion), deletions)

    async def _delete_tags(self, connection: AsyncConnection, removed: Mapping[int, int]) -> None:
        ids = removed.keys()
        job, jobtag = self._tables.job, self._tables.jobtag
        for tag_id, sequence in removed.items():  # jobs of this batch get theirs with their other changes, later
            tagged = (await connection.scalars(select(jobtag.c.job_id).where(jobtag.c.tag_id == tag_id))).all()
            for first in range(0, len(tagged), JOBS_AT_ONCE):
                some = tagged[first : first + JOBS_AT_ONCE]
                await connection.execute(update(job).where(one_of(connection, job.c.id, some)).values(changed_seq=sequence))
        if ids:
            await connection.execute(delete(self._tables.jobtag).where(one_of(connection, self._tables.jobtag.c.tag_id, ids)))
            await connection.execute(delete(self._tables.tag).where(one_of(connection, self._tables.tag.c.id, ids)))

    async def _save_jobtags(self, connection: AsyncConnection, world: World) -> None:
        jobtag = self._tables.jobtag
        gone = world.stored_jobtags - world.jobtags
        await write_rows(
            connection,
            delete(jobtag).where(jobtag.c.job_id == bindparam("b_job"), jobtag.c.tag_id == bindparam("b_tag")),
            [{"b_job": job_id, "b_tag": tag_id} for job_id, tag_id in sorted(gone)],
        )
        new = sorted(world.jobtags - world.stored_jobtags)
        await write_rows(connection, insert(jobtag), [{"job_id": job_id, "tag_id": tag_id} for job_id, tag_id in new])

    # passing time

    async def presume_dead(self, connection: AsyncConnection, sequence: int, now: int, grace_s: int) -> int:
        """The walltime rule for every running job; the number of jobs it ended."""
        job = self._tables.job.c
        result = await connection.execute(
            update(self._tables.job)
            .where(is_running(job.job_state), job.walltime > 0, job.start_time < now - grace_s - job.walltime)
            .values(
                job_state=JobState.FAILED.value,
                duration=job.walltime,
                monitoring_status=case((job.monitoring_status == MONITORING_DISABLED, MONITORING_DISABLED), else_=ARCHIVING_FAILED),
                is_overdue=1,
                changed_seq=sequence,
            )
        )
        return int(result.rowcount)

    async def forget_refusals(self, connection: AsyncConnection, before: float) -> None:
        await connection.execute(delete(self._tables.rejection).where(self._tables.rejection.c.time < before))

    async def forget_parked(self, connection: AsyncConnection, sequences: Sequence[int]) -> None:
        if sequences:
            await connection.execute(delete(self._tables.parked_stop).where(one_of(connection, self._tables.parked_stop.c.seq, sequences)))


def _merged(stored: str | None, changes: dict[str, str]) -> str:
    return orjson.dumps({**(orjson.loads(stored) if stored else {}), **changes}, option=orjson.OPT_SORT_KEYS).decode()


def _parked_stop(row: Any) -> ParkedStop:
    stop = JobStopped(
        job_id=row.job_id,
        cluster=row.cluster,
        start_time=row.start_time,
        stop_time=row.stop_time,
        job_state=JobState(row.job_state),
        received_state=row.received_state,
        oddities=_ODDITIES.validate_json(row.oddities) if row.oddities else [],
    )
    return ParkedStop(row.seq, stop, row.origin, row.parked_at)


def _parked_row(parked: ParkedStop) -> dict[str, Any]:
    stop = parked.stop
    return {
        "seq": parked.sequence,
        "job_id": stop.job_id,
        "cluster": stop.cluster,
        "start_time": stop.start_time,
        "stop_time": stop.stop_time,
        "job_state": stop.job_state.value,
        "received_state": stop.received_state,
        "origin": parked.origin,
        "parked_at": parked.parked_at,
        "oddities": _ODDITIES.dump_json(stop.oddities).decode() if stop.oddities else None,
    }


def _refusal_row(refusal: Refusal) -> dict[str, Any]:
    return {
        "seq": refusal.sequence,
        "origin": refusal.origin,
        "time": refusal.time,
        "code": refusal.code,
        "field": refusal.field,
        "text": refusal.text,
        "subject": refusal.subject,
        "intake_seq": refusal.intake_sequence,
        "line": refusal.line,
        "job_id": refusal.job_id,
        "cluster": refusal.cluster,
        "excerpt": refusal.excerpt,
    }
