"""Tags: list, create, remove, and attach to jobs."""

from collections.abc import Sequence
from operator import attrgetter

from sqlalchemy import ColumnElement, and_, select

from services.gateway.errors import bad_request, not_found
from services.gateway.graphql.arguments import numeric_id
from services.gateway.graphql.fields.jobs import no_job, visible_id
from services.gateway.graphql.request import MUTATION, QUERY, Ask, answers
from services.gateway.graphql.shape import Tables
from services.gateway.reading.filters import readable_tags
from services.gateway.reading.model import JobSelection, StoredTag
from services.gateway.writing.tagging import JobChange, as_event, require_person_may_write, require_removable
from shared.broker.outcome import NoOutcome
from shared.database.engine import read
from shared.database.tables import tables
from shared.domain.events import JobTagged, JobUntagged, Tag
from shared.domain.intake import MAX_TAGS
from shared.domain.values import MAX_NAME

tag = tables.tag.c


async def _read(ask: Ask, condition: ColumnElement[bool]) -> list[StoredTag]:
    statement = select(tag.id, tag.tag_type, tag.tag_name, tag.tag_scope).where(condition).order_by(tag.id)
    return await read(ask.gateway.engine, lambda connection: [StoredTag(*row) for row in connection.execute(statement)])


@answers(QUERY, "tags")
async def tags(ask: Ask) -> list[StoredTag]:
    """The tags that the user may read, by id."""
    return await ask.request.once("tags", lambda: _read(ask, readable_tags(ask.user)))


@answers(MUTATION, "createTag")
async def create_tag(ask: Ask) -> StoredTag:
    """Raises RequestError: 400, 403, 409, 422, 429."""
    new = Tag(type=ask["type"], name=ask["name"], scope=ask["scope"])
    for name, text in (("type", new.type), ("name", new.name), ("scope", new.scope)):
        if not text or len(text) > MAX_NAME or "\0" in text:
            raise bad_request(f"{name}: must have 1 to {MAX_NAME} characters, without NUL")
    require_person_may_write(ask.user, new.scope)
    sequence = await ask.gateway.tagging.create(ask.user, new)
    found = await _read(ask, and_(tag.tag_type == new.type, tag.tag_name == new.name, tag.tag_scope == new.scope))
    if not found:
        raise NoOutcome(sequence)  # removed in the meantime
    return found[0]


@answers(MUTATION, "addTagsToJob")
async def add_tags_to_job(ask: Ask) -> Sequence[StoredTag]:
    return await _change(ask, JobTagged)


@answers(MUTATION, "removeTagsFromJob")
async def remove_tags_from_job(ask: Ask) -> Sequence[StoredTag]:
    return await _change(ask, JobUntagged)


async def _change(ask: Ask, change: JobChange) -> Sequence[StoredTag]:
    """Returns the job's tags afterwards. Nothing changes unless the user may change all of them."""
    if not ask["tagIds"]:
        return []
    chosen = await _by_ids(ask, ask["tagIds"])
    for one in chosen:
        require_person_may_write(ask.user, one.scope)
    key = await visible_id(ask, ask["job"], "job")
    found = await ask.gateway.jobs.jobs(ask.user, [key], JobSelection(["cluster"]))
    if not found.jobs:
        raise no_job(key)  # deleted in the meantime
    await ask.gateway.tagging.change_job(ask.user, change, key, found.jobs[0].cluster, [as_event(one) for one in chosen])
    return (await ask.gateway.jobs.jobs(ask.user, [key], JobSelection((), tags=True))).tags.get(key, [])


@answers(MUTATION, "removeTagFromList")
async def remove_tag_from_list(ask: Ask) -> list[int]:
    """Returns their ids. Nothing is removed unless the user may remove all of them."""
    return await _remove(ask, ask["tagIds"])


@answers(MUTATION, "deleteTag")
async def delete_tag(ask: Ask) -> str:
    (removed,) = await _remove(ask, [ask["id"]])
    return str(removed)


async def _remove(ask: Ask, ids: Sequence[str]) -> list[int]:
    chosen = await _by_ids(ask, ids)
    for one in chosen:
        require_removable(ask.user, one.scope)
    await ask.gateway.tagging.remove(ask.user, [as_event(one) for one in chosen])
    return [one.id for one in chosen]


async def _by_ids(ask: Ask, ids: Sequence[str]) -> list[StoredTag]:
    """In the order of ``ids``, without duplicates. Raises RequestError: 400, 404."""
    if len(ids) > MAX_TAGS:
        raise bad_request(f"tagIds: more than {MAX_TAGS} tags")
    keys = list(dict.fromkeys(numeric_id(text, "tag id") for text in ids))
    found = {one.id: one for one in await _read(ask, tag.id.in_(keys))} if keys else {}
    for key in keys:
        if key not in found:
            raise not_found(f"no tag with the id {key}")
    return [found[key] for key in keys]


TABLES: Tables = {
    "Tag": {"id": attrgetter("id"), "type": attrgetter("type"), "name": attrgetter("name"), "scope": attrgetter("scope")},
}
