"""Jobs."""

from services.gateway.errors import bad_request
from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shapes.jobs import JobPage, JobView
from services.gateway.queries.jobs import Page
from services.gateway.queries.model import JobFilter


@answers(QUERY, "jobs")
async def jobs(ask: Ask) -> JobPage:
    page = ask["page"] or {"itemsPerPage": 50, "page": 1}
    most, number = page["itemsPerPage"], max(page["page"], 1)
    if most < 1:
        raise bad_request(f"invalid items-per-page value: {most}")
    wanted = Page(most + 1, (number - 1) * most, with_metadata=ask.selects("items.metaData"))
    now = int(ask.site.clock())
    views = [
        JobView(job, now, rows.tags.get(job.id, ()))
        async for rows in ask.site.jobs.pages(ask.user, JobFilter(), wanted)
        for job in rows.jobs
    ]
    return JobPage(views[:most], None, len(views) > most)
