"""The streams, buckets and durable consumers of a site, and the single step that creates or updates them.

Services bind to streams and never declare them; a durable consumer that was deleted is recreated by its owner.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, BucketNotFoundError, NotFoundError

from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings

log = structlog.get_logger()

INTAKE, EVENTS, NODES = "INTAKE", "EVENTS", "NODES"
PROBE = "PROBE"
DEDUP_WINDOW_S = 600.0  # longer than any retry of one publish
# The least that the broker accepts. A message that it drops as a duplicate leaves no trace, and ids of publishers are not ours.
INTAKE_DEDUP_WINDOW_S = 0.1
_DAY_S = 86_400.0
_PROBE_AGE_DAYS = 60 / _DAY_S


@dataclass(frozen=True, slots=True)
class Durable:
    """A work queue: the name of a durable consumer, and how much it may leave unacknowledged for how long."""

    stream: str
    name: str
    subjects: tuple[str, ...]
    ack_wait_s: float
    max_ack_pending: int


def clusters_bucket(nats: NatsSettings) -> str:
    return "clusters" if nats.prefix == "jobtide" else f"{nats.prefix}_clusters"


def event_filter(nats: NatsSettings, name: str) -> str:
    """The subject filter of all events of one name that belong to a cluster."""
    return f"{nats.prefix}.{name}.>"


def intake_filters(subjects: list[str]) -> list[str]:
    return list(dict.fromkeys(subject.replace("{cluster}", "*") for subject in subjects))


def stream_configs(nats: NatsSettings) -> list[StreamConfig]:
    """The required configuration of each stream."""

    def config(name: str, subjects: list[str], max_age_days: float, description: str) -> StreamConfig:
        return StreamConfig(
            name=nats.stream(name),
            subjects=subjects,
            description=description,
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            max_age=max_age_days * _DAY_S,
            duplicate_window=INTAKE_DEDUP_WINDOW_S if name == INTAKE else min(DEDUP_WINDOW_S, max_age_days * _DAY_S or DEDUP_WINDOW_S),
            num_replicas=nats.replicas,
            compression=StoreCompression.S2 if name == EVENTS else StoreCompression.NONE,
            allow_direct=True,
        )

    return [
        config(
            INTAKE,
            intake_filters([*nats.job_subjects, *nats.node_subjects]),
            nats.intake_max_age_days,
            "Raw messages of the adapters, as they came.",
        ),
        config(
            EVENTS,
            [f"{nats.prefix}.{kind}.>" for kind in ("job", "tag", "intake", "housekeeping")],
            nats.events_max_age_days,
            "Domain events of jobs: the truth.",
        ),
        config(NODES, [f"{nats.prefix}.node.>"], nats.nodes_max_age_days, "Domain events of nodes."),
        config(PROBE, [f"{nats.prefix}.probe.*"], _PROBE_AGE_DAYS, "Messages that only show whether the broker stores any.").evolve(
            max_msgs_per_subject=1, duplicate_window=_PROBE_AGE_DAYS * _DAY_S
        ),
    ]


# Only these are compared and updated; the rest of a stream's configuration belongs to the operator.
_COMPARED = ("subjects", "description", "max_age", "duplicate_window", "num_replicas", "compression", "allow_direct")


async def provision(nc: Client, nats: NatsSettings) -> list[str]:
    """Create missing and update differing streams; returns one line of text per change. Idempotent.

    Raises UserError when the broker refuses a configuration, Unavailable when it does not answer.
    """
    js = nc.jetstream(timeout=10)
    changes = []
    try:
        for config in stream_configs(nats):
            changes += await _ensure_stream(js, config)
        try:
            await js.key_value(clusters_bucket(nats))
        except BucketNotFoundError:
            await js.create_key_value(
                KeyValueConfig(bucket=clusters_bucket(nats), history=10, replicas=nats.replicas, description="cluster.json of each cluster")
            )
            changes.append(f"created bucket {clusters_bucket(nats)}")
    except (NatsTimeoutError, TimeoutError) as e:
        raise Unavailable("the broker does not answer JetStream requests") from e
    except APIError as e:
        raise UserError(f"the broker refuses: {e.description}") from e
    return changes


async def oldest_unread(js: JetStreamContext, stream: str, consumer: ConsumerInfo) -> datetime | None:
    """When the oldest message was stored that the consumer has not finished; None without any. Raises errors of nats-py."""
    if not (consumer.num_pending or consumer.num_ack_pending):
        return None
    done = (consumer.ack_floor.stream_seq or 0) if consumer.ack_floor else 0
    try:
        return (await js.get_msg(stream, seq=done + 1, subject=">", next=True)).time
    except NotFoundError:
        return None  # finished or removed meanwhile


async def _refuse_to_expire_unread(js: JetStreamContext, stream: str, before_s: float, after_s: float) -> None:
    """Raises UserError when a shorter age would remove messages that a work queue has not finished."""
    if not after_s or (before_s and before_s <= after_s):
        return
    for consumer in await js.consumers_info(stream):
        oldest = await oldest_unread(js, stream, consumer) if consumer.config.durable_name else None
        age_s = (datetime.now(UTC) - oldest).total_seconds() if oldest is not None else 0.0
        if age_s >= after_s:
            raise UserError(
                f"the maximum age of {stream} cannot be lowered to {after_s:.0f} s: {consumer.name} has not finished messages that are"
                f" {age_s:.0f} s old and would be lost; let it catch up first"
            )


async def _ensure_stream(js: JetStreamContext, config: StreamConfig) -> list[str]:
    assert config.name is not None
    try:
        info = await js.stream_info(config.name)
    except NotFoundError:
        await js.add_stream(config)
        return [f"created stream {config.name}"]
    differing = [name for name in _COMPARED if getattr(info.config, name) != getattr(config, name)]
    if not differing:
        return []
    if "max_age" in differing:
        await _refuse_to_expire_unread(js, config.name, info.config.max_age or 0.0, config.max_age or 0.0)
    await js.update_stream(info.config.evolve(**{name: getattr(config, name) for name in differing}))
    return [f"updated stream {config.name}: {', '.join(differing)}"]


async def ensure_consumer(js: JetStreamContext, durable: Durable) -> str | None:
    """Create the durable, or update it where it differs; returns a description of the change, or None.

    A recreated consumer starts at the beginning of the stream: its reader must recognise events that it handled before.
    """
    wanted = ConsumerConfig(
        durable_name=durable.name,
        name=durable.name,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=durable.ack_wait_s,
        max_ack_pending=durable.max_ack_pending,
        max_deliver=-1,
        filter_subjects=list(durable.subjects),
    )
    try:
        info = await js.consumer_info(durable.stream, durable.name)
    except NotFoundError:
        await js.add_consumer(durable.stream, wanted)
        return "created"
    config = info.config
    filters = config.filter_subjects or ([config.filter_subject] if config.filter_subject else [])
    if (config.ack_wait, config.max_ack_pending, sorted(filters)) == (wanted.ack_wait, wanted.max_ack_pending, sorted(durable.subjects)):
        return None
    await js.add_consumer(durable.stream, wanted)
    return "updated"


def identity(info: StreamInfo) -> str:
    """The creation time, which distinguishes a stream from one recreated under the same name."""
    assert info.created is not None
    return info.created.isoformat()
