"""The list of tags."""

from sqlalchemy import select

from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.queries.filters import readable_tags
from services.gateway.queries.jobs import StoredTag
from shared.database.engine import transaction
from shared.database.tables import tables


@answers(QUERY, "tags")
async def tags(ask: Ask) -> list[StoredTag]:
    """Those that the user may read, by id."""

    async def read() -> list[StoredTag]:
        tag = tables.tag.c
        statement = select(tag.id, tag.tag_type, tag.tag_name, tag.tag_scope).where(readable_tags(ask.user)).order_by(tag.id)
        async with transaction(ask.site.engine) as connection:
            return [StoredTag(*row) for row in await connection.execute(statement)]

    return await ask.request.once("tags", read)
