"""Creating the configured metric source."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.metricdata.settings import MetricsSettings
from shared.metricdata.source import MetricSource


@asynccontextmanager
async def open_source(settings: MetricsSettings) -> AsyncIterator[MetricSource | None]:
    """The configured adapter, connected. None when the site has no metric data."""
    if settings.kind == "none":
        yield None
        return
    from shared.metricdata.cc_metric_store import CcMetricStore

    async with CcMetricStore(settings) as store:
        yield store
