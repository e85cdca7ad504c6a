"""Does an event cost more when many jobs are stored?"""

from collections.abc import AsyncGenerator

from bench.context import Bench
from bench.load.lines import Load
from bench.results import Result, Target
from bench.rows.rate import CC_BACKEND
from bench.support.flow import Passage, send
from bench.support.servers import Engine
from bench.support.site import EVENT_PATH, prepared_site

GROWTH = Target(1.2, is_upper=True)
_WARM_UP = 250


async def growth(bench: Bench) -> AsyncGenerator[Result, None]:
    for engine in bench.engines:
        costs, used_us = [], []
        for stored in bench.scale.stored:
            load = Load(bench.scale.growth, first_job=stored + _WARM_UP + 1)
            passage, setting = await _measure(bench, engine, stored, load)
            used = passage.cpu_us_per_event
            costs.append(passage.seconds / load.events)
            used_us.append(sum(used.values()))
            yield Result(
                f"with {stored:,} jobs stored",
                passage.per_second(load.events),
                "events/s",
                setting,
                compared=CC_BACKEND.split(" ", 1)[0] + " at 10^6" if stored == bench.scale.stored[-1] else "",
                details={"events": load.events, "cpu_us_per_event": used, "publisher_per_s": passage.published.per_second},
            )
        what = f"cost per event, {bench.scale.stored[-1]:,} against {bench.scale.stored[0]:,} jobs stored"
        yield Result(what, costs[-1] / costs[0], "times", setting, GROWTH, "flat")
        what = "… in processor time of all processes"
        yield Result(what, used_us[-1] / used_us[0], "times", setting, GROWTH, details={"us_per_event": used_us})


async def _measure(bench: Bench, engine: Engine, stored: int, load: Load) -> tuple[Passage, dict[str, str]]:
    bench.say(f"{engine}: storing {stored:,} jobs")
    with bench.folder() as folder, bench.folder() as scratch:
        async with prepared_site(bench.databases, engine, folder, stored=stored) as prepared:
            site = await prepared.start(*EVENT_PATH)
            await send(site, Load(_WARM_UP, first_job=stored + 1), scratch)
            bench.say(f"{engine}: {load.events} events")
            return await send(site, load, scratch), site.setting
