"""Samples of many nodes: ``python -m bench.load.samples --url … --subject … --hosts N --begin T --minutes N [--rate N]``.

One message per node and minute, as collectors send them. Waits for a line on standard input before it begins, and ends with one line of
JSON. The values are made from the hour and the metric, so a check can make them again.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator

import nats
import numpy as np
from numpy.typing import NDArray

from tests.metricstore.site import cluster_text

METRICS = tuple(f"metric_{number:02}" for number in range(28))
CLUSTER = "nova"
STEP_S = 60
HOUR_S = 3600
SLOTS = HOUR_S // STEP_S
FLUSH_EVERY = 100  # messages; a round trip to the broker, so that what it has not read stays bounded


def cluster_json() -> bytes:
    return cluster_text(CLUSTER, dict.fromkeys(METRICS, (STEP_S, "avg")))


def host(number: int) -> str:
    return f"f{number:04}"


def values(metric: int, hour: int, hosts: int) -> NDArray[np.float32]:
    """The samples of all hosts in an hour: a quarter of the metrics is 0, the others are percentages, kilobytes, and rates."""
    noise = np.random.default_rng((hour, metric)).random((hosts, SLOTS))
    match metric % 4:
        case 0:
            found = np.zeros((hosts, SLOTS))
        case 1:
            found = np.round(noise * 100, 2)
        case 2:
            found = np.round(np.cumsum(noise - 0.5, axis=1) * 1000 + 64_000)
        case _:
            found = np.char.mod("%.6g", noise * 1e6).astype(float)
    return found.astype(np.float32)


def messages(hosts: int, begin: int, minutes: int) -> Iterator[bytes]:
    heads = [[f"{metric},cluster={CLUSTER},hostname={host(number)},type=node value=" for metric in METRICS] for number in range(hosts)]
    block: list[list[list[float]]] = []
    for minute in range(minutes):
        at = begin + minute * STEP_S
        if not block or at % HOUR_S == 0:
            hour = np.stack([values(metric, at // HOUR_S, hosts) for metric in range(len(METRICS))])
            block = hour.transpose(2, 1, 0).tolist()  # by minute, host and metric
        for names, samples in zip(heads, block[at % HOUR_S // STEP_S], strict=True):
            yield "\n".join([f"{name}{sample:.7g} {at}" for name, sample in zip(names, samples, strict=True)]).encode()


async def publish(url: str, subject: str, found: Iterator[bytes], rate: float | None) -> dict[str, float]:
    client = await nats.connect(url, pending_size=64 * 1024 * 1024, max_reconnect_attempts=-1)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.time()
    number = 0
    for number, message in enumerate(found, 1):
        await client.publish(subject, message)
        if number % FLUSH_EVERY == 0:
            await client.flush(60)
            if rate is not None:
                await asyncio.sleep(max(0.0, started + number * len(METRICS) / rate - time.time()))
    await client.flush(60)
    finished = time.time()
    await client.close()
    return {"messages": number, "lines": number * len(METRICS), "started": started, "finished": finished}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--subject", required=True)
    for name in ("--hosts", "--begin", "--minutes"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--rate", type=float, help="lines per second")
    given = parser.parse_args()
    print(
        json.dumps(asyncio.run(publish(given.url, given.subject, messages(given.hosts, given.begin, given.minutes), given.rate))),
        flush=True,
    )


if __name__ == "__main__":
    main()
