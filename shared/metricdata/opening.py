"""Creating the configured metric source."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from shared.metricdata.routing import RoutedSource
from shared.metricdata.settings import MetricsSettings
from shared.metricdata.source import MetricSource
from shared.metricdata.store_settings import PrometheusSettings, StoreSettings


@asynccontextmanager
async def open_source(settings: MetricsSettings) -> AsyncIterator[MetricSource | None]:
    """The configured adapters, connected. None when the site has no metric data."""
    async with AsyncExitStack() as stack:
        sources = [await _open_store(stack, store, settings) for store in settings.stores]
        if settings.kind != "none":
            from shared.metricdata.cc_metric_store import CcMetricStore

            sources.append(await stack.enter_async_context(CcMetricStore(settings)))
        match sources:
            case []:
                yield None
            case [source]:
                yield source
            case _:
                yield RoutedSource(sources)


async def _open_store(stack: AsyncExitStack, store: StoreSettings, settings: MetricsSettings) -> MetricSource:
    limits, days = settings.http_limits, settings.max_window_days
    if isinstance(store, PrometheusSettings):
        from shared.metricdata.prometheus import Prometheus

        return await stack.enter_async_context(Prometheus(store, limits, days))
    if store.kind == "influxdb":
        from shared.metricdata.influxql import InfluxQl

        return await stack.enter_async_context(InfluxQl(store, limits, days))
    from shared.metricdata.flux import Flux

    return await stack.enter_async_context(Flux(store, limits, days))
