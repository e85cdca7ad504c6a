"""Events per second, from publish to visible in the database; without archiving, and with every job archived."""

from collections.abc import AsyncGenerator

from bench.context import Bench
from bench.load.lines import Load
from bench.results import Result, Target
from bench.rows.sites import modes, site_of
from bench.support.database import reading
from bench.support.drain import ARCHIVED, wait_archived
from bench.support.flow import send
from bench.support.site import ALL_SERVICES, EVENT_PATH

SEPARATE = Target(8000)
EMBEDDED = Target(6000)
CC_BACKEND = "985 (starts alone 4,500, stops alone 690)"
CC_BACKEND_ARCHIVING = "150"
_WARM_UP = 250  # jobs: connections are open, code is compiled, tables are not empty


async def unarchived(bench: Bench) -> AsyncGenerator[Result, None]:
    """Monitoring off."""
    for mode, engine in modes(bench, bench.engines_compared):
        async with site_of(bench, mode, engine, EVENT_PATH) as site:
            with bench.folder() as scratch:
                await send(site, Load(_WARM_UP), scratch)
                load = Load(bench.scale.rate, first_job=_WARM_UP + 1)
                bench.say(f"{mode}, {engine}: {load.events} events")
                passage = await send(site, load, scratch)
        yield Result(
            "publish to visible in the database, monitoring off",
            passage.per_second(load.events),
            "events/s",
            site.setting,
            EMBEDDED if mode == "embedded" else SEPARATE,
            CC_BACKEND,
            {
                "events": load.events,
                "seconds": passage.seconds,
                "publisher_per_s": passage.published.per_second,
                "ingest_per_s": load.events / passage.translated_s,
                "cpu_us_per_event": passage.cpu_us_per_event,
                "resolution_s": passage.positions.resolution_s,
            },
        )


async def archived(bench: Bench) -> AsyncGenerator[Result, None]:
    """Every job goes into the archive, with metadata only."""
    for mode, engine in modes(bench, bench.engines):
        async with site_of(bench, mode, engine, ALL_SERVICES) as site:
            with bench.folder() as scratch:
                await send(site, Load(_WARM_UP, monitoring_status=1), scratch)
                load = Load(bench.scale.archived, first_job=_WARM_UP + 1, monitoring_status=1)
                bench.say(f"{mode}, {engine}: {load.events} events, {load.jobs} jobs to archive")
                passage = await send(site, load, scratch)
                async with reading(site.database) as reader:
                    ((then,),) = await reader.rows(ARCHIVED)
                drained = await wait_archived(site, _WARM_UP + load.jobs)
        since_publish_s = drained - passage.published.started
        details = {
            "events": load.events,
            "seconds": passage.seconds,
            "archived_when_events_were_visible": then,
            "publisher_per_s": passage.published.per_second,
            "ingest_per_s": load.events / passage.translated_s,
            "cpu_us_per_event": passage.cpu_us_per_event,
        }
        target = EMBEDDED if mode == "embedded" else SEPARATE
        what = "publish to visible in the database, every job archived"
        yield Result(what, passage.per_second(load.events), "events/s", site.setting, target, CC_BACKEND_ARCHIVING, details)
        yield Result("… until the archive queue is empty", since_publish_s, "s", site.setting, details={"jobs": load.jobs})
        yield Result("… jobs archived meanwhile", load.jobs / since_publish_s, "jobs/s", site.setting)
