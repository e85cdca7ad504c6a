"""Loads the jobs, parked stops and tags of a batch from the database and saves their changes, in few statements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Connection, and_, bindparam, case, delete, insert, or_, select, update

from services.jobstore.rules.takeover import former_tags
from services.jobstore.rules.unit_of_work import DeletedRun, JobHead, ParkedStop, Refusal, UnitOfWork
from services.jobstore.sql import insert_or_ignore, update_rows, write_rows
from shared.broker.streams import EVENTS
from shared.database.many_rows import ManyRows
from shared.database.sql import is_running, one_of
from shared.database.tables import ProjectionTables
from shared.domain.events import (
    ADVICE_TAG_TYPE,
    EVENT_TYPES,
    ApplicationsDetected,
    Event,
    IntakeReplayed,
    JobAdviceMuted,
    JobAdvised,
    JobFacts,
    JobImported,
    JobsMeasured,
    JobStarted,
    JobStopped,
    JobTagged,
    JobTakenOver,
    JobUntagged,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.domain.oddities import Oddity
from shared.domain.recorded import IntakeOrigin, Recorded, Unreadable, without_stored_time
from shared.domain.values import ARCHIVING_FAILED, MONITORING_DISABLED, JobState

_FACTS: tuple[type[JobFacts], ...] = (JobStarted, JobImported, JobTakenOver)
_ADVISING: tuple[Any, ...] = (JobAdvised, JobAdviceMuted)
_TAGGING: tuple[Any, ...] = (JobTagged, JobUntagged, ApplicationsDetected, *_ADVISING)
_OF_TAGS: tuple[Any, ...] = (TagCreated, TagRemoved)
_ABOUT_MANY_JOBS: tuple[Any, ...] = (JobsMeasured, ApplicationsDetected)
_ABOUT_ONE_JOB: tuple[Any, ...] = tuple(kind for kind in EVENT_TYPES.values() if "id" in kind.model_fields)
_ODDITIES = TypeAdapter(list[Oddity])
E = TypeVar("E", bound=Event)
# Rows per statement, so that a statement finishes well within the database's time limit.
JOBS_AT_ONCE = 20_000
ROWS_AT_ONCE = 20_000


class JobStore:
    """Reads and writes one set of tables in the caller's transaction."""

    def __init__(self, tables: ProjectionTables) -> None:
        self._tables = tables
        job = tables.job.c
        needs_metadata = and_(
            job.job_state != JobState.RUNNING.value, or_(job.unsettled_until.is_not(None), job.is_overdue == 1, job.duration == 0)
        )
        self._heads = select(
            job.id,
            job.job_id,
            job.cluster,
            job.start_time,
            job.job_state,
            job.duration,
            job.monitoring_status,
            job.is_overdue,
            job.stop_seq,
            job.unsettled_until,
            case((needs_metadata, job.meta_data)),
        )
        self._jobs = ManyRows(insert(tables.job))

    # reading

    def load(self, connection: Connection, records: Iterable[Recorded | Unreadable]) -> UnitOfWork:
        """Load everything that the rules may need for the events of a batch."""
        work = UnitOfWork()
        events = _Events(records)
        job_ids = {event.job_id for event in events.of(*_FACTS)} | {event.job_id for event in events.of(JobStopped)}
        ids: set[int] = {event.id for event in events.of(*_ABOUT_ONE_JOB)}
        ids |= {job.id for event in events.of(*_ABOUT_MANY_JOBS) for job in event.jobs}
        if job_ids:
            self.load_runs(connection, work, job_ids)
            self._load_parked(connection, work, job_ids)
            self.load_deleted(connection, work, job_ids)
        if missing := ids - work.jobs.keys():
            self._know(connection, work, self._heads.where(one_of(self._tables.job.c.id, missing)))
        taken_over = {event.job_id for event in events.of(JobTakenOver)}
        self._load_former_states(connection, work, taken_over)
        imported = taken_over | {event.job_id for event in events.of(JobImported) if event.tags}
        ids |= {job.id for job in work.jobs.values() if job.job_id in imported}
        self._load_tags(connection, work, events, ids)
        return work

    def load_runs(self, connection: Connection, work: UnitOfWork, job_ids: Iterable[int]) -> None:
        """Load all runs with these scheduler ids."""
        self._know(connection, work, self._heads.where(one_of(self._tables.job.c.job_id, list(job_ids))))

    def _know(self, connection: Connection, work: UnitOfWork, statement: Any) -> None:
        for row in connection.execute(statement):
            work.know(JobHead(row[0], row[1], row[2], row[3], row[4], row[5], row[6], bool(row[7]), row[8], row[9], row[10]))

    def _load_parked(self, connection: Connection, work: UnitOfWork, job_ids: set[int]) -> None:
        table = self._tables.parked_stop
        for parked in self.parked(connection, one_of(table.c.job_id, job_ids)):
            work.parked.setdefault(parked.stop.job_id, []).append(parked)

    def load_deleted(self, connection: Connection, work: UnitOfWork, job_ids: Iterable[int]) -> None:
        """Load the deleted runs with these scheduler ids."""
        table = self._tables.job_deletion
        columns = (table.c.job_id, table.c.cluster, table.c.start_time, table.c.stop_time, table.c.job_state, table.c.deleted_at)
        of_ids = one_of(table.c.job_id, list(job_ids))
        for row in connection.execute(select(*columns).where(of_ids).order_by(table.c.seq)):
            work.know_deleted(DeletedRun(*row))

    def parked(self, connection: Connection, where: Any, limit: int | None = None) -> list[ParkedStop]:
        """Parked stops, oldest first, at most ``limit``."""
        table = self._tables.parked_stop
        rows = connection.execute(select(table).where(where).order_by(table.c.seq).limit(limit))
        return [_parked_stop(row) for row in rows]

    def _load_tags(self, connection: Connection, work: UnitOfWork, events: "_Events", ids: Collection[int]) -> None:
        tags = [tag for event in events.of(*_FACTS, *_TAGGING) for tag in event.tags]
        tags += [event.tag for event in events.of(*_OF_TAGS)]
        tags += [tag for job in work.jobs.values() for tag in former_tags(job)]
        advised = {event.id for event in events.of(*_ADVISING)}
        if not tags and not advised:
            return
        table, jobtag = self._tables.tag, self._tables.jobtag
        named = one_of(table.c.tag_name, sorted({tag.name for tag in tags}))
        wanted = or_(named, table.c.tag_type == ADVICE_TAG_TYPE) if advised else named  # also removes the tags of rules that no longer hold
        if advised:
            self._load_advice(connection, work, advised)
        rows = connection.execute(select(table).where(wanted))
        for row in rows:
            work.know_tag(row.id, Tag(type=row.tag_type, name=row.tag_name, scope=row.tag_scope))
        if events.of(TagRemoved):
            ids = work.jobs.keys()  # removing a tag changes the jobs that have it, including jobs of other events
        if ids:
            pairs = connection.execute(select(jobtag.c.job_id, jobtag.c.tag_id).where(one_of(jobtag.c.job_id, ids)))
            work.stored_jobtags = {(row[0], row[1]) for row in pairs}
            work.jobtags = set(work.stored_jobtags)

    def _load_advice(self, connection: Connection, work: UnitOfWork, ids: Collection[int]) -> None:
        job = self._tables.job.c
        for id_, advice in connection.execute(select(job.id, job.advice).where(one_of(job.id, ids))):
            work.jobs[id_].advice = advice

    def _load_former_states(self, connection: Connection, work: UnitOfWork, job_ids: Collection[int]) -> None:
        ids = [job.id for job in work.jobs.values() if job.job_id in job_ids]
        job = self._tables.job.c
        columns = job.id, job.former_id, job.former_state
        for id_, former_id, state in connection.execute(select(*columns).where(one_of(job.id, ids))) if ids else ():
            work.jobs[id_].former_id, work.jobs[id_].former_state = former_id, state

    # writing

    def save(self, connection: Connection, work: UnitOfWork) -> None:
        """Write the changes. Deletions come first, because a deleted tag or run may be created again in the same batch."""
        tables = self._tables
        self._delete_jobs(connection, work)
        self._delete_tags(connection, work.removed_tags)
        self._merge_metadata(connection, work)
        self._jobs.write(connection, [job.row for job in work.jobs.values() if job.row is not None])
        self._save_changes(connection, work)
        write_rows(
            connection,
            insert(tables.tag),
            [{"id": i, "tag_type": t.type, "tag_name": t.name, "tag_scope": t.scope} for i, t in work.new_tags.items()],
        )
        self._save_jobtags(connection, work)
        if work.unparked:
            connection.execute(delete(tables.parked_stop).where(one_of(tables.parked_stop.c.seq, work.unparked)))
        write_rows(connection, insert(tables.parked_stop), [_parked_row(parked) for parked in work.newly_parked.values()])
        self._forget_refusals_of(connection, work.handled_again)
        self.save_refusals(connection, work.refusals)

    def save_refusals(self, connection: Connection, refusals: Sequence[Refusal], stream: str = EVENTS) -> None:
        """Store refusals. ``stream`` is the one of their sequences. Input that is read repeatedly is rejected only once."""
        new = self._without_known(connection, refusals, stream)
        write_rows(connection, insert_or_ignore(connection, self._tables.rejection), [_refusal_row(r, stream) for r in new])

    def _without_known(self, connection: Connection, refusals: Sequence[Refusal], stream: str) -> list[Refusal]:
        """Leave out refusals that an earlier version has recorded, since an upgrade may happen between two deliveries of a message.

        Earlier versions used ids without stored time, and EVENTS for rejections by ingest, which have a subject. Such an id may
        also belong to another message, if the intake was restored; then the time of the event differs.
        """
        rejection = self._tables.rejection.c
        forms = {form for refusal in refusals if (form := without_stored_time(refusal.origin)) is not None}
        origins = forms if stream == EVENTS else forms | {refusal.origin for refusal in refusals}
        is_earlier = or_(rejection.stream == stream, and_(rejection.stream == EVENTS, rejection.subject.is_not(None)))
        query = select(rejection.origin, rejection.time).where(one_of(rejection.origin, origins), is_earlier)
        stored = {(row.origin, row.time) for row in connection.execute(query)} if origins else set()
        known = stored | {(refusal.origin, refusal.time) for refusal in refusals}
        return [
            refusal
            for refusal in refusals
            if (without_stored_time(refusal.origin), refusal.time) not in known and (refusal.origin, refusal.time) not in stored
        ]

    def _forget_refusals_of(self, connection: Connection, handled_again: Mapping[str, float]) -> None:
        """Delete earlier refusals by the rules. Those by ingest have a ``subject`` and are replaced through REJECTIONS."""
        if not handled_again:
            return
        rejection = self._tables.rejection
        old_forms = [form for origin in handled_again if (form := without_stored_time(origin)) is not None]
        is_same = or_(
            one_of(rejection.c.origin, handled_again.keys()),
            and_(one_of(rejection.c.origin, old_forms), rejection.c.time.in_(list(handled_again.values()))),
        )
        connection.execute(delete(rejection).where(rejection.c.stream == EVENTS, rejection.c.subject.is_(None), is_same))

    def forget_replayed(self, connection: Connection, messages: Sequence[tuple[IntakeReplayed, float]]) -> None:
        """Delete rejections by ingest of replayed messages. The float is the time of their events."""
        rejection = self._tables.rejection
        columns = rejection.c.stream, rejection.c.seq, rejection.c.origin, rejection.c.time
        sequences = {message.sequence for message, _ in messages}
        query = select(*columns).where(one_of(rejection.c.intake_seq, sequences), rejection.c.subject.is_not(None))
        wanted = {(m.stream, m.sequence, m.stored_us) for m, _ in messages}
        wanted_of_old_form = {(m.stream, m.sequence, time) for m, time in messages}
        gone: dict[str, list[int]] = {}
        for row in connection.execute(query):
            origin = IntakeOrigin.of(row.origin)
            if origin is None:
                continue
            is_old_form = origin.stored_us is None
            name = origin.stream, origin.sequence, row.time if is_old_form else origin.stored_us
            if name in (wanted_of_old_form if is_old_form else wanted):
                gone.setdefault(row.stream, []).append(row.seq)
        for stream, keys in gone.items():
            connection.execute(delete(rejection).where(rejection.c.stream == stream, one_of(rejection.c.seq, keys)))

    def _merge_metadata(self, connection: Connection, work: UnitOfWork) -> None:
        job = self._tables.job
        edited = {head.id: head for head in work.jobs.values() if head.metadata_changes}
        if not edited:
            return
        stored = [id_ for id_, head in edited.items() if head.row is None]
        rows = (connection.execute(select(job.c.id, job.c.meta_data).where(one_of(job.c.id, stored)))).all()
        before = {row.id: row.meta_data for row in rows}
        for id_, head in edited.items():
            head.set(meta_data=_merged(before[id_] if head.row is None else head.row["meta_data"], head.metadata_changes))

    def _save_changes(self, connection: Connection, work: UnitOfWork) -> None:
        """Update jobs, grouped by the changed columns, in a few statements regardless of their number."""
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for job in work.jobs.values():
            if job.changes:
                groups.setdefault(tuple(job.changes), []).append({**job.changes, "id": job.id})
        for rows in groups.values():
            update_rows(connection, self._tables.job, rows)

    def _delete_jobs(self, connection: Connection, work: UnitOfWork) -> None:
        deletions, ids = work.deletions, work.deleted_jobs.keys()
        if ids:
            job = self._tables.job
            connection.execute(delete(self._tables.jobtag).where(one_of(self._tables.jobtag.c.job_id, ids)))
            gone = one_of(job.c.id, ids)
            rows = connection.execute(select(job.c.id, job.c.hpc_user, job.c.project).where(gone).order_by(job.c.id))
            deletions = deletions + [work.deleted_jobs[row.id] | {"hpc_user": row.hpc_user, "project": row.project} for row in rows]
            connection.execute(delete(job).where(gone))
        write_rows(connection, insert(self._tables.job_deletion), deletions)

    def _delete_tags(self, connection: Connection, removed: Mapping[int, int]) -> None:
        ids = removed.keys()
        job, jobtag = self._tables.job, self._tables.jobtag
        for tag_id, sequence in removed.items():  # jobs of this batch are updated later, with their other changes
            tagged = connection.scalars(select(jobtag.c.job_id).where(jobtag.c.tag_id == tag_id)).all()
            for first in range(0, len(tagged), JOBS_AT_ONCE):
                some = tagged[first : first + JOBS_AT_ONCE]
                connection.execute(update(job).where(one_of(job.c.id, some)).values(changed_seq=sequence))
                connection.execute(delete(jobtag).where(jobtag.c.tag_id == tag_id, one_of(jobtag.c.job_id, some)))
        if ids:
            connection.execute(delete(self._tables.tag).where(one_of(self._tables.tag.c.id, ids)))

    def _save_jobtags(self, connection: Connection, work: UnitOfWork) -> None:
        jobtag = self._tables.jobtag
        gone = work.stored_jobtags - work.jobtags
        write_rows(
            connection,
            delete(jobtag).where(jobtag.c.job_id == bindparam("b_job"), jobtag.c.tag_id == bindparam("b_tag")),
            [{"b_job": job_id, "b_tag": tag_id} for job_id, tag_id in sorted(gone)],
        )
        new = sorted(work.jobtags - work.stored_jobtags)
        write_rows(connection, insert(jobtag), [{"job_id": job_id, "tag_id": tag_id} for job_id, tag_id in new])

    # passing time

    def presume_dead(self, connection: Connection, sequence: int, now: int, grace_s: int) -> int:
        """Mark running jobs as failed that exceed their walltime. Returns their number."""
        job = self._tables.job.c
        overdue = is_running(job.job_state), job.walltime > 0, job.start_time < now - grace_s - job.walltime
        end = update(self._tables.job).values(
            job_state=JobState.FAILED.value,
            duration=job.walltime,
            monitoring_status=case((job.monitoring_status == MONITORING_DISABLED, MONITORING_DISABLED), else_=ARCHIVING_FAILED),
            is_overdue=1,
            changed_seq=sequence,
        )
        ended = 0
        while ids := connection.scalars(select(job.id).where(*overdue).limit(JOBS_AT_ONCE)).all():
            connection.execute(end.where(one_of(job.id, ids)))
            ended += len(ids)
        return ended

    def superseded(self, connection: Connection, now: float, limit: int) -> list[int]:
        """The lowest ``limit`` scheduler ids with a run whose wait for its stop is over and that is followed by a later run."""
        job = self._tables.job.c
        query = select(job.job_id).distinct().where(is_running(job.job_state), job.unsettled_until < now).order_by(job.job_id)
        return list(connection.scalars(query.limit(limit)))

    def dismiss(self, connection: Connection, sequences: Sequence[int], stream: str) -> None:
        """Delete the refusals with these sequences of one stream."""
        rejection = self._tables.rejection
        connection.execute(delete(rejection).where(rejection.c.stream == stream, one_of(rejection.c.seq, sequences)))

    def forget_refusals(self, connection: Connection, before: float, stream: str = EVENTS) -> None:
        """Delete old refusals of one stream, so that the rows of each stream depend only on that stream."""
        rejection = self._tables.rejection
        old = select(rejection.c.seq).where(rejection.c.stream == stream, rejection.c.time < before).limit(ROWS_AT_ONCE)
        while sequences := connection.scalars(old).all():
            connection.execute(delete(rejection).where(rejection.c.stream == stream, one_of(rejection.c.seq, sequences)))

    def forget_parked(self, connection: Connection, sequences: Sequence[int]) -> None:
        if sequences:
            connection.execute(delete(self._tables.parked_stop).where(one_of(self._tables.parked_stop.c.seq, sequences)))


class _Events:
    """The events of a batch by type."""

    def __init__(self, records: Iterable[Recorded | Unreadable]) -> None:
        self._by_type: dict[type[Event], list[Any]] = {}
        for record in records:
            if isinstance(record, Recorded):
                self._by_type.setdefault(type(record.event), []).append(record.event)

    def of(self, *kinds: type[E]) -> list[E]:
        return [event for kind in kinds for event in self._by_type.get(kind, ())]


def _merged(stored: str | None, changes: dict[str, str | None]) -> str | None:
    merged = {**(orjson.loads(stored) if stored else {}), **changes}
    left = {key: value for key, value in merged.items() if value is not None}
    return orjson.dumps(left, option=orjson.OPT_SORT_KEYS).decode() if left else None


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
    return ParkedStop(row.seq, stop, row.origin, row.parked_at, bool(row.was_applied))


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
        "was_applied": int(parked.was_applied),
    }


def _refusal_row(refusal: Refusal, stream: str) -> dict[str, Any]:
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
        "stream": stream,
    }
