"""Maps the native scope of a metric and the requested scope to the elements behind each series. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.clusters import Metric, SubCluster, Topology
from shared.domain.payloads import Resource
from shared.metricdata.model import SCOPE_RANK


@dataclass(frozen=True, slots=True)
class SeriesElements:
    """The elements of one series: ``ids`` of the native scope, combined when there are several.

    ``element`` is the series' own id in its scope, None for the node. With ``kind`` None the host itself has the samples.
    """

    element: str | None
    kind: str | None = None
    ids: tuple[str, ...] = ()


def effective_scope(native: str, wanted: str) -> str | None:
    """The coarser of both scopes. Accelerator metrics exist per accelerator and per node; no other metric exists per
    accelerator."""
    if native == "accelerator":
        return wanted if wanted in ("accelerator", "node") else None
    if wanted == "accelerator":
        return None
    return max(native, wanted, key=lambda scope: SCOPE_RANK[scope])


def effective_scopes(metric: Metric, wanted: frozenset[str], *, num_acc: int) -> list[str]:
    """The scopes in which the metric is requested, coarsest first."""
    if metric.scope == "accelerator" and num_acc == 0:
        return []
    found = {scope for scope in (effective_scope(metric.scope, one) for one in wanted) if scope is not None}
    return sorted(found, key=lambda scope: -SCOPE_RANK[scope])


class HostElements:
    """The hardware of one host that a job uses."""

    def __init__(self, subcluster: SubCluster, resource: Resource) -> None:
        topology = subcluster.topology
        self._topology = topology
        self._threads = list(dict.fromkeys(resource.hwthreads or topology.node))
        self._used = frozenset(self._threads)
        self._accelerators = list(dict.fromkeys(resource.accelerators or ()))

    def series(self, native: str, scope: str) -> list[SeriesElements]:
        """The series of a metric with this native scope in the effective ``scope``, in ascending order of elements."""
        if native == "node":
            return [SeriesElements(None)]
        if native == "accelerator":
            if scope == "node":
                return [SeriesElements(None, native, tuple(self._accelerators))] if self._accelerators else []
            return [SeriesElements(one, native, (one,)) for one in self._accelerators]
        if scope == "node":
            ids = self._native_ids(native, self._used)
            return [SeriesElements(None, native, ids)] if ids else []
        if scope == native:
            return [SeriesElements(one, native, (one,)) for one in self._native_ids(native, self._used)]
        found = []
        for index, threads in enumerate(_lists(self._topology, scope)):
            # Only elements that the job uses: others of a shared node belong to other jobs.
            ids = self._native_ids(native, self._used & frozenset(threads))
            if ids:
                found.append(SeriesElements(str(index), native, ids))
        return found

    def _native_ids(self, native: str, threads: frozenset[int]) -> tuple[str, ...]:
        """The elements of a CPU scope that have at least one of the hardware threads."""
        if native == "hwthread":
            return tuple(str(thread) for thread in self._threads if thread in threads)
        return tuple(str(index) for index, members in enumerate(_lists(self._topology, native)) if not threads.isdisjoint(members))


def _lists(topology: Topology, scope: str) -> Sequence[Sequence[int]]:
    match scope:
        case "core":
            return topology.core
        case "memoryDomain":
            return topology.memory_domain
        case "socket":
            return topology.socket
        case _:
            raise ValueError(f"{scope} is not a scope of the topology")
