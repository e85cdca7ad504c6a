"""What the gateway counts."""

from aiohttp import web
from prometheus_client import CollectorRegistry

from shared.metrics import MetricName

REQUESTS = MetricName("jobtide_gateway_requests_total", "Answered requests; status 0: the client went away.", ["method", "route", "status"])
REQUEST_SECONDS = MetricName("jobtide_gateway_request_seconds", "From the head of a request to its answer, seconds.", ["route"])

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
