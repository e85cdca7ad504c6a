"""The state of the site: streams, positions, and the lag of each part."""

import time
from collections.abc import Sequence
from typing import Literal

import structlog
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.frame.models import Answer
from services.gateway.live.clients import LiveClients
from services.gateway.writing.link import BrokerLink
from services.gateway.writing.services import ServiceState
from shared.broker.last_events import last_events
from shared.broker.streams import LOGS, METRICS
from shared.errors import Unavailable
from shared.metricdata.settings import MetricsSettings
from shared.metricdata.store_state import StoreAnswer, StoreState, store_states
from shared.status import STREAMS, DatabaseState, StreamState, database_state, stream_states

log = structlog.get_logger()

ASK_TIMEOUT_S = 3.0


class QueueStatus(Answer):
    """A work queue on a stream, such as the archive queue."""

    name: str
    waiting: int = Field(description="Messages not yet delivered to a worker.")
    in_work: int = Field(description="Delivered or to be redelivered, and not finished.")
    unread_s: float | None = Field(
        None, description="Age of the oldest message that is not finished, seconds; known for the raw messages of the adapters only."
    )


class StreamStatus(Answer):
    """``lastSequence`` is null if the stream does not exist or the broker is unavailable."""

    name: str
    last_sequence: int | None = None
    messages: int | None = None
    size_bytes: int | None = Field(None, description="On the broker's disk, without replicas.")
    max_bytes: int | None = Field(None, description="The stream's own limit; null: only the broker's storage limits it.")
    refuses_when_full: bool = Field(False, description="Whether it refuses messages at `maxBytes`; otherwise the oldest ones leave.")
    oldest: float | None = Field(None, description="Unix time of the oldest message; null without any.")
    max_age_s: float | None = Field(None, description="Age at which messages leave, seconds; null: never.")
    position: int | None = Field(
        None, description="Last sequence that its reader has applied; null for work queues, and for metrics without an answer."
    )
    lag: int | None = Field(None, description="Sequences that are not applied yet.")
    queues: list[QueueStatus] = []


class MetricStoreStatus(Answer):
    """A metric store of jobtide, or one that does not answer."""

    address: str
    error: str | None = Field(None, description="Why there is no state.")
    state: StoreState | None = None


class ServiceStatus(Answer):
    """A process of a service, or a service of which none is known: every process reports its health on the broker every 10 seconds."""

    service: str
    process: str | None = Field(None, description="Host and process id; null if no process is known.")
    state: Literal["ready", "unready", "silent", "unheard"] = Field(
        description="`unready`: a check of `/readyz` fails, or a loop is overdue. `silent`: no report for 35 s."
        " `unheard`: no report since the gateway listens."
    )
    is_certain: bool = Field(description="False while the gateway is without the broker or has listened for less than 35 s.")
    age_s: float | None = Field(None, description="Age of the latest report, seconds.")
    started: float | None = Field(None, description="Unix time at which the process began to report.")
    problems: dict[str, str] = Field({}, description="Failing checks and overdue loops; remarks too, which leave a service ready.")


class LiveStatus(Answer):
    """Clients of this gateway that follow changes."""

    event_streams: int = Field(description="Browsers and programs on `/api/events/`; all tabs of a browser share one.")
    web_sockets: int = Field(description="GraphQL subscriptions' connections.")


class ClusterStatus(Answer):
    """When the log last stored events of a configured cluster, Unix seconds; null without any."""

    name: str
    last_job: float | None = Field(description="The last start or stop of a job.")
    last_nodes: float | None = Field(description="The last report of nodes.")
    is_silent: bool = Field(description="Its nodes were reported before, and not within `gateway.node_unknown_after_s`.")


class SiteStatus(Answer):
    broker: str = Field(description="`ok`, or why it is unavailable or stores no messages.")
    streams: list[StreamStatus]
    running_jobs: int
    parked_stops: int
    rejections: int = Field(description="Number of stored rejections.")
    metric_stores: list[MetricStoreStatus] = Field([], description="Metric stores of jobtide; stores of other kinds are not listed.")
    clusters: list[ClusterStatus] = Field(
        [], description="Up to 100; empty if the broker does not say, and in the answer of `jobtide status`."
    )
    live: LiveStatus | None = Field(None, description="Null in the answer of `jobtide status`.")
    services: list[ServiceStatus] = Field([], description="As the gateway hears them; empty in the answer of `jobtide status`.")


async def site_status(
    link: BrokerLink, engine: AsyncEngine, metrics: MetricsSettings, clients: LiveClients, *, silent_s: float
) -> SiteStatus:
    """``silent_s``: a cluster without a report of nodes for this long is silent; 0: never.

    Raises Unavailable if the database is unavailable.
    """
    database = await database_state(engine)
    stores = await store_states(metrics, timeout_s=ASK_TIMEOUT_S)
    states = [StreamState(kind, link.nats.stream(kind)) for kind in STREAMS]
    try:
        states = await stream_states(link.client, link.nats, timeout_s=ASK_TIMEOUT_S)
        await link.require_store()
        broker = "ok"
    except Unavailable as e:
        broker = str(e)
    found = status_of(broker, states, database, stores)
    found.services = [_service(one) for one in link.services.states()]
    found.clusters = await _clusters(link, silent_s)
    found.live = LiveStatus(event_streams=clients.by_kind["events"], web_sockets=clients.by_kind["websocket"])
    return found


async def _clusters(link: BrokerLink, silent_s: float) -> list[ClusterStatus]:
    try:
        found = await last_events(link.client, link.nats, link.clusters, timeout_s=ASK_TIMEOUT_S)
    except Unavailable as e:
        log.warning("last_events_not_read", why=str(e))
        return []
    now = time.time()
    return [
        ClusterStatus(
            name=one.cluster,
            last_job=one.job_at,
            last_nodes=one.nodes_at,
            is_silent=one.nodes_at is not None and 0 < silent_s < now - one.nodes_at,
        )
        for one in found
    ]


def status_of(broker: str, streams: Sequence[StreamState], database: DatabaseState, stores: Sequence[StoreAnswer]) -> SiteStatus:
    read = [store.state.position for store in stores if store.state is not None]
    positions = {**database.positions, **({METRICS: read[0]} if read else {})}
    return SiteStatus(
        broker=broker,
        streams=[_stream(state, positions) for state in streams],
        running_jobs=database.running,
        parked_stops=database.parked,
        rejections=sum(database.rejections.values()),
        metric_stores=[MetricStoreStatus(address=one.address, error=one.error or None, state=one.state) for one in stores],
    )


def _service(one: ServiceState) -> ServiceStatus:
    return ServiceStatus(
        service=one.service,
        process=one.process or None,
        state=one.state,
        is_certain=one.is_certain,
        age_s=one.age_s,
        started=one.started,
        problems=one.problems or {},
    )


def _stream(state: StreamState, positions: dict[str, int]) -> StreamStatus:
    position = positions.get(state.kind, 0) if state.kind in LOGS else positions.get(state.kind)
    if state.messages is None:
        return StreamStatus(name=state.name, position=position)
    return StreamStatus(
        name=state.name,
        last_sequence=state.last,
        messages=state.messages,
        size_bytes=state.size_bytes,
        max_bytes=state.max_bytes,
        refuses_when_full=state.refuses_when_full,
        oldest=state.oldest_at,
        max_age_s=state.max_age_s,
        position=position,
        lag=None if position is None else max(0, state.last - position),
        queues=[
            QueueStatus(name=queue.name, waiting=queue.waiting, in_work=queue.in_work, unread_s=queue.unread_s) for queue in state.queues
        ],
    )
