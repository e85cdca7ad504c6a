"""Tag changes: the permission rules of REST and GraphQL, and the events that both publish."""

from collections.abc import Sequence
from http import HTTPStatus

from services.gateway.errors import RequestError, forbidden
from services.gateway.people.identity import ADMIN, User
from services.gateway.reading.jobs import StoredTag
from services.gateway.writing.commands import Commands
from shared.domain.events import JobTagged, JobUntagged, Tag, TagCreated, TagRemoved
from shared.domain.values import ADMIN_SCOPE, GLOBAL_SCOPE

JobChange = type[JobTagged] | type[JobUntagged]


def require_writable(user: User, scope: str) -> None:
    """Raises RequestError (403)."""
    if not user.may_write_scope(scope):
        raise forbidden(f"the scope {scope!r} may not be written by {user.name}")


def require_person_may_write(user: User, scope: str) -> None:
    """As in GraphQL, where a program may write its own tags only. Raises RequestError (403)."""
    if user.is_program and scope in (GLOBAL_SCOPE, ADMIN_SCOPE):
        raise forbidden(f"the scope {scope!r} may not be written by programs here")
    require_writable(user, scope)


def require_removable(user: User, scope: str) -> None:
    """Raises RequestError (403)."""
    if scope in (GLOBAL_SCOPE, ADMIN_SCOPE) and ADMIN not in user.roles:
        raise forbidden(f"tags of the scope {scope!r} are removed by admins only")
    require_writable(user, scope)


def as_event(tag: StoredTag) -> Tag:
    return Tag(type=tag.type, name=tag.name, scope=tag.scope)


async def change_job(commands: Commands, user: User, change: JobChange, job: int, cluster: str, tags: Sequence[Tag]) -> int:
    """Returns the sequence of the change. Raises Unavailable, RequestError."""
    return (await commands.decide(change(id=job, cluster=cluster, tags=list(tags)), user)).sequence


async def create(commands: Commands, user: User, tag: Tag) -> int:
    """Returns the sequence of the change. Raises RequestError (409) when it exists already, Unavailable."""
    outcome = await commands.decide(TagCreated(tag=tag), user)
    if outcome.kind == "duplicate":
        raise RequestError(HTTPStatus.CONFLICT, f"the tag {'/'.join(tag.key)} exists already")
    return outcome.sequence


async def remove(commands: Commands, user: User, tags: Sequence[Tag]) -> None:
    """Remove tags from all jobs and from the list of tags, one by one. Raises RequestError, Unavailable."""
    for tag in tags:
        await commands.decide(TagRemoved(tag=tag), user)
