"""When the log last stored an event of a cluster: a cluster whose adapter is silent is seen here first."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from shared.broker.envelope import subject_token
from shared.broker.streams import EVENTS, NODES
from shared.domain.events import JobStarted, JobStopped, NodesReported
from shared.errors import Unavailable
from shared.settings import NatsSettings

MAX_CLUSTERS = 100
_AT_ONCE = 8  # the last message of a subject comes with its body, and a job script may be megabytes


@dataclass(frozen=True, slots=True)
class LastEvents:
    """Unix times at which the log stored the last start or stop of a job, and the last report of nodes; None without any."""

    cluster: str
    job_at: float | None
    nodes_at: float | None


def last_subjects(nats: NatsSettings, cluster: str | None = None) -> list[tuple[str, str]]:
    """Stream and subject of the events that adapters cause; a filter for all clusters without one."""
    last = ">" if cluster is None else subject_token(cluster)
    kinds = ((EVENTS, JobStarted), (EVENTS, JobStopped), (NODES, NodesReported))
    return [(nats.stream(stream), f"{nats.prefix}.{kind.name}.{last}") for stream, kind in kinds]


async def last_events(client: Client, nats: NatsSettings, clusters: Iterable[str], *, timeout_s: float) -> Sequence[LastEvents]:
    """Looks at the first ``MAX_CLUSTERS`` clusters by name; ``timeout_s`` bounds the whole call. Raises Unavailable."""
    js, turn = client.jetstream(timeout=timeout_s), asyncio.Semaphore(_AT_ONCE)

    async def of(cluster: str) -> LastEvents:
        started, stopped, nodes = [await _stored_at(js, turn, *place) for place in last_subjects(nats, cluster)]
        return LastEvents(cluster, max((at for at in (started, stopped) if at is not None), default=None), nodes)

    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.gather(*(of(cluster) for cluster in sorted(clusters)[:MAX_CLUSTERS]))
    except (NatsError, APIError, TimeoutError, OSError) as e:
        raise Unavailable("the broker does not answer for the last events of the clusters") from e


async def _stored_at(js: JetStreamContext, turn: asyncio.Semaphore, stream: str, subject: str) -> float | None:
    async with turn:
        try:
            time = (await js.get_msg(stream, subject=subject, direct=True)).time
        except NotFoundError:
            return None
    return None if time is None else time.timestamp()
