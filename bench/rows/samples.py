"""The metric store: lines from the broker to visible, memory, files, queries, its start, and job events beside it."""

import time
from collections.abc import AsyncGenerator
from pathlib import Path

from bench.context import Bench
from bench.load.lines import Load
from bench.load.samples import HOUR_S, METRICS, cluster_json
from bench.results import Result, Target
from bench.support.flow import send
from bench.support.samples import NODES, QUERY_METRICS, ask, cpu_s, numbers, sender, store_site, wait_visible, write_files
from bench.support.site import EVENT_PATH, Site, prepared_site
from bench.support.usage import memory_of
from shared.broker.clusters import add_cluster
from tests.support.nats import client_of

US_PER_LINE = Target(2.5, is_upper=True)
BYTES_HELD = Target(8, is_upper=True)
MEMORY_MB = Target(250, is_upper=True)
BYTES_IN_FILES = Target(3, is_upper=True)
MEMORY_MS = Target(40, is_upper=True)
FILES_MS = Target(150, is_upper=True)
READY_S = Target(5, is_upper=True)
BESIDE = Target(85)
LINES_PER_S = 20_000
_MB = 1e6
_WARM_UP = 250  # jobs


def _what(place: str) -> str:
    return f"query of {NODES} nodes, {QUERY_METRICS} metrics, 24 h at 60 s, from {place}"


async def memory(bench: Bench) -> AsyncGenerator[Result, None]:
    """All samples of a day come as fast as they can, and stay in memory."""
    hosts, minutes = bench.scale.sample_hosts, bench.scale.sample_hours * 60
    end = int(time.time()) // HOUR_S * HOUR_S
    with bench.folder() as folder:
        async with store_site(folder) as site:
            hours = str(bench.scale.sample_hours + 2)
            store = await site.start(folder / "samples", JOBTIDE_METRICSTORE_MEMORY_HOURS=hours, JOBTIDE_METRICSTORE_SAVE_S="3600")
            empty = memory_of([store.pid])
            async with sender(site.nats, hosts, end - minutes * 60, minutes) as source:
                used, broker = cpu_s(store.pid), cpu_s(site.server.pid)
                source.begin()
                sent = await source.finished()
                await wait_visible(site.nats, store, sent.messages)
                used, broker = cpu_s(store.pid) - used, cpu_s(site.server.pid) - broker
            stored = (await numbers(store))["jobtide_metricstore_samples_total"]
            full = memory_of([store.pid])
            await ask(store, hosts, end, 3)
            times, cpu = await ask(store, hosts, end, bench.scale.requests)
    setting = {"series": f"{hosts * len(METRICS):,} series", "samples": f"{stored:,.0f} samples"}
    details = {"lines": sent.lines, "stored": stored, "broker_us_per_line": broker / sent.lines * 1e6, "sent_in_s": sent.seconds}
    yield Result("processor time per line, from the broker to visible", used / sent.lines * 1e6, "µs", setting, US_PER_LINE, "4.1", details)
    held = {"empty_mb": empty.rss / _MB, "full_mb": full.rss / _MB}
    yield Result("memory per sample held", (full.rss - empty.rss) / stored, "bytes", setting, BYTES_HELD, "118", held)
    yield Result("memory of the process, RSS", full.rss / _MB, "MB", setting, MEMORY_MB, "", held)
    about = times.details() | {"cpu_ms": cpu * 1000}
    yield Result(f"{_what('memory')}: p99 (p50: {times.ms(50):.3g} ms)", times.ms(99), "ms", setting, MEMORY_MS, "", about)


async def files(bench: Bench) -> AsyncGenerator[Result, None]:
    """A store starts over a folder of files, and answers from them."""
    hosts = bench.scale.sample_hosts
    end_hour = int(time.time()) // HOUR_S - 5
    with bench.folder() as folder:
        async with store_site(folder) as site:
            bench.say(f"writing {bench.scale.file_hours} files")
            samples, size = write_files(folder / "samples", hosts, end_hour, bench.scale.file_hours)
            started = time.perf_counter()
            store = await site.start(folder / "samples", JOBTIDE_METRICSTORE_MEMORY_HOURS="1")
            ready, used = time.perf_counter() - started, cpu_s(store.pid)
            first, _ = await ask(store, hosts, end_hour * HOUR_S, 1)
            times, cpu = await ask(store, hosts, end_hour * HOUR_S, bench.scale.requests)
    setting = {"series": f"{hosts * len(METRICS):,} series", "samples": f"{samples:,} samples"}
    yield Result("disk per sample", size / samples, "bytes", setting, BYTES_IN_FILES, details={"files": bench.scale.file_hours})
    yield Result("start of the store to ready", ready, "s", setting, READY_S, details={"cpu_s": used})
    about = times.details() | {"cpu_ms": cpu * 1000}
    yield Result(f"{_what('files')}: p99 (p50: {times.ms(50):.3g} ms)", times.ms(99), "ms", setting, FILES_MS, "", about)
    yield Result("… the first query after the start", first.ms(99), "ms", setting)


async def beside(bench: Bench) -> AsyncGenerator[Result, None]:
    """Job events alone, then with a metric store in its own process that takes lines meanwhile."""
    hosts = bench.scale.sample_hosts
    with bench.folder() as folder, bench.folder() as scratch:
        async with prepared_site(bench.databases, "sqlite", folder) as prepared:
            async with client_of(prepared.nats) as client:
                await add_cluster(client, prepared.nats, cluster_json())
            site = await prepared.start(*EVENT_PATH)
            await send(site, Load(_WARM_UP), scratch)
            rates: dict[str, list[float]] = {"alone": [], "beside": []}
            job = _WARM_UP + 1
            await prepared.start("metricstore", JOBTIDE_METRICSTORE_PATH=str(folder / "samples"))
            for _ in range(bench.scale.beside_times):
                for how, found in rates.items():
                    load = Load(bench.scale.beside, first_job=job)
                    job += bench.scale.beside
                    found.append(await _rate(site, load, scratch, hosts if how == "beside" else 0))
    alone, both = (sorted(found)[len(found) // 2] for found in rates.values())
    what = f"job events per second beside {LINES_PER_S:,} lines/s, against without"
    yield Result(what, both / alone * 100, "%", site.setting, BESIDE, "", {"events_per_s": rates})


async def _rate(site: Site, load: Load, scratch: Path, hosts: int) -> float:
    """Events per second; with ``hosts`` their samples are sent meanwhile."""
    if not hosts:
        return (await send(site, load, scratch)).per_second(load.events)
    begin = int(time.time()) // HOUR_S * HOUR_S - HOUR_S
    async with sender(site.nats, hosts, begin, 60, LINES_PER_S) as source:
        source.begin()
        passage = await send(site, load, scratch)
    return passage.per_second(load.events)
