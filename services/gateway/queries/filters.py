"""Which jobs: filters as SQL conditions, and what each user may see. The one place for both, for REST and GraphQL."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, false, literal_column, or_, select, true

from services.gateway.errors import forbidden
from services.gateway.identity import MANAGER, USER, User
from shared.database.tables import tables
from shared.domain.values import JobState

job, tag, jobtag = tables.job.c, tables.tag.c, tables.jobtag.c

# Tag types that taggers set; any other type was given by a person.
AUTOMATIC_TAG_TYPES = ("app", "jobClass")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Jobs that meet everything that is given; times in Unix seconds, both ends included."""

    states: tuple[str, ...] = ()
    cluster: str | None = None
    project: str | None = None
    job_id: int | None = None
    start_time: int | None = None
    started_from: int | None = None
    started_to: int | None = None
    without_tags: bool = False
    without_tags_of_people: bool = False


def conditions(wanted: JobFilter) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = []
    if wanted.states:
        parts.append(in_state(wanted.states[0]) if len(wanted.states) == 1 else job.job_state.in_(wanted.states))
    if wanted.cluster is not None:
        parts.append(job.cluster == wanted.cluster)
    if wanted.project is not None:
        parts.append(job.project == wanted.project)
    if wanted.job_id is not None:
        parts.append(job.job_id == wanted.job_id)
    if wanted.start_time is not None:
        parts.append(job.start_time == wanted.start_time)
    if wanted.started_from is not None:
        parts.append(job.start_time >= wanted.started_from)
    if wanted.started_to is not None:
        parts.append(job.start_time <= wanted.started_to)
    if wanted.without_tags:
        parts.append(~exists(select(jobtag.tag_id).where(jobtag.job_id == job.id)))
    if wanted.without_tags_of_people:
        of_people = select(jobtag.tag_id).join(tables.tag, tag.id == jobtag.tag_id)
        parts.append(~exists(of_people.where(jobtag.job_id == job.id, tag.tag_type.not_in(AUTOMATIC_TAG_TYPES))))
    return and_(true(), *parts)


def in_state(state: str) -> ColumnElement[bool]:
    """The state stands in the text of the statement: only so the partial index of running jobs fits, on both engines.

    Raises ValueError when it is none.
    """
    return job.job_state == literal_column(f"'{JobState(state).value}'")


def visible_to(user: User) -> ColumnElement[bool]:
    """The jobs that a user may see; every query of jobs carries this. Raises RequestError (403) without a usable role."""
    if user.sees_all_jobs:
        return true()
    if MANAGER in user.roles and user.projects:
        return or_(job.project.in_(sorted(user.projects)), job.hpc_user == user.name)
    if user.roles & {MANAGER, USER}:
        return job.hpc_user == user.name
    raise forbidden(f"the user {user.name} has no role that sees jobs")


def may_see(user: User, owner: str, project: str) -> bool:
    """``visible_to`` for one job that is not in the database, or not any more."""
    if user.sees_all_jobs:
        return True
    if MANAGER in user.roles and project in user.projects:
        return True
    return bool(user.roles & {MANAGER, USER}) and owner == user.name


def readable_tags(user: User) -> ColumnElement[bool]:
    scopes = user.readable_scopes
    return tag.tag_scope.in_(scopes) if scopes else false()
