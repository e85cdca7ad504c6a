"""The names of the Prometheus metrics that services expose under ``/metrics``. Labels come from closed lists, never from input."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


@dataclass(frozen=True, slots=True)
class MetricName:
    """``help`` states the unit and how to read the metric."""

    name: str
    help: str
    labels: Sequence[str] = ()

    def counter(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.help, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS) -> Histogram:
        return Histogram(self.name, self.help, self.labels, registry=registry, buckets=buckets)


INGEST_MESSAGES = MetricName("jobtide_ingest_messages_total", "Raw messages taken and finished.")
INGEST_EVENTS = MetricName("jobtide_ingest_events_total", "Domain events published, by event name.", ["event"])
INGEST_REJECTIONS = MetricName("jobtide_ingest_rejections_total", "Refused lines, by reason code.", ["code"])
INGEST_OLDEST_UNREAD_SECONDS = MetricName(
    "jobtide_ingest_oldest_unread_seconds", "Age of the oldest intake message that is not finished; 0 without any."
)
INGEST_BATCH_SECONDS = MetricName("jobtide_ingest_batch_seconds", "From taking a batch to its last acknowledgement, seconds.")
ODDITIES = MetricName("jobtide_oddities_total", "Faults of input that did not cost the event, by code (docs/oddities.md).", ["code"])
CHECK_FAILING = MetricName("jobtide_check_failing", "1 while a check of /readyz fails, by its name.", ["check"])
BROKER_CONNECTED = MetricName("jobtide_broker_connected", "1 while the service is connected to the broker.")

HTTP_CONNECTIONS = MetricName(
    "jobtide_http_connections", "Open connections: `ordinary`, or `reserve` above a limit, for health pages.", ["kind"]
)
HTTP_ABOVE_LIMIT = MetricName(
    "jobtide_http_above_limit_total",
    "Connections that came to the reserve: `total`, or `address` for too many from one address.",
    ["limit"],
)
HTTP_CUT_OFF = MetricName(
    "jobtide_http_cut_off_total",
    "Connections closed by the server: `head` or `body` of a request not complete in time, `stalled` while an answer was sent, "
    "`reserve` to make place for another one.",
    ["reason"],
)
HTTP_MALFORMED = MetricName("jobtide_http_malformed_total", "Requests that are not HTTP.")
HTTP_ACCEPT_ERRORS = MetricName(
    "jobtide_http_accept_errors_total", "Connections that could not be accepted, for example for too many open files."
)

PROJECTION_POSITION = MetricName("jobtide_projection_position", "Last sequence applied, by stream.", ["stream"])
PROJECTION_LAG_SECONDS = MetricName(
    "jobtide_projection_lag_seconds", "Age of the last event of the last batch when it was committed.", ["stream"]
)
PROJECTION_OUTCOMES = MetricName("jobtide_projection_outcomes_total", "Events by what became of them.", ["kind"])
PROJECTION_REFUSALS = MetricName("jobtide_projection_refusals_total", "Refused events, by reason code.", ["code"])
PROJECTION_BATCH_SECONDS = MetricName("jobtide_projection_batch_seconds", "Rows read, rules, rows written, commit; seconds.", ["stream"])

ARCHIVER_OUTCOMES = MetricName(
    "jobtide_archiver_outcomes_total",
    "Messages of the archive queue by outcome: `archived`, `annotated`, `failed` permanently, `retried`, `waiting` "
    "(archive or metric store unavailable), `later` (parked, or jobstore behind), `nothing` to do.",
    ["outcome"],
)
ARCHIVER_JOB_SECONDS = MetricName(
    "jobtide_archiver_job_seconds", "From taking an event to the acknowledged JobArchived of its job, seconds."
)
ARCHIVER_STAGE_SECONDS = MetricName(
    "jobtide_archiver_stage_seconds", "Duration of a stage: `load`, `write`, `publish`; seconds.", ["stage"]
)
ARCHIVER_NODE_CHECKS = MetricName(
    "jobtide_archiver_node_checks_total",
    "Rounds of checking the nodes of a cluster: `done`, or `unanswered` by the metric store or the broker.",
    ["outcome"],
)
ARCHIVER_FOOTPRINT_ROUNDS = MetricName(
    "jobtide_archiver_footprint_rounds_total",
    "Rounds of measuring the running jobs of a cluster: `done`, or `unanswered` by the metric store, the database or the broker.",
    ["outcome"],
)
ARCHIVER_FOOTPRINTS = MetricName(
    "jobtide_archiver_footprints_total",
    "Running jobs by outcome: `measured`, `unchanged`, `nothing`, or `failed` for this job alone.",
    ["outcome"],
)
ARCHIVER_RETENTION = MetricName(
    "jobtide_archiver_retention_total", "Old archive entries, by what was done: `delete`, `move`, `copy`, or `failed`.", ["outcome"]
)
ARCHIVER_DEPENDENCY_UP = MetricName(
    "jobtide_archiver_dependency_up",
    "1 while the `archive` or a `metric_store` can be used; at 0 the jobs that need it wait.",
    ["dependency", "address"],
)
ARCHIVER_QUEUE = MetricName(
    "jobtide_archiver_queue",
    "Messages of the archive queue: `pending` not yet delivered, `waiting` delivered and unfinished, `in_hand` here.",
    ["state"],
)

METRICSTORE_MESSAGES = MetricName("jobtide_metricstore_messages_total", "Messages of the stream METRICS that were read.")
METRICSTORE_SAMPLES = MetricName("jobtide_metricstore_samples_total", "Samples stored; one that overwrites another counts too.")
METRICSTORE_REFUSED = MetricName(
    "jobtide_metricstore_refused_total", "Lines that were not stored, by reason (docs/metrics.md).", ["reason"]
)
METRICSTORE_EXPIRED = MetricName(
    "jobtide_metricstore_expired_total", "Messages that left the stream METRICS before they were read; their samples are lost."
)
METRICSTORE_POSITION = MetricName("jobtide_metricstore_position", "Last sequence read from the stream METRICS.")
METRICSTORE_BEHIND_SECONDS = MetricName(
    "jobtide_metricstore_behind_seconds", "Age of the last message of the last batch when its samples became visible; 0 when all are read."
)
METRICSTORE_SERIES = MetricName("jobtide_metricstore_series", "Series in memory.")
METRICSTORE_MEMORY = MetricName("jobtide_metricstore_memory_bytes", "Size of the blocks of samples in memory, bytes.")
METRICSTORE_FILES = MetricName("jobtide_metricstore_files", "Files of samples.")
METRICSTORE_FILE_BYTES = MetricName("jobtide_metricstore_file_bytes", "Size of all files of samples, bytes.")
METRICSTORE_WRITTEN_BYTES = MetricName("jobtide_metricstore_written_bytes_total", "Bytes written to files of samples.")
METRICSTORE_QUERY_SECONDS = MetricName("jobtide_metricstore_query_seconds", "Duration of one query request, seconds.")
