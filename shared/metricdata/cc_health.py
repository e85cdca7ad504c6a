"""What cc-metric-store answers about the health of hosts. Source: metric store interface 2.8."""

import orjson

from shared.metricdata.health import HealthState, HostHealth
from shared.metricdata.source import SourceUnavailable

_STATES: dict[str, HealthState] = {"full": "full", "partial": "partial", "failed": "failed"}


def read_health(text: bytes) -> dict[str, HostHealth]:
    """By host. Raises SourceUnavailable when the text is no such answer."""
    try:
        return {str(host): _host(found["State"], found["HealthMetrics"]) for host, found in orjson.loads(text).items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as e:
        raise SourceUnavailable(f"the metric store gave an answer about health that cannot be read: {e!r}"[:500]) from e


def _host(state: str, metrics: str) -> HostHealth:
    """``metrics`` is JSON in a text, or empty for a host that the store does not know."""
    lists = orjson.loads(metrics) if metrics else {}
    missing, degraded = (tuple(sorted(str(name) for name in lists.get(kind) or ())) for kind in ("missing", "degraded"))
    return HostHealth(_STATES[state], missing, degraded)
