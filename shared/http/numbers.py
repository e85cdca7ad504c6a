"""Metrics of all HTTP servers of a process together."""

from prometheus_client import CollectorRegistry

from shared import prometheus


class HttpNumbers:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = prometheus.HTTP_CONNECTIONS.gauge(registry)
        self.above_limit = prometheus.HTTP_ABOVE_LIMIT.counter(registry)
        self.cut_off = prometheus.HTTP_CUT_OFF.counter(registry)
        self.malformed = prometheus.HTTP_MALFORMED.counter(registry)
        self.accept_errors = prometheus.HTTP_ACCEPT_ERRORS.counter(registry)
