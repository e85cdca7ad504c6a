"""The port for metric data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.clusters import Cluster
from shared.domain.payloads import Resource
from shared.errors import JobtideError, Unavailable
from shared.metricdata.health import HostHealth
from shared.metricdata.hosts import HostsLoaded, HostsRequest
from shared.metricdata.model import JobData
from shared.metricdata.newest import NewestLoaded, NewestRequest


class SourceUnavailable(Unavailable):
    """The metric store is unavailable, or returned only errors. Try again later."""


class OnlyErrors(SourceUnavailable):
    """The metric store answers, but only with errors."""


class SourceRefused(JobtideError):
    """The request itself is invalid. Retrying does not help."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A request for the metric data of one job: from ``start`` (Unix seconds), for ``duration`` seconds.

    ``metrics`` None means all of the subcluster. Each of ``scopes`` becomes the metric's effective scope, the coarser of
    its native and the requested scope. Without ``with_samples`` the series have only statistics, as far as the store can
    compute them, which keeps answers small for jobs that run for days.
    """

    cluster: Cluster
    subcluster: str
    start: int
    duration: int
    resources: Sequence[Resource]
    num_acc: int
    scopes: frozenset[str] = frozenset({"node"})
    metrics: frozenset[str] | None = None
    with_samples: bool = True


@dataclass(frozen=True, slots=True)
class Loaded:
    """``problems`` are errors about parts of the data. ``data`` is valid nevertheless."""

    data: JobData
    problems: list[str] = field(default_factory=list)


class MetricSource(Protocol):
    """A source of metric data."""

    async def load(self, request: JobRequest) -> Loaded:
        """A host or metric without data has no series. Without any data and errors the result is empty.

        Raises SourceUnavailable without an answer or with only errors, SourceRefused when the request is invalid.
        """
        ...

    async def load_hosts(self, request: HostsRequest) -> HostsLoaded:
        """Data of whole hosts. Errors about some of them are in ``problems``.

        Raises SourceUnavailable without an answer, SourceRefused when the request is invalid.
        """
        ...

    async def load_newest(self, request: NewestRequest) -> NewestLoaded:
        """The newest values of whole hosts. Errors about some of them are in ``problems``.

        Raises SourceUnavailable without an answer.
        """
        ...

    async def health(self, cluster: str, hosts: Sequence[str], metrics: Sequence[str]) -> Mapping[str, HostHealth]:
        """Whether hosts currently deliver these metrics. Unknown hosts may be absent.

        Raises SourceUnavailable.
        """
        ...

    def stores(self) -> Sequence[str]:
        """The addresses of all stores."""
        ...

    def store_of(self, cluster: str) -> str:
        """The address of the store with the data of the cluster, empty without one."""
        ...

    async def check(self, store: str) -> None:
        """Send one small request to a store, ahead of queued requests. Raises SourceUnavailable when it cannot be used."""
        ...
