"""The reason codes of refusals, used in events, the database, answers and metrics.

``docs/rejections.md`` is generated from ``REASONS`` and ``REMEDIES``, which the web interface shows too. Codes are never renamed.
"""

# of lines and payloads, by ingest
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
# of the job rules, by jobstore
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
    EMPTY_MESSAGE: "The message is empty.",
    LINE_PROTOCOL: "The line is not InfluxDB line protocol.",
    UNKNOWN_MEASUREMENT: "The measurement (`job`, `nodestate`) does not belong to this subject.",
    NO_EVENT_FIELD: "The line has no string field `event`.",
    FUNCTION_MISSING: "The job event has no tag `function`.",
    FUNCTION_UNKNOWN: "The tag `function` is neither `start_job` nor `stop_job`.",
    EMPTY_PAYLOAD: "The field `event` is empty.",
    INVALID_JSON: "The payload is not a JSON object.",
    TRAILING_DATA: "There is text after the JSON object. The object was used, the text was ignored.",
    UNKNOWN_FIELD: "The payload has an unknown field.",
    MISSING_FIELD: "A required field is missing or empty.",
    INVALID_VALUE: "The value of a field has the wrong type, is out of range, or is not one of the allowed words.",
    TOO_LARGE: "The event would exceed the broker's message limit.",
    CLUSTER_MISMATCH: "The payload names a different cluster than the subject.",
    UNKNOWN_CLUSTER: "The cluster is not configured; add it and replay.",
    UNKNOWN_SUBCLUSTER: "The subcluster does not exist in this cluster.",
    NO_SUBCLUSTER: "No subcluster contains the first host.",
    NODE_COUNT_MISMATCH: "`numNodes` differs from the number of `resources`.",
    NOT_A_FINAL_STATE: "The stop has a state that does not end a job (`running`, `suspended`).",
    MORE_BAD_LINES: "The message has too many bad lines to list; the others are only counted.",
    EXPIRED_UNREAD: "A range of messages expired or was purged from the intake before ingest recorded them as read.",
    INTERNAL: "An unexpected error occurred while processing the line; the log of the service says more.",
    DUPLICATE_JOB: "The start lies between the start and the confirmed end of another run with the same id.",
    JOB_NOT_FOUND: "No such job.",
    ALREADY_STOPPED: "The job has already stopped, at another time or with another state.",
    STOP_BEFORE_START: "The stop time is before the start time.",
    START_NEVER_CAME: "The start of the waiting stop never arrived.",
    JOB_STILL_RUNNING: "The operation requires a stopped job.",
    TAG_NOT_FOUND: "No such tag.",
    TAG_CONFLICT: "The tag cannot be changed like this.",
    UNREADABLE_EVENT: "This version cannot read the event.",
}

_RESEND = "Correct the adapter; what it sent is lost unless it sends it again."

# What an operator does about a rejection. A replay publishes the same message again, so it only helps if the cause was elsewhere.
REMEDIES: dict[str, str] = {
    EMPTY_MESSAGE: "Nothing is lost. Find out which adapter publishes empty messages.",
    LINE_PROTOCOL: _RESEND,
    UNKNOWN_MEASUREMENT: "Let the adapter publish to the right subject, or correct `job_subjects` and `node_subjects`; then replay.",
    NO_EVENT_FIELD: _RESEND,
    FUNCTION_MISSING: _RESEND,
    FUNCTION_UNKNOWN: _RESEND,
    EMPTY_PAYLOAD: _RESEND,
    INVALID_JSON: _RESEND,
    TRAILING_DATA: "Nothing is lost. Correct the adapter, which writes more than one object into a line.",
    UNKNOWN_FIELD: "Correct the spelling in the adapter, or install a version of jobtide that knows the field; then replay.",
    MISSING_FIELD: _RESEND,
    INVALID_VALUE: _RESEND,
    TOO_LARGE: "Raise the broker's `max_payload`, restart the services, then replay; or let the adapter leave out the job script.",
    CLUSTER_MISMATCH: "Correct the cluster in the adapter, or let it publish to the subject of its own cluster.",
    UNKNOWN_CLUSTER: "Add the cluster with `jobtide cluster add`, then replay. If the name is misspelled, correct the adapter.",
    UNKNOWN_SUBCLUSTER: "Add the subcluster to cluster.json with `jobtide cluster add`, then replay.",
    NO_SUBCLUSTER: "Add the host to the nodes of a subcluster with `jobtide cluster add`, then replay.",
    NODE_COUNT_MISMATCH: _RESEND,
    NOT_A_FINAL_STATE: "Let the adapter send a stop only when the job has ended. The job is closed by its real stop.",
    MORE_BAD_LINES: "Solve the listed rejections of the same message; a replay covers its other lines too.",
    EXPIRED_UNREAD: "The messages are lost unless the adapter sends them again. Keep ingest running, or raise `intake_max_age_days`.",
    INTERNAL: "Report what the log says; replay after an update.",
    DUPLICATE_JOB: "Usually nothing: the run is known. If the stored run never ended, send its stop, then replay.",
    JOB_NOT_FOUND: "Send the start of the job first, then replay; or give the id that the job has here.",
    ALREADY_STOPPED: "Nothing, if the stored end is right. Otherwise correct the job by hand.",
    STOP_BEFORE_START: "Correct the clock of the adapter's host, then send the stop again.",
    START_NEVER_CAME: "Replay the rejection of the start first, then this one.",
    JOB_STILL_RUNNING: "Repeat the operation when the job has stopped.",
    TAG_NOT_FOUND: "Create the tag, then repeat the operation.",
    TAG_CONFLICT: "Choose another name or scope for the tag.",
    UNREADABLE_EVENT: "Update jobtide: a newer version wrote this event. Then run `jobtide rebuild`.",
}

# The fault is in the message itself, or there is no message: the same message would be refused again, whatever is mended elsewhere.
NO_REPLAY_HELPS = frozenset(
    {
        *(EMPTY_MESSAGE, LINE_PROTOCOL, NO_EVENT_FIELD, FUNCTION_MISSING, FUNCTION_UNKNOWN, EMPTY_PAYLOAD, INVALID_JSON, TRAILING_DATA),
        *(MISSING_FIELD, INVALID_VALUE, CLUSTER_MISMATCH, NODE_COUNT_MISMATCH, NOT_A_FINAL_STATE, EXPIRED_UNREAD),
        *(ALREADY_STOPPED, STOP_BEFORE_START, UNREADABLE_EVENT),
    }
)
