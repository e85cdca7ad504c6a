"""What the gateway counts."""

from aiohttp import web
from prometheus_client import CollectorRegistry

from shared.metrics import MetricName

REQUESTS = MetricName("jobtide_gateway_requests_total", "Answered requests; status 0: the client went away.", ["method", "route", "status"])
REQUEST_SECONDS = MetricName("jobtide_gateway_request_seconds", "From the head of a request to its answer, seconds.", ["route"])
LIVE_CLIENTS = MetricName("jobtide_gateway_live_clients", "Connected now, by kind: `events` (server-sent), `websocket`.", ["kind"])
LIVE_EVENTS = MetricName("jobtide_gateway_live_events_total", "Changes sent to clients, by kind of client.", ["kind"])
LIVE_OVERFLOWS = MetricName(
    "jobtide_gateway_live_overflows_total", "Clients that lagged behind what is kept of the last changes, and went on from the database."
)
LIVE_DROPPED = MetricName("jobtide_gateway_live_dropped_total", "Clients that were disconnected because they took nothing any more.")
COLUMN_ROWS = MetricName(
    "jobtide_gateway_column_rows", "Jobs in the copy in memory that is asked for any filter; 0 while it is not loaded."
)
COLUMN_QUESTIONS = MetricName(
    "jobtide_gateway_column_questions_total",
    "Questions to that copy: `answered`; `away` while it was not loaded, or `failed`, and left to the database.",
    ["result"],
)
COLUMN_LOAD_SECONDS = MetricName("jobtide_gateway_column_load_seconds", "The last load of that copy, seconds.")

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class GatewayNumbers:
    """Labels are route patterns and known methods, never what a client made up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = REQUESTS.counter(registry)
        self._seconds = REQUEST_SECONDS.histogram(registry)

    def request(self, request: web.Request, status: int, took_s: float) -> None:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(took_s)


class LiveNumbers:
    """Clients that follow changes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clients = LIVE_CLIENTS.gauge(registry)
        self.events = LIVE_EVENTS.counter(registry)
        self.overflows = LIVE_OVERFLOWS.counter(registry)
        self.dropped = LIVE_DROPPED.counter(registry)


class ColumnNumbers:
    """The copy of all jobs in memory."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = COLUMN_ROWS.gauge(registry)
        self.questions = COLUMN_QUESTIONS.counter(registry)
        self.load_seconds = COLUMN_LOAD_SECONDS.gauge(registry)
