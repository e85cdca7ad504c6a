"""The names of the gateway's Prometheus metrics. The classes that count stand beside what they count."""

from shared.prometheus import MetricName

REQUESTS = MetricName(
    "jobtide_gateway_requests_total", "Answered requests; status 0: the client disconnected.", ["method", "route", "status"]
)
REQUEST_SECONDS = MetricName("jobtide_gateway_request_seconds", "From the head of a request to its answer, seconds.", ["route"])
LIVE_CLIENTS = MetricName("jobtide_gateway_live_clients", "Connected now, by kind: `events` (server-sent), `websocket`.", ["kind"])
LIVE_EVENTS = MetricName("jobtide_gateway_live_events_total", "Changes sent to clients, by kind of client.", ["kind"])
LIVE_OVERFLOWS = MetricName(
    "jobtide_gateway_live_overflows_total", "Clients that lagged behind the buffered changes and continued from the database."
)
LIVE_DROPPED = MetricName("jobtide_gateway_live_dropped_total", "Clients that were disconnected because they did not read.")
COLUMN_ROWS = MetricName("jobtide_gateway_column_rows", "Jobs in the columns in memory; 0 while they are not loaded.")
COLUMN_QUESTIONS = MetricName(
    "jobtide_gateway_column_questions_total",
    "Queries `answered` by the columns, or left to the database: `away` while they were not loaded, `failed`.",
    ["result"],
)
COLUMN_LOAD_SECONDS = MetricName("jobtide_gateway_column_load_seconds", "Duration of the last load of the columns, seconds.")
