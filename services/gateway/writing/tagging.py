"""Tag changes: the rules and limits of REST and GraphQL, and the events that both publish."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from weakref import WeakValueDictionary

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.errors import RequestError, forbidden
from services.gateway.people.identity import ADMIN, User
from services.gateway.people.limits import Bucket, Limit, LocalBuckets
from services.gateway.reading.model import StoredTag
from services.gateway.writing.commands import Commands
from shared.database.engine import read
from shared.database.tables import tables
from shared.domain.events import JobAdviceMuted, JobTagged, JobUntagged, Tag, TagCreated, TagRemoved
from shared.domain.values import ADMIN_SCOPE, GLOBAL_SCOPE

JobChange = type[JobTagged] | type[JobUntagged]


def require_writable(user: User, scope: str) -> None:
    """Raises RequestError (403)."""
    if not user.may_write_scope(scope):
        raise forbidden(f"the scope {scope!r} may not be written by {user.name}")


def require_person_may_write(user: User, scope: str) -> None:
    """The rule of GraphQL: a program may write only its own tags. Raises RequestError (403)."""
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


@dataclass(frozen=True, slots=True)
class TagLimits:
    """For one user; programs and admins are not limited, since they tag on behalf of the site."""

    private: int
    changes_per_minute: int


class Tagging:
    """Publishes changes of tags. Every method raises Unavailable, and RequestError (422, 429) above the limits."""

    def __init__(self, commands: Commands, engine: AsyncEngine, limits: TagLimits, clock: Callable[[], float]) -> None:
        self._commands = commands
        self._engine = engine
        self._limits = limits
        self._clock = clock
        self._changes = LocalBuckets()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def change_job(self, user: User, change: JobChange, job: int, cluster: str, tags: Sequence[Tag]) -> int:
        """Returns the sequence of the change. Raises RequestError."""
        event = change(id=job, cluster=cluster, tags=list(tags))
        async with self._limited(user, tags if isinstance(event, JobTagged) else ()):
            return (await self._commands.decide(event, user)).sequence

    async def create(self, user: User, tag: Tag) -> int:
        """Returns the sequence of the change. Raises RequestError (409) when it exists already."""
        async with self._limited(user, [tag]):
            outcome = await self._commands.decide(TagCreated(tag=tag), user)
        if outcome.kind == "duplicate":
            raise RequestError(HTTPStatus.CONFLICT, f"the tag {'/'.join(tag.key)} exists already")
        return outcome.sequence

    async def remove(self, user: User, tags: Sequence[Tag]) -> None:
        """Remove tags from all jobs and from the list of tags, one by one. Raises RequestError."""
        for tag in tags:
            async with self._limited(user):
                await self._commands.decide(TagRemoved(tag=tag), user)

    async def mute(self, user: User, job: int, cluster: str, rule: str, *, muted: bool) -> None:
        """Hide the advice of a rule, or show it again; either changes the tags of the job. Raises RequestError."""
        async with self._limited(user):
            await self._commands.decide(JobAdviceMuted(id=job, cluster=cluster, rule=rule, muted=muted), user)

    @asynccontextmanager
    async def _limited(self, user: User, used: Sequence[Tag] = ()) -> AsyncIterator[None]:
        """Publish in the block. Changes that may create private tags of one user are made one at a time, so that they can be counted."""
        if user.is_program or user.is_admin:
            yield
            return
        wait_s = await self._changes.take([self._changes_of(user)], self._clock())
        if wait_s:
            raise RequestError(HTTPStatus.TOO_MANY_REQUESTS, f"too many changes of tags; try again in {math.ceil(wait_s)} s")
        private = [tag for tag in used if tag.scope == user.name]
        if not private:
            yield
            return
        async with self._locks.setdefault(user.name, asyncio.Lock()):
            await self._require_room(user, private)
            yield

    async def _require_room(self, user: User, private: Sequence[Tag]) -> None:
        column = tables.tag.c
        statement = select(column.tag_type, column.tag_name).where(column.tag_scope == user.name)
        known = {tuple(row) for row in await read(self._engine, lambda connection: connection.execute(statement).all())}
        new = {(tag.type, tag.name) for tag in private} - known
        if new and len(known) + len(new) > self._limits.private:
            raise RequestError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"{user.name} has {len(known)} private tags, and at most {self._limits.private} are allowed (gateway.max_private_tags);"
                " remove unused ones first",
            )

    def _changes_of(self, user: User) -> Bucket:
        return Bucket(user.name, Limit(self._limits.changes_per_minute, 60 / self._limits.changes_per_minute))
