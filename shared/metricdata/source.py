"""The port through which services get metric data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.clusters import Cluster
from shared.domain.payloads import Resource
from shared.errors import JobtideError, Unavailable
from shared.metricdata.health import HostHealth
from shared.metricdata.hosts import HostsLoaded, HostsRequest
from shared.metricdata.model import JobData


class SourceUnavailable(Unavailable):
    """The metric store is away, or gave nothing but errors: try again later."""


class NothingButErrors(SourceUnavailable):
    """The metric store answers, but with errors about everything that was asked."""


class SourceRefused(JobtideError):
    """Asking again would not help: the request itself is at fault."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """The metric data wanted of one job: from ``start`` (Unix seconds), for ``duration`` seconds.

    ``metrics`` None means all of the subcluster. ``scopes`` are turned into each metric's effective scope:
    the coarser one of its native and the wanted scope. Without ``with_samples`` the series have statistics alone, as far as
    the store can compute them: a fraction of the answer for a job that runs for days.
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
    """``problems`` are errors about some of the data; what is in ``data`` is good all the same."""

    data: JobData
    problems: list[str] = field(default_factory=list)


class MetricSource(Protocol):
    """Where metric data come from."""

    async def load(self, request: JobRequest) -> Loaded:
        """Host or metric without data: no series. No data at all, without an error: empty.

        Raises SourceUnavailable when there is nothing but errors, or no answer; SourceRefused when asking is senseless.
        """
        ...

    async def load_hosts(self, request: HostsRequest) -> HostsLoaded:
        """Data of whole hosts. Errors about some of them are among its problems.

        Raises SourceUnavailable when there is no answer; SourceRefused when asking is senseless.
        """
        ...

    def covers(self, cluster: str) -> bool:
        """Whether there are metric data of the cluster at all."""
        ...

    async def health(self, cluster: str, hosts: Sequence[str], metrics: Sequence[str]) -> Mapping[str, HostHealth]:
        """Whether hosts deliver these metrics now; a host of which nothing is known may be absent.

        Raises SourceUnavailable.
        """
        ...

    async def check(self) -> None:
        """A real request; raises SourceUnavailable when the source cannot be used."""
        ...
