"""Tags, also those without jobs."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.database.engine import transaction
from shared.database.tables import tables, taken_over
from shared.domain.events import Tag, TagCreated

TAG = "tag"

TagKey = tuple[str, str, str]  # type, name, scope


async def new_tags(engine: AsyncEngine | None, tags: Sequence[TagKey]) -> list[TagKey]:
    """Those that the site neither has nor has removed since they were taken over. Raises Unavailable."""
    if engine is None:
        return list(tags)
    known = await tags_here(engine) | await tags_brought(engine)
    return [tag for tag in tags if tag not in known]


async def create_tags(new: Sequence[TagKey], publisher: Publisher, source: str) -> int:
    """Returns the last sequence, 0 without tags."""
    now, actor = datetime.now(UTC), getpass.getuser()
    created = [TagCreated(tag=Tag(type=type_, name=name, scope=scope)) for type_, name, scope in new]
    envelopes = [Envelope(event, f"takeover:tag:{'/'.join(event.tag.key)}", source, now, actor) for event in created]
    return max(await publisher.publish(envelopes), default=0)


async def remember_tags(writable: AsyncEngine, tags: Sequence[TagKey]) -> None:
    """Note that these tags were taken over: one that is removed here stays away from then on. Raises Unavailable."""
    new = sorted(set(tags) - await tags_brought(writable))
    if new:
        async with transaction(writable) as connection:
            await connection.execute(insert(taken_over), [{"kind": TAG, "name": _name(tag), "digest": ""} for tag in new])


async def tags_here(engine: AsyncEngine) -> set[TagKey]:
    tag = tables.tag.c
    async with transaction(engine) as connection:
        return {(row[0], row[1], row[2]) for row in await connection.execute(select(tag.tag_type, tag.tag_name, tag.tag_scope))}


async def tags_brought(engine: AsyncEngine) -> set[TagKey]:
    """Raises Unavailable."""
    async with transaction(engine) as connection:
        names = await connection.scalars(select(taken_over.c.name).where(taken_over.c.kind == TAG))
        return {(type_, name, scope) for type_, name, scope in map(orjson.loads, names)}


def _name(tag: TagKey) -> str:
    return orjson.dumps(tag).decode()
