"""The load generator's process: ``python -m bench.load.publisher FILE --url … --subject … [--rate N]``.

Reads all messages first, says ``ready``, and begins when a line comes on standard input, so that neither making nor
reading them is measured. Ends with one line of JSON; with ``--rate`` the file FILE.times holds the time of each publish.
"""

import argparse
import array
import asyncio
import json
import sys
import time
from pathlib import Path

import nats

FLUSH_EVERY = 500  # a round trip to the broker: what it has not read yet stays bounded


async def publish(messages: list[bytes], url: str, subject: str, rate: float | None) -> tuple[float, float, list[float]]:
    """The times of the first publish and of the broker's last receipt, and of each publish; Unix seconds."""
    client = await nats.connect(url, pending_size=64 * 1024 * 1024, max_reconnect_attempts=-1)
    times: list[float] = []
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.time()
    for number, message in enumerate(messages):
        if rate is not None:
            ahead_s = started + number / rate - time.time()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            times.append(time.time())
            await client.publish(subject, message)
            await client.flush(10)
        else:
            await client.publish(subject, message)
            if number % FLUSH_EVERY == FLUSH_EVERY - 1:
                await client.flush(30)
    await client.flush(30)
    finished = time.time()
    await client.close()
    return started, finished, times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--subject", required=True)
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    messages = given.file.read_bytes().splitlines(keepends=True)
    started, finished, times = asyncio.run(publish(messages, given.url, given.subject, given.rate))
    if times:
        given.file.with_suffix(".times").write_bytes(array.array("d", times).tobytes())
    print(json.dumps({"messages": len(messages), "started": started, "finished": finished}), flush=True)


if __name__ == "__main__":
    main()
