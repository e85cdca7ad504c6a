"""Parsing health answers of cc-metric-store. Source: metric store interface 2.8."""

import orjson

from shared.metricdata.health import HealthState, HostHealth
from shared.metricdata.source import SourceUnavailable

_STATES: dict[str, HealthState] = {"full": "full", "partial": "partial", "failed": "failed"}


def read_health(text: bytes) -> dict[str, HostHealth]:
    """Health by host. Raises SourceUnavailable when the answer is malformed."""
    try:
        return {str(host): _host(found["State"], found["HealthMetrics"]) for host, found in orjson.loads(text).items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as e:
        raise SourceUnavailable(f"the metric store returned an invalid health answer: {e!r}"[:500]) from e


def _host(state: str, metrics: str) -> HostHealth:
    """``metrics`` is JSON in a string, empty for a host unknown to the store."""
    lists = orjson.loads(metrics) if metrics else {}
    missing, degraded = (tuple(sorted(str(name) for name in lists.get(kind) or ())) for kind in ("missing", "degraded"))
    return HostHealth(_STATES[state], missing, degraded)
