"""Measures the requests for small plots: bands of a page of archived jobs, and the newest values of all nodes."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np

from bench.context import Bench
from bench.dashboard.checks import WrongAnswer
from bench.dashboard.client import Answer, Client, QueryFailed, client_of_site
from bench.dashboard.documents import BANDS, NODES_NOW
from bench.dashboard.gateway import gateway_over
from bench.dashboard.measure import Times
from bench.history.archive import NODES, archive_largest, job_data
from bench.history.stores import Store
from bench.load.samples import CLUSTER, HOUR_S, METRICS, STEP_S, cluster_json, host, messages, values
from bench.results import Result, Target
from bench.support.database import reading
from bench.support.samples import cpu_s, write_samples
from bench.support.site import PreparedSite, prepared_site
from shared.broker.clusters import add_cluster
from shared.metricdata.bands import bands_of
from tests.support.nats import client_of

PAGE = 50
BAND_METRICS = ("cpu_load", "cpu_power", "flops_any", "mem_bw", "mem_used", "net_bw")
SAMPLES = 300  # per node and metric; the size of a thumbnail does not depend on it
BANDS_MS = Target(60, is_upper=True)
NODES_MS = Target(30, is_upper=True)
NOW_METRICS = METRICS[1:5]
CLUSTERS_READ_S = 60.0  # until a gateway that has just started knows the clusters


async def bands(bench: Bench) -> AsyncGenerator[Result, None]:
    """Every page consists of jobs that nobody has asked for before. ``cpu_ms`` in the file is the gateway's processor time per page."""
    for engine in bench.engines:
        ids: list[int] = []

        async def prepare(prepared: PreparedSite, store: Store, ids: list[int] = ids) -> None:
            ids += await archive_largest(store.database, prepared.archive, PAGE * bench.scale.pages, SAMPLES)

        async with gateway_over(bench, engine, bench.scale.history, prepare=prepare) as gateway:
            await _ask(gateway.client, ids[:1])  # connections and code
            pages = [ids[first : first + PAGE] for first in range(0, len(ids), PAGE)]
            first, again = Times(), Times()
            process, cpu_ms = gateway.site.services["gateway"].pid, []
            for times in (first, again):
                used = cpu_s(process)
                for page in pages:
                    answer = await _ask(gateway.client, page)
                    times.seconds.append(answer.seconds)
                    times.sizes.append(answer.size)
                cpu_ms.append((cpu_s(process) - used) / len(pages) * 1000)
            await _verify(gateway.client, gateway.store, ids[-1])
            setting = gateway.setting
        what = f"bands of {len(pages[0])} archived jobs of {NODES} nodes, {len(BAND_METRICS)} metrics, {max(first.sizes) / 1000:.0f} kB"
        for name, times, cpu in ((f"{what}, each for the first time", first, cpu_ms[0]), ("… again", again, cpu_ms[1])):
            about = times.details() | {"pages": len(pages), "cpu_ms": cpu}
            yield Result(f"{name}: p99 (p50: {times.ms(50):.3g} ms)", times.ms(99), "ms", setting, BANDS_MS, "", about)


async def _ask(client: Client, ids: Sequence[int]) -> Answer:
    return await client.ask(BANDS, {"ids": [str(id_) for id_ in ids], "metrics": BAND_METRICS})


async def _verify(client: Client, store: Store, id_: int) -> None:
    """Raises WrongAnswer."""
    async with reading(store.database) as reader:
        ((hosts,),) = await reader.rows(f"SELECT hosts FROM job WHERE id = {id_}")
    expected = bands_of(job_data(id_, hosts.split(), SAMPLES), 64)
    (job,) = (await _ask(client, [id_])).data["jobsMetrics"]
    found = {one["name"]: one for one in job["metrics"]}
    for name in BAND_METRICS:
        for line in ("min", "median", "max"):
            right = getattr(expected[name], line)
            if not np.allclose(np.array(found[name][line], dtype=float), right, rtol=1e-3, equal_nan=True):
                raise WrongAnswer(f"{line} of {name} of job {id_}: {found[name][line][:5]}… instead of {right[:5].tolist()}…")


async def nodes_now(bench: Bench) -> AsyncGenerator[Result, None]:
    """Gateway and metric store in processes of their own; all nodes have delivered every metric just now."""
    hosts = bench.scale.now_hosts
    with bench.folder() as folder:
        async with prepared_site(bench.databases, "sqlite", folder) as prepared:
            async with client_of(prepared.nats) as client:
                await add_cluster(client, prepared.nats, cluster_json())
            site = await prepared.start("metricstore", JOBTIDE_METRICSTORE_PATH=str(folder / "samples"))
            url = f"http://{site.services['metricstore'].addresses['http']}"
            at = int(time.time()) // STEP_S * STEP_S
            await write_samples(url, list(messages(hosts, at, 1)))
            site = await prepared.start("gateway", JOBTIDE_METRICS_KIND="cc-metric-store", JOBTIDE_METRICS_URL=url)
            times, used = Times(), 0.0
            processes = [site.services[name].pid for name in ("metricstore", "gateway")]
            async with client_of_site(site, 1) as gateway:
                await _clusters_read(gateway)
                for number in range(bench.scale.requests + 1):
                    answer = await gateway.ask(NODES_NOW, {"cluster": CLUSTER, "metrics": NOW_METRICS})
                    _check(answer.data["nodesNow"], hosts, at)
                    if not number:  # connections and code
                        used = sum(map(cpu_s, processes))
                        continue
                    times.seconds.append(answer.seconds)
                    times.sizes.append(answer.size)
                used = (sum(map(cpu_s, processes)) - used) / bench.scale.requests
    what = f"newest values of {hosts:,} nodes, {len(NOW_METRICS)} metrics, {max(times.sizes) / 1000:.0f} kB"
    setting = {"services": "gateway, metric store", "series": f"{hosts * len(METRICS):,} series"}
    yield Result(
        f"{what}: p99 (p50: {times.ms(50):.3g} ms)", times.ms(99), "ms", setting, NODES_MS, "", times.details() | {"cpu_ms": used * 1000}
    )


async def _clusters_read(client: Client) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(CLUSTERS_READ_S):
        while True:
            try:
                await client.ask(NODES_NOW, {"cluster": CLUSTER, "metrics": NOW_METRICS})
                return
            except QueryFailed:
                await asyncio.sleep(0.1)


def _check(nodes: list[dict[str, Any]], hosts: int, at: int) -> None:
    """Compare the values of the first node. Raises WrongAnswer."""
    if [node["host"] for node in nodes] != [host(number) for number in range(hosts)]:
        raise WrongAnswer(f"{len(nodes)} nodes instead of {hosts}")
    for one, name in zip(nodes[0]["metrics"], NOW_METRICS, strict=True):
        right = float(values(METRICS.index(name), at // HOUR_S, hosts)[0, at % HOUR_S // STEP_S])
        if (one["name"], one["time"]) != (name, at) or abs(one["value"] - right) > 1e-3 * abs(right):
            raise WrongAnswer(f"{one} instead of {right} of {name} at {at}")
