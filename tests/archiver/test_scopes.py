"""The elements of each series: the scope table."""

import pytest

from shared.domain.clusters import Accelerator, Metric, SubCluster, Topology
from shared.domain.payloads import Resource
from shared.metricdata.scopes import HostElements, SeriesElements, effective_scope, effective_scopes

# Two sockets of two memory domains each, two cores per domain, two hardware threads per core: core k has the threads k and k + 8.
TOPOLOGY = Topology(
    node=list(range(16)),
    socket=[[0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]],
    memory_domain=[[0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7, 14, 15]],
    core=[[k, k + 8] for k in range(8)],
    accelerators=[Accelerator(id="a"), Accelerator(id="b")],
)
SUBCLUSTER = SubCluster(name="main", topology=TOPOLOGY)


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(map(str, numbers))


@pytest.mark.parametrize(
    ("native", "wanted", "effective"),
    [
        ("hwthread", "node", "node"),
        ("hwthread", "core", "core"),
        ("core", "hwthread", "core"),
        ("socket", "core", "socket"),
        ("memoryDomain", "core", "memoryDomain"),
        ("node", "core", "node"),
        ("node", "accelerator", None),
        ("hwthread", "accelerator", None),
        ("accelerator", "node", "node"),
        ("accelerator", "accelerator", "accelerator"),
        ("accelerator", "core", None),
    ],
)
def test_the_coarser_scope_is_used(native: str, wanted: str, effective: str | None) -> None:
    assert effective_scope(native, wanted) == effective


def test_accelerator_metrics_are_not_requested_for_a_job_without_accelerators() -> None:
    metric = Metric(name="acc_power", scope="accelerator", timestep=60)
    wanted = frozenset({"node", "core", "accelerator"})
    assert effective_scopes(metric, wanted, num_acc=0) == []
    assert effective_scopes(metric, wanted, num_acc=2) == ["node", "accelerator"]


@pytest.mark.parametrize(
    ("native", "scope", "threads", "series"),
    [
        ("node", "node", None, [SeriesElements(None)]),
        ("hwthread", "node", [0, 8], [SeriesElements(None, "hwthread", ids(0, 8))]),
        ("hwthread", "hwthread", [0, 8], [SeriesElements("0", "hwthread", ids(0)), SeriesElements("8", "hwthread", ids(8))]),
        ("hwthread", "core", [1, 9, 4], [SeriesElements("1", "hwthread", ids(1, 9)), SeriesElements("4", "hwthread", ids(4))]),
        ("hwthread", "memoryDomain", [2, 3, 4], [SeriesElements("1", "hwthread", ids(2, 3)), SeriesElements("2", "hwthread", ids(4))]),
        ("hwthread", "socket", [3, 4], [SeriesElements("0", "hwthread", ids(3)), SeriesElements("1", "hwthread", ids(4))]),
        ("core", "core", [1, 9], [SeriesElements("1", "core", ids(1))]),
        ("core", "memoryDomain", [8, 9], [SeriesElements("0", "core", ids(0, 1))]),
        ("core", "socket", [11, 12], [SeriesElements("0", "core", ids(3)), SeriesElements("1", "core", ids(4))]),
        ("core", "node", [8], [SeriesElements(None, "core", ids(0))]),
        ("memoryDomain", "socket", [0, 2], [SeriesElements("0", "memoryDomain", ids(0, 1))]),
        ("memoryDomain", "node", [0, 15], [SeriesElements(None, "memoryDomain", ids(0, 3))]),
        ("socket", "socket", [15], [SeriesElements("1", "socket", ids(1))]),
        ("socket", "node", None, [SeriesElements(None, "socket", ids(0, 1))]),
    ],
)
def test_the_elements_of_each_series(native: str, scope: str, threads: list[int] | None, series: list[SeriesElements]) -> None:
    assert HostElements(SUBCLUSTER, Resource(hostname="n1", hwthreads=threads)).series(native, scope) == series


def test_accelerators_are_those_of_the_job() -> None:
    elements = HostElements(SUBCLUSTER, Resource(hostname="n1", accelerators=["b", "a"]))
    assert elements.series("accelerator", "accelerator") == [
        SeriesElements("b", "accelerator", ("b",)),
        SeriesElements("a", "accelerator", ("a",)),
    ]
    assert elements.series("accelerator", "node") == [SeriesElements(None, "accelerator", ("b", "a"))]
    assert HostElements(SUBCLUSTER, Resource(hostname="n1")).series("accelerator", "node") == []
