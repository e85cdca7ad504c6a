"""Filling a database and a log with finished jobs, without going through the services.

Both hold the same events at the same sequences. Between a job's start and its stop are thousands of other events.
"""

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import orjson
from nats.aio.client import Client

from bench.load.lines import DURATION_S, FIRST_START, Kind, Load, job_script, start_payload
from bench.support.cluster import CLUSTER, host
from bench.support.fill import Rows, fill_database
from shared.broker.envelope import MESSAGE_ID, Envelope
from shared.broker.streams import EVENTS, identity, stream_configs
from shared.database.tables import tables
from shared.domain.events import JobStarted, JobStopped
from shared.domain.payloads import Resource
from shared.domain.values import JobState
from shared.settings import DatabaseSettings, NatsSettings

SCRIPT_LENGTH = 1300
_CHUNK = 20_000
_LAG = 5000  # jobs
_WINDOW = 2000  # messages on the way to the broker: below what it queues for a stream
_MARK = 9_000_000_000_000_001  # stands for a number in a template
_SCRIPT_MARK = "@script@"
_TIME = datetime(2025, 10, 9, 8, 0, tzinfo=UTC)

_COLUMNS = (
    "id job_id cluster subcluster submit_time start_time hpc_user project cluster_partition array_job_id duration walltime job_state "
    "meta_data resources num_nodes num_hwthreads num_acc smt shared monitoring_status energy energy_footprint footprint "
    "requested_memory statistics stop_seq is_overdue job_name hosts changed_seq"
).split()


def _order(jobs: int) -> Iterator[tuple[Kind, int]]:
    return Load(jobs, lag=_LAG).plan()


def _sequences(jobs: int, number: int) -> tuple[int, int]:
    """The sequences of the start and the stop of job ``number``, counted from 1, in the order of ``_order``."""
    lag, place = min(_LAG, jobs), number - 1
    start = place + 1 if place < lag else lag + 2 * (place - lag) + 1
    stop = lag + 2 * place + 2 if place + lag < jobs else jobs + place + 1
    return start, stop


def _rows(jobs: int, first: int, last: int) -> Iterator[tuple[Any, ...]]:
    for number in range(first, last):
        start, stop = _sequences(jobs, number)
        payload = start_payload(number, monitoring_status=0, nodes=1, script_length=SCRIPT_LENGTH)
        resources, meta_data = orjson.dumps(payload["resources"]).decode(), orjson.dumps(payload["metaData"]).decode()
        yield (
            start, number, CLUSTER, "main", 0, payload["startTime"], payload["user"], payload["project"], "main", 0, DURATION_S, 86_400,
            "completed", meta_data, resources, 1, 64, 0, 0, "none", 0, 0.0, None, None, 0, None, stop, 0,
            payload["metaData"]["jobName"], f" {host(number)} ", stop,
        )  # fmt: skip


async def seed_database(settings: DatabaseSettings, jobs: int, stream_created: str) -> None:
    """Make the schema and fill it; ``stream_created`` is the identity of the log that the position counts in."""
    await fill_database(settings, _parts(jobs, stream_created))


def _parts(jobs: int, stream_created: str) -> Iterator[Rows]:
    for first in range(1, jobs + 1, _CHUNK):
        yield Rows(tables.job, _COLUMNS, list(_rows(jobs, first, min(first + _CHUNK, jobs + 1))))
    yield position_rows(2 * jobs, stream_created)


def position_rows(sequence: int, stream_created: str) -> Rows:
    """Set the position of the projection to ``sequence``."""
    return Rows(
        tables.position, ("stream", "sequence", "stream_created", "event_time"), [("EVENTS", sequence, stream_created, _TIME.timestamp())]
    )


async def begin_log_after(client: Client, nats: NatsSettings, sequence: int) -> str:
    """Recreate the log so that its next event has the sequence after this one; returns its identity."""
    streams = client.jetstream(timeout=10)
    config = next(config for config in stream_configs(nats) if config.name == nats.stream(EVENTS))
    await streams.delete_stream(nats.stream(EVENTS))
    return identity(await streams.add_stream(config.evolve(first_seq=sequence + 1)))


