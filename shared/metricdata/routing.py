"""Several metric stores, each with the data of its clusters."""

from collections.abc import Mapping, Sequence

from shared.metricdata.health import HostHealth
from shared.metricdata.hosts import HostsLoaded, HostsRequest
from shared.metricdata.newest import NewestLoaded, NewestRequest
from shared.metricdata.source import JobRequest, Loaded, MetricSource


class RoutedSource:
    """The port MetricSource in front of others. The first source with a store for the cluster has its data."""

    def __init__(self, sources: Sequence[MetricSource]) -> None:
        self._sources = sources

    async def load(self, request: JobRequest) -> Loaded:
        """See MetricSource. A cluster without a store has no data."""
        source = self._source_of(request.cluster.name)
        return await source.load(request) if source is not None else Loaded({})

    async def load_hosts(self, request: HostsRequest) -> HostsLoaded:
        """See MetricSource."""
        source = self._source_of(request.cluster)
        return await source.load_hosts(request) if source is not None else HostsLoaded()

    async def load_newest(self, request: NewestRequest) -> NewestLoaded:
        """See MetricSource."""
        source = self._source_of(request.cluster)
        return await source.load_newest(request) if source is not None else NewestLoaded()

    async def health(self, cluster: str, hosts: Sequence[str], metrics: Sequence[str]) -> Mapping[str, HostHealth]:
        """See MetricSource."""
        source = self._source_of(cluster)
        return await source.health(cluster, hosts, metrics) if source is not None else {}

    def stores(self) -> list[str]:
        """See MetricSource."""
        return list(dict.fromkeys(store for source in self._sources for store in source.stores()))

    def store_of(self, cluster: str) -> str:
        """See MetricSource."""
        source = self._source_of(cluster)
        return source.store_of(cluster) if source is not None else ""

    async def check(self, store: str) -> None:
        """See MetricSource."""
        for source in self._sources:
            if store in source.stores():
                await source.check(store)

    def _source_of(self, cluster: str) -> MetricSource | None:
        return next((source for source in self._sources if source.store_of(cluster)), None)
