"""Time series of a finished job with 32 nodes, out of the archive."""

from collections.abc import AsyncGenerator, Sequence

from bench.context import Bench
from bench.dashboard.checks import check_job_metrics
from bench.dashboard.client import Client
from bench.dashboard.documents import JOB_METRICS
from bench.dashboard.gateway import Gateway, gateway_over
from bench.dashboard.measure import Times
from bench.history.archive import NODES, archive_largest, job_data
from bench.history.stores import Store
from bench.results import Result, Target
from bench.support.database import reading
from bench.support.site import PreparedSite

METRICS = ("flops_any", "mem_bw")
SAMPLES = 1830  # of a node and metric: two metrics are an answer of about 870 kB
LIMIT = Target(40, is_upper=True)
CC_BACKEND = "43 / 50 ms"


async def job_metrics(bench: Bench) -> AsyncGenerator[Result, None]:
    for engine in bench.engines:
        ids: list[int] = []

        async def prepare(prepared: PreparedSite, store: Store, ids: list[int] = ids) -> None:
            ids += await archive_largest(store.database, prepared.archive, bench.scale.archived_32, SAMPLES)

        async with gateway_over(bench, engine, bench.scale.history, prepare=prepare) as gateway:
            await _ask(gateway.client, ids[:1])  # connections and code; its job's second time is among the others'
            first = await _ask(gateway.client, ids[1:])
            again = Times()
            for _ in range(max(2, bench.scale.requests // len(ids))):
                times = await _ask(gateway.client, ids)
                again.seconds += times.seconds
                again.sizes += times.sizes
            packed = await _ask(gateway.client, ids, encoding="gzip")
            await _verify(gateway, ids[-1])
            setting = gateway.setting
        what = f"metrics of a finished job: {NODES} nodes, {len(METRICS)} metrics, {again.sizes[-1] / 1000:.0f} kB"
        for name, times, target, compared in (
            (what, again, LIMIT, CC_BACKEND),
            ("… each job for the first time", first, LIMIT, ""),
            ("… with gzip", packed, None, ""),
        ):
            what = f"{name}: p99 (p50: {times.ms(50):.3g} ms)"
            yield Result(what, times.ms(99), "ms", setting, target, compared, times.details() | {"jobs": len(ids)})


async def _ask(client: Client, ids: Sequence[int], encoding: str = "identity") -> Times:
    times = Times()
    for id_ in ids:
        answer = await client.ask(JOB_METRICS, {"id": str(id_), "metrics": METRICS, "scopes": ["node"]}, encoding)
        times.seconds.append(answer.seconds)
        times.sizes.append(answer.size)
    return times


async def _verify(gateway: Gateway, id_: int) -> None:
    """Raises WrongAnswer."""
    async with reading(gateway.store.database) as reader:
        ((hosts,),) = await reader.rows(f"SELECT hosts FROM job WHERE id = {id_}")
    answer = await gateway.client.ask(JOB_METRICS, {"id": str(id_), "metrics": METRICS, "scopes": ["node"]})
    check_job_metrics(answer.data, job_data(id_, hosts.split(), SAMPLES), METRICS)
