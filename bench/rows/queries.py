"""The queries that dashboards send: how long they take, and that their answers are right."""

from collections.abc import AsyncGenerator

from bench.context import Bench
from bench.dashboard.client import QueryFailed
from bench.dashboard.gateway import Gateway, gateway_over
from bench.dashboard.measure import Times, measure, warm_up, wrong_answer, wrong_row
from bench.dashboard.oracle import read_oracle
from bench.dashboard.queries import LISTS, QUERIES, Query
from bench.results import Result, Target
from bench.support.usage import Memory, cpu_seconds, per_event_us

GROWTH = Target(2, is_upper=True)
NONE = Target(0, is_upper=True)
VERIFIED = 4  # answers of each query
_LEAST = 12
_MB = 1e6


async def queries(bench: Bench) -> AsyncGenerator[Result, None]:
    for engine in bench.engines_compared:
        async with gateway_over(bench, engine, bench.scale.history) as gateway:
            started = gateway.memory()
            bench.say(f"{engine}: {VERIFIED} answers of each query against the oracle")
            wrong = await _wrong_answers(gateway)
            what = f"wrong answers, of {VERIFIED * len(QUERIES)} answers and {len(LISTS)} rows"
            yield Result(what, len(wrong), "", gateway.setting, NONE, "", {"wrong": wrong})
            bench.say(f"{engine}: {bench.scale.requests} requests of most queries")
            failed: list[str] = []
            for query in QUERIES:
                try:
                    for result in await _measure(bench, gateway, query):
                        yield result
                except QueryFailed as e:
                    failed.append(f"{query.name}: {e}")
            yield Result("queries that failed", len(failed), "", gateway.setting, NONE, "", {"failed": failed})
            for result in _of_process(gateway, started):
                yield result


async def _wrong_answers(gateway: Gateway) -> list[str]:
    """At most one of each query, which then is asked no further."""
    oracle = await read_oracle(gateway.store.database)
    wrong = [await wrong_answer(gateway.client, query, gateway.store.history, oracle, VERIFIED) for query in QUERIES]
    wrong += [await wrong_row(gateway.client, query, gateway.store.history, gateway.store.database) for query in LISTS]
    return [one for one in wrong if one is not None]


async def _measure(bench: Bench, gateway: Gateway, query: Query) -> list[Result]:
    history, client = gateway.store.history, gateway.client
    requests = max(_LEAST, int(bench.scale.requests * query.requests))
    await warm_up(client, query, history)
    await gateway.take_max_lag()
    before = cpu_seconds(gateway.site)
    times = await measure(client, query, history, requests)
    used = per_event_us(before, cpu_seconds(gateway.site), requests)
    details = times.details() | {
        "requests": requests,
        "longest_block_ms": round(await gateway.take_max_lag() * 1000, 1),
        "cpu_ms_per_request": {name: round(us / 1000, 2) for name, us in used.items()},
    }
    target = None if query.target_ms is None else Target(query.target_ms, is_upper=True)
    compared = f"{query.compared} ms" if query.compared[:1].isdigit() else query.compared
    results = [_result(query.name, times, gateway, target, compared, details)]
    if query.with_count is not None:
        times = await measure(client, query, history, requests // 3, document=query.with_count)
        results.append(_result(f"… and count: {query.name}", times, gateway, None, "", times.details()))
    if query is LISTS[0]:
        times = await measure(client, query, history, requests // 3, encoding="gzip")
        results.append(_result(f"… with gzip: {query.name}", times, gateway, None, "", times.details()))
    return results


def _result(name: str, times: Times, gateway: Gateway, target: Target | None, compared: str, details: dict[str, object]) -> Result:
    return Result(f"{name}: p99 (p50: {times.ms(50):.3g} ms)", times.ms(99), "ms", gateway.setting, target, compared, details)


def _of_process(gateway: Gateway, started: Memory) -> list[Result]:
    now = gateway.memory()
    return [
        Result("memory of the gateway after these queries, RSS", now.rss / _MB, "MB", gateway.setting),
        Result("… before the first one, RSS", started.rss / _MB, "MB", gateway.setting),
        Result("… start of the gateway until its columns are loaded", gateway.load_s, "s", gateway.setting),
        Result("… storing the jobs, past the services", gateway.store.fill_s, "s", gateway.setting),
    ]


async def growth(bench: Bench) -> AsyncGenerator[Result, None]:
    """Of the queries that an index serves; the histories are of the same two years."""
    indexed = [query.with_full_pages() for query in QUERIES if query.has_index]
    for engine in bench.engines:
        p50: list[dict[str, float]] = []
        for finished in (bench.scale.small_history, bench.scale.history):
            async with gateway_over(bench, engine, finished) as gateway:
                p50.append({query.name: await _p50_ms(bench, gateway, query) for query in indexed})
        ratios = {name: p50[1][name] / p50[0][name] for name in p50[0]}
        worst = max(ratios, key=lambda name: ratios[name])
        what = f"p50 with {bench.scale.history:,} against {bench.scale.small_history:,} jobs, the worst: {worst}"
        details = {"ratios": {name: round(ratio, 2) for name, ratio in ratios.items()}, "p50_ms": p50}
        yield Result(what, ratios[worst], "times", {"services": "gateway", "database": engine}, GROWTH, "", details)


async def _p50_ms(bench: Bench, gateway: Gateway, query: Query) -> float:
    await warm_up(gateway.client, query, gateway.store.history)
    return (await measure(gateway.client, query, gateway.store.history, bench.scale.requests)).ms(50)
