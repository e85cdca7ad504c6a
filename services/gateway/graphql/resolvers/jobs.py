"""Jobs and their related data. Only selected fields are read."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from services.gateway.errors import RequestError, bad_request, not_found
from services.gateway.graphql.arguments import job_filters, numeric_id, order_of, slice_of
from services.gateway.graphql.request import Ask, GraphqlRequest, answers
from services.gateway.graphql.resolvers.people import HIDDEN, visible_to
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shape import Failure
from services.gateway.graphql.shapes.jobs import COLUMNS, JobLink, JobPage, JobView
from services.gateway.people.identity import User
from services.gateway.reading.jobs import FoundJobs, JobsWanted
from services.gateway.reading.model import JobFilter, Order, Slice
from services.gateway.reading.people import Person


@answers(QUERY, "jobs")
async def jobs(ask: Ask) -> JobPage:
    """Reads one job more than the page for ``hasNextPage``. ``count`` runs concurrently, since it may take longer."""
    where = job_filters(ask["filter"], ask.site.clock())
    if not ask.selects("count"):
        return await _page(ask, where)
    page = asyncio.create_task(_page(ask, where))
    count = asyncio.create_task(ask.site.jobs.count(ask.user, where))
    try:
        return replace(await page, count=await count)
    finally:  # one may have failed, or the request was cancelled
        page.cancel()
        count.cancel()
        await asyncio.gather(page, count, return_exceptions=True)


async def _page(ask: Ask, where: Sequence[JobFilter]) -> JobPage:
    """Without count."""
    order, piece = order_of(ask["order"], ask.site.clock()), slice_of(ask["page"])
    if not ask.selects("items") and not ask.selects("hasNextPage"):
        return JobPage(())
    most, bound = piece.most, ask.request.settings.max_items
    if ask.selects("items") and most is not None and most <= bound:
        assert ask.shape is not None
        names = ask.shape.at("items")
        found = await ask.site.jobs.page(ask.user, where, order, piece, _wanted(ask.user, names))
        return JobPage(await _views(ask.request, found, names), has_next_page=found.has_more)
    keys = await ask.site.jobs.select(ask.user, where, order, Slice(min(bound if most is None else most, bound) + 1, piece.first))
    if len(keys) > bound and (most is None or most > bound):
        raise bad_request(f"page: more than {bound} jobs match; request pages")
    items: Sequence[JobView] = ()
    if ask.selects("items"):
        assert ask.shape is not None
        items = await views(ask.request, keys[:most], ask.shape.at("items"))
    return JobPage(items, has_next_page=most is not None and len(keys) > most)


@answers(QUERY, "job")
async def job(ask: Ask) -> JobView:
    """Raises RequestError (404), also for a job that the user may not see."""
    key = await visible_job(ask, ask["id"])
    assert ask.shape is not None
    found = await views(ask.request, [key], ask.shape.names)
    if not found:
        raise no_job(key)
    return found[0]


async def visible_job(ask: Ask, text: str, name: str = "id") -> int:
    """The database id of a job. Raises RequestError: 400 for an invalid id, 404 if the user sees no such job."""
    key = numeric_id(text, name)
    if not await ask.site.jobs.select(ask.user, [JobFilter(ids=(key,))], Order(), Slice(1)):
        raise no_job(key)
    return key


def no_job(key: int) -> RequestError:
    return not_found(f"no job with the database id {key}")


async def views(request: GraphqlRequest, keys: Sequence[int], names: Collection[str]) -> list[JobView]:
    """Jobs in the order of ``keys``, with the data of the Job fields ``names``, in one query per kind of data."""
    return await _views(request, await request.site.jobs.jobs(request.user, keys, _wanted(request.user, names)), names)


def _wanted(user: User, names: Collection[str]) -> JobsWanted:
    columns = {column for name in names for column in COLUMNS.get(name, ())}
    return JobsWanted(columns, "tags" in names, visible_to(user) if "userData" in names else None)


async def _views(request: GraphqlRequest, found: FoundJobs, names: Collection[str]) -> list[JobView]:
    site, user, tags = request.site, request.user, found.tags
    concurrent = await site.jobs.concurrent(user, found.rows) if "concurrentJobs" in names else {}
    has_owners, may_see = "userData" in names, visible_to(user)

    def owner(name: str) -> Person | Failure | None:
        return found.owners.get(name) if may_see(name) else HIDDEN

    now = int(site.clock())
    return [
        JobView(
            row,
            now,
            tags.get(row.id, ()),
            [JobLink(*link) for link in concurrent[row.id]] if row.id in concurrent else None,
            owner(row.hpc_user) if has_owners else None,
        )
        for row in found.rows
    ]
