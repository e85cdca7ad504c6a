"""The reason codes of refusals: stable, used alike in events, the database, answers and metrics.

``docs/rejections.md`` is generated from ``REASONS``; a code is never renamed.
"""

# lines and payloads: ingest
EMPTY_MESSAGE = "empty_message"
LINE_PROTOCOL = "line_protocol"
UNKNOWN_MEASUREMENT = "unknown_measurement"
NO_EVENT_FIELD = "no_event_field"
FUNCTION_MISSING = "function_missing"
FUNCTION_UNKNOWN = "function_unknown"
EMPTY_PAYLOAD = "empty_payload"
INVALID_JSON = "invalid_json"
TRAILING_DATA = "trailing_data"
UNKNOWN_FIELD = "unknown_field"
MISSING_FIELD = "missing_field"
INVALID_VALUE = "invalid_value"
TOO_LARGE = "too_large"
CLUSTER_MISMATCH = "cluster_mismatch"
UNKNOWN_CLUSTER = "unknown_cluster"
UNKNOWN_SUBCLUSTER = "unknown_subcluster"
NO_SUBCLUSTER = "no_subcluster"
NODE_COUNT_MISMATCH = "node_count_mismatch"
NOT_A_FINAL_STATE = "not_a_final_state"
MORE_BAD_LINES = "more_bad_lines"
EXPIRED_UNREAD = "expired_unread"
INTERNAL = "internal"
# job rules: jobstore
DUPLICATE_JOB = "duplicate_job"
JOB_NOT_FOUND = "job_not_found"
ALREADY_STOPPED = "already_stopped"
STOP_BEFORE_START = "stop_before_start"
START_NEVER_CAME = "start_never_came"
JOB_STILL_RUNNING = "job_still_running"
TAG_NOT_FOUND = "tag_not_found"
TAG_CONFLICT = "tag_conflict"
UNREADABLE_EVENT = "unreadable_event"

REASONS: dict[str, str] = {
    EMPTY_MESSAGE: "The message has a body of 0 bytes.",
    LINE_PROTOCOL: "The line is not InfluxDB line protocol.",
    UNKNOWN_MEASUREMENT: "The measurement is not the one of this subject (`job`, `nodestate`).",
    NO_EVENT_FIELD: "The line has no field `event` that is a string.",
    FUNCTION_MISSING: "A job event without the tag `function`.",
    FUNCTION_UNKNOWN: "The tag `function` is neither `start_job` nor `stop_job`.",
    EMPTY_PAYLOAD: "The field `event` is empty.",
    INVALID_JSON: "The payload is not a JSON object.",
    TRAILING_DATA: "There is text after the JSON object; the object was used, the rest was not.",
    UNKNOWN_FIELD: "The payload has a field that the interface does not know.",
    MISSING_FIELD: "A field that is needed is missing or empty.",
    INVALID_VALUE: "A field has a value of the wrong type, range or word list.",
    TOO_LARGE: "The event would be larger than the broker takes.",
    CLUSTER_MISMATCH: "The payload names another cluster than the subject.",
    UNKNOWN_CLUSTER: "The cluster is not configured; add it and replay.",
    UNKNOWN_SUBCLUSTER: "The subcluster does not exist in this cluster.",
    NO_SUBCLUSTER: "No subcluster has the first host.",
    NODE_COUNT_MISMATCH: "`numNodes` is not the number of `resources`.",
    NOT_A_FINAL_STATE: "A stop with a state that does not end a job (`running`, `suspended`).",
    MORE_BAD_LINES: "The message has so many bad lines that the rest of them are only counted.",
    EXPIRED_UNREAD: "A range of messages left the intake by age, or was purged, before ingest read them.",
    INTERNAL: "An unexpected error while the line was handled; the log has the traceback.",
    DUPLICATE_JOB: "A start with an id that another run used less than the configured time ago, and that run had not stopped by then.",
    JOB_NOT_FOUND: "No such job.",
    ALREADY_STOPPED: "The job had already stopped, at another time or with another state.",
    STOP_BEFORE_START: "The stop time is before the start time.",
    START_NEVER_CAME: "A stop waited for its start, which never came.",
    JOB_STILL_RUNNING: "The operation needs a stopped job.",
    TAG_NOT_FOUND: "No such tag.",
    TAG_CONFLICT: "The tag cannot be changed like this.",
    UNREADABLE_EVENT: "A domain event that this version cannot read.",
}
