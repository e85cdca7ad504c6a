"""The streams, buckets and durable consumers of a site, and the single step that creates or updates them.

Services bind to streams and never declare them; a durable consumer that was deleted is recreated by its owner.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, BucketNotFoundError, NotFoundError

from shared.broker.unread import unread_s
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings, setting_name

log = structlog.get_logger()

INTAKE, EVENTS, NODES, REJECTIONS = "INTAKE", "EVENTS", "NODES", "REJECTIONS"
METRICS = "METRICS"
LOGS = (EVENTS, NODES, REJECTIONS)  # read by jobstore, each from its own position
PROBE = "PROBE"
DEDUP_WINDOW_S = 600.0  # longer than any retry of one publish
# The minimum that the broker accepts. A message dropped as a duplicate leaves no trace, and publishers choose their ids freely.
INTAKE_DEDUP_WINDOW_S = 0.1
_DAY_S = 86_400.0
_HOUR_S = 3600.0
_GIB = 1024**3
_MAX_METRICS_SHARE = 0.5  # share of the broker's storage; the rest is for the events
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


def progress_bucket(nats: NatsSettings) -> str:
    """The bucket with the progress of work queues, in case a consumer is lost."""
    return "progress" if nats.prefix == "jobtide" else f"{nats.prefix}_progress"


def event_filter(nats: NatsSettings, name: str) -> str:
    """The subject filter of all events of one name that belong to a cluster."""
    return f"{nats.prefix}.{name}.>"


def intake_filters(subjects: list[str]) -> list[str]:
    return list(dict.fromkeys(subject.replace("{cluster}", "*") for subject in subjects))


def write_subject(nats: NatsSettings) -> str:
    """The subject of metric lines received over HTTP."""
    return f"{nats.prefix}.metrics.write"


def free_subject(nats: NatsSettings) -> str:
    """The subject of requests to remove samples, which are ordered with the lines."""
    return f"{nats.prefix}.metrics.free"


def covers(pattern: str, subject: str) -> bool:
    """Whether a subject filter with ``*`` and ``>`` matches a subject."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


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
            compression=StoreCompression.S2 if name in (EVENTS, REJECTIONS, METRICS) else StoreCompression.NONE,
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
            [f"{nats.prefix}.{kind}.>" for kind in ("job", "tag", "housekeeping")],
            nats.events_max_age_days,
            "Domain events of jobs: the truth.",
        ).evolve(first_seq=nats.first_job_id if nats.first_job_id > 1 else None),
        config(NODES, [f"{nats.prefix}.node.>"], nats.nodes_max_age_days, "Domain events of nodes."),
        # After EVENTS, which had these subjects in earlier versions: two streams must not overlap.
        config(REJECTIONS, [f"{nats.prefix}.intake.>"], nats.rejections_max_age_days, "Input that can never become an event."),
        config(
            METRICS,
            [*intake_filters(nats.metric_subjects), write_subject(nats), free_subject(nats)],
            nats.metrics_max_age_hours * _HOUR_S / _DAY_S,
            "Metric lines of the collectors, as they came; the oldest go first.",
        ).evolve(max_bytes=int(nats.metrics_max_gib * _GIB), discard=DiscardPolicy.OLD, duplicate_window=INTAKE_DEDUP_WINDOW_S),
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
        await _refuse_crowding_out(js, nats)
        for config in stream_configs(nats):
            changes += await _ensure_stream(js, config)
        for name, history, description in (
            (clusters_bucket(nats), 10, "cluster.json of each cluster"),
            (progress_bucket(nats), 1, "how far work queues have come"),
        ):
            try:
                await js.key_value(name)
            except BucketNotFoundError:
                await js.create_key_value(KeyValueConfig(bucket=name, history=history, replicas=nats.replicas, description=description))
                changes.append(f"created bucket {name}")
    except (NatsTimeoutError, TimeoutError) as e:
        raise Unavailable("the broker does not answer JetStream requests") from e
    except APIError as e:
        advice = f"; {setting_name('nats', 'metrics_max_gib')} reserves space" if e.err_code in _NO_STORAGE else ""
        raise UserError(f"the broker refuses: {e.description}{advice}") from e
    return changes


