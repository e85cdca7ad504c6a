"""Jobs: one, a page of them, and what belongs to each. Only what is selected is read."""

from collections.abc import Collection, Sequence
from typing import Any

from services.gateway.errors import RequestError, bad_request, not_found
from services.gateway.graphql.arguments import job_filters, numeric_id, order_of, slice_of
from services.gateway.graphql.request import Ask, GraphqlRequest, answers
from services.gateway.graphql.resolvers.people import owners
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shapes.jobs import COLUMNS, JobLink, JobPage, JobView
from services.gateway.queries.model import JobFilter, Order, Slice


@answers(QUERY, "jobs")
async def jobs(ask: Ask) -> JobPage:
    """Whether there is a next page is known by one more id, never by a count."""
    where = job_filters(ask["filter"], ask.site.clock())
    order, piece = order_of(ask["order"]), slice_of(ask["page"])
    queries, user = ask.site.jobs, ask.user
    items: Sequence[JobView] = ()
    has_next_page = None
    if ask.selects("items") or ask.selects("hasNextPage"):
        most = piece.most
        bound = ask.request.settings.max_items
        keys = await queries.select(user, where, order, Slice(min(bound if most is None else most, bound) + 1, piece.first))
        if len(keys) > bound and (most is None or most > bound):
            raise bad_request(f"page: more than {bound} jobs match, ask for pages")
        has_next_page = most is not None and len(keys) > most
        if ask.selects("items"):
            assert ask.shape is not None
            items = await views(ask.request, keys[:most], ask.shape.at("items"))
    count = await queries.count(user, where) if ask.selects("count") else None
    return JobPage(items, count, has_next_page)


@answers(QUERY, "job")
async def job(ask: Ask) -> JobView:
    """Raises RequestError (404) also for a job that the user may not see."""
    key = await visible_job(ask, ask["id"])
    assert ask.shape is not None
    found = await views(ask.request, [key], ask.shape.names)
    if not found:
        raise no_job(key)
    return found[0]


async def visible_job(ask: Ask, text: str, name: str = "id") -> int:
    """The database id of a job. Raises RequestError: 400, or 404 when there is none for this user."""
    key = numeric_id(text, name)
    if not await ask.site.jobs.select(ask.user, [JobFilter(ids=(key,))], Order(), Slice(1)):
        raise no_job(key)
    return key


def no_job(key: int) -> RequestError:
    return not_found(f"no job with the database id {key}")


async def views(request: GraphqlRequest, keys: Sequence[int], names: Collection[str]) -> list[JobView]:
    """Jobs in the order of ``keys`` with what the fields ``names`` of Job need; each kind is read once for all of them."""
    site, user = request.site, request.user
    columns = {column for name in names for column in COLUMNS.get(name, ())}
    rows: Sequence[Any] = await site.jobs.rows(keys, columns)
    tags = await site.jobs.tags_of(user, keys) if "tags" in names else {}
    concurrent = await site.jobs.concurrent(user, rows) if "concurrentJobs" in names else {}
    people = await owners(request, {row.hpc_user for row in rows}) if "userData" in names else {}
    now = int(site.clock())
    return [
        JobView(
            row,
            now,
            tags.get(row.id, ()),
            [JobLink(*link) for link in concurrent[row.id]] if row.id in concurrent else None,
            people.get(row.hpc_user) if people else None,
        )
        for row in rows
    ]