async def seed_log(client: Client, nats: NatsSettings, jobs: int) -> str:
    """Fill the empty log with the events of the jobs; returns its identity. Raises RuntimeError when some are missing."""
    await asyncio.to_thread(_publish_raw, nats.url, nats.prefix, jobs)
    info = await client.jetstream(timeout=30).stream_info(nats.stream(EVENTS))
    if info.state.last_seq != 2 * jobs:
        raise RuntimeError(f"the log ends at {info.state.last_seq} instead of {2 * jobs}")
    return identity(info)


def _publish_raw(url: str, prefix: str, jobs: int) -> None:
    """Frames of the client protocol over a socket: a client library would take most of an hour of the benchmark's time."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "127.0.0.1", address.port or 4222), timeout=60) as connection:
        connection.sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB bench.window 1\r\n')
        frames: list[bytes] = []
        for place, (kind, number) in enumerate(_order(jobs), 1):
            frames.append(_start_frame(prefix, number) if kind == "start" else _stop_frame(prefix, number))
            if len(frames) == _WINDOW or place == 2 * jobs:
                verb, subject, rest = frames[-1].split(b" ", 2)
                frames[-1] = b" ".join([verb, subject, b"bench.window", rest])  # only the last one is acknowledged by the stream
                connection.sendall(b"".join(frames))
                _await_message(connection)
                frames = []


def _await_message(connection: socket.socket) -> None:
    received = b""
    while b"MSG bench.window" not in received or not received.endswith(b"\r\n"):
        part = connection.recv(65_536)
        if not part:
            raise RuntimeError("the broker closed the connection")
        if b"PING\r\n" in part:
            connection.sendall(b"PONG\r\n")
        received += part


@cache
def _start_template(prefix: str) -> tuple[bytes, bytes]:
    """The frame's head, and headers with body; numbers stand where those of the job come."""
    event = JobStarted(
        job_id=_MARK,
        cluster=CLUSTER,
        sub_cluster="main",
        user=f"user{_MARK}",
        start_time=_MARK + 1,
        resources=[Resource(hostname=f"b{_MARK}")],
        num_nodes=1,
        partition="main",
        project=f"project{_MARK}",
        walltime=86_400,
        num_hwthreads=64,
        monitoring_status=0,
        meta_data={"jobName": f"run{_MARK}", "jobScript": _SCRIPT_MARK},
    )
    return _template(prefix, Envelope(event, "", "/bench", _TIME))


@cache
def _stop_template(prefix: str) -> tuple[bytes, bytes]:
    event = JobStopped(job_id=_MARK, cluster=CLUSTER, start_time=_MARK + 1, stop_time=_MARK + 2, job_state=JobState.COMPLETED)
    return _template(prefix, Envelope(event, "", "/bench", _TIME))


def _template(prefix: str, envelope: Envelope) -> tuple[bytes, bytes]:
    # Without message ids: the broker would keep them all in memory, which a log of the past does not.
    headers = "".join(f"{name}: {value}\r\n" for name, value in envelope.headers().items() if name != MESSAGE_ID)
    return f"HPUB {envelope.subject(prefix)}".encode(), f"NATS/1.0\r\n{headers}\r\n".encode() + b"\0" + envelope.body()


def _frame(template: tuple[bytes, bytes], number: int) -> bytes:
    head, content = template
    headers, _, body = content.partition(b"\0")
    start = FIRST_START + number
    for mark, text in ((_MARK + 2, start + DURATION_S), (_MARK + 1, start)):
        body = body.replace(b"%d" % mark, b"%d" % text)
    body = body.replace(b"user%d" % _MARK, b"user%02d" % (number % 97)).replace(b"project%d" % _MARK, b"project%02d" % (number % 23))
    body = body.replace(b'"b%d"' % _MARK, b'"b%04d"' % (number % 512)).replace(b"%d" % _MARK, b"%d" % number)
    return b"%s %d %d\r\n%s%s\r\n" % (head, len(headers), len(headers) + len(body), headers, body)


def _start_frame(prefix: str, number: int) -> bytes:
    script = job_script(number, SCRIPT_LENGTH).replace("\n", "\\n").encode()  # nothing else in it needs escaping in JSON
    head, content = _start_template(prefix)
    return _frame((head, content.replace(_SCRIPT_MARK.encode(), script)), number)


def _stop_frame(prefix: str, number: int) -> bytes:
    return _frame(_stop_template(prefix), number)