_NO_STORAGE = (10028, 10047, 10122)  # account or server have less storage than the streams reserve


async def _refuse_crowding_out(js: JetStreamContext, nats: NatsSettings) -> None:
    """Raises UserError when metrics could fill more than half of the storage that the account has."""
    storage = (await js.account_info()).limits.max_storage
    if 0 < storage * _MAX_METRICS_SHARE < nats.metrics_max_gib * _GIB:
        raise UserError(
            f"{setting_name('nats', 'metrics_max_gib')}: {nats.metrics_max_gib:g} GiB are more than half of the broker's"
            f" storage for this account, {storage / _GIB:.1f} GiB; job events need the rest"
        )


async def _refuse_to_expire_unread(js: JetStreamContext, stream: str, before_s: float, after_s: float) -> None:
    """Raises UserError when a shorter age would remove messages that a work queue has not finished."""
    if not after_s or (before_s and before_s <= after_s):
        return
    for consumer in await js.consumers_info(stream):
        age_s = await unread_s(js, stream, consumer) if consumer.config.durable_name else 0.0
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
    if (began_at := info.config.first_seq or 1) < (config.first_seq or 1):
        raise UserError(
            f"{setting_name('nats', 'first_job_id')}: {config.name} exists and begins at {began_at}, and not at {config.first_seq}:"
            f" ids of jobs cannot be changed; set it to {began_at}"
        )
    compared = [*_COMPARED, "max_bytes"] if config.max_bytes is not None else _COMPARED
    differing = [name for name in compared if getattr(info.config, name) != getattr(config, name)]
    if not differing:
        return []
    if "max_age" in differing:
        await _refuse_to_expire_unread(js, config.name, info.config.max_age or 0.0, config.max_age or 0.0)
    await js.update_stream(info.config.evolve(**{name: getattr(config, name) for name in differing}))
    return [f"updated stream {config.name}: {', '.join(differing)}"]


async def ensure_consumer(
    js: JetStreamContext, durable: Durable, find_first: Callable[[], Awaitable[int | None]] | None = None
) -> str | None:
    """Create the durable, or update it where it differs; returns a description of the change, or None.

    ``find_first`` gives the sequence at which a new consumer starts. Without one it starts at the beginning of the stream, and its
    reader must recognise events that it handled before.
    """
    wanted = {
        "ack_wait": durable.ack_wait_s,
        "max_ack_pending": durable.max_ack_pending,
        "filter_subjects": list(durable.subjects),
    }
    try:
        info = await js.consumer_info(durable.stream, durable.name)
    except NotFoundError:
        first = None if find_first is None else await find_first()
        config = ConsumerConfig(
            durable_name=durable.name,
            name=durable.name,
            deliver_policy=DeliverPolicy.ALL if first is None else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            ack_policy=AckPolicy.EXPLICIT,
            max_deliver=-1,
        )
        await js.add_consumer(durable.stream, config.evolve(**wanted))
        return "created" if first is None else f"created from {first}"
    filters = info.config.filter_subjects or ([info.config.filter_subject] if info.config.filter_subject else [])
    found = info.config.ack_wait, info.config.max_ack_pending, sorted(filters)
    if found == (durable.ack_wait_s, durable.max_ack_pending, sorted(durable.subjects)):
        return None
    await js.add_consumer(durable.stream, info.config.evolve(**wanted, filter_subject=None))
    return "updated"


def identity(info: StreamInfo) -> str:
    """The creation time, which distinguishes a stream from one recreated under the same name."""
    assert info.created is not None
    return info.created.isoformat()
