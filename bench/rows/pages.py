"""The pages in a real Chromium, over a site with a million jobs."""

from collections.abc import AsyncGenerator

from bench.context import Bench
from bench.pages import measures
from bench.pages.hours import hours
from bench.pages.site import pages_site
from bench.results import Result


async def pages(bench: Bench) -> AsyncGenerator[Result, None]:
    async with pages_site(bench) as site:
        for result in measures.weight():
            yield result
        for measure in (
            measures.cold_loads,
            measures.other_rows,
            measures.scrolled_plots,
            measures.job_view,
            measures.node_grid,
            measures.ten_tabs,
            measures.on_screen,
            hours,
        ):
            bench.say(measure.__name__.replace("_", " "))
            for result in await measure(bench, site):
                yield result
