"""The samples that the recorded metric store held, by their formula."""

from collections.abc import Iterable

from shared.domain.clusters import Cluster
from tests.support.clusters import sample_clusters
from tests.support.metric_store import MetricStore, Samples

T0 = 1_760_000_400
MINUTES = 60

# metric: (level, B, H, C, A)
_FORMULAS: dict[str, tuple[str, float, float, float, float]] = {
    "cpu_load": ("node", 60, 1, 0, 0.125),
    "cpu_user": ("hwthread", 50, 1, 0.25, 0.5),
    "mem_used": ("node", 100, 2, 0, 0.25),
    "flops_any": ("hwthread", 2, 0.5, 0.125, 0.25),
    "flops_sp": ("hwthread", 0.5, 0.125, 0, 0.125),
    "flops_dp": ("hwthread", 0.75, 0.125, 0.125, 0.125),
    "mem_bw": ("socket", 60, 1, 10, 2.5),
    "clock": ("hwthread", 2200, 10, 1, 12.5),
    "cpu_power": ("socket", 200, 5, 10, 1.5),
    "mem_power": ("socket", 20, 1, 2, 0.5),
    "core_power": ("hwthread", 1, 0.125, 0, 0.125),
    "ipc": ("hwthread", 0.5, 0.125, 0, 0.125),
    "vectorization_ratio": ("hwthread", 30, 1, 0.25, 3),
    "ib_recv": ("node", 1_000_000, 100_000, 0, 12_345.5),
    "ib_xmit": ("node", 2_000_000, 100_000, 0, 23_456.25),
    "ib_recv_pkts": ("node", 1000, 100, 0, 12.5),
    "ib_xmit_pkts": ("node", 2000, 100, 0, 25),
    "nfs4_read": ("node", 0, 0, 0, 0.125),
    "nfs4_write": ("node", 0, 0.125, 0, 0.25),
    "nfs4_total": ("node", 0, 0.125, 0, 0.375),
    "acc_utilization": ("accelerator", 40, 1, 5, 1),
    "acc_mem_used": ("accelerator", 10, 1, 2, 0.5),
    "acc_power": ("accelerator", 200, 5, 10, 4),
    "nv_mem_util": ("accelerator", 20, 1, 3, 2),
    "nv_temp": ("accelerator", 40, 1, 2, 0.5),
    "nv_sm_clock": ("accelerator", 1200, 5, 5, 15),
}


def value(metric: str, host: str, component: int, at: int, step: int = 60) -> float:
    _, b, h, c, a = _FORMULAS[metric]
    n = int(host[-2:])
    return b + h * n + c * component + a * ((7 * (at // step) + 3 * component + 5 * n + len(metric)) % 11)


def samples(metric: str, host: str, component: int, slots: Iterable[int]) -> Samples:
    """By slot from T0 on; the first slot given becomes slot 0."""
    chosen = list(slots)
    return {slot - chosen[0]: value(metric, host, component, T0 + 60 * slot) for slot in chosen}


def recorded_store() -> MetricStore:
    """The store of the recordings, hosts f0101 to f0108 of fritz, a0603 and a0121 of alex."""
    clusters = sample_clusters()
    fritz, alex = clusters["fritz"], clusters["alex"]
    configured = {
        metric.name: (metric.timestep, metric.aggregation or None) for cluster in (alex, fritz) for metric in cluster.metric_config
    }
    store = MetricStore(
        configured | {"net_bw": (60, "sum"), "plain_metric": (60, None), "fast_metric": (10, "avg"), "slow_metric": (300, "sum")}
    )
    everything = range(MINUTES)
    _host(store, fritz, "f0101", "main", fritz_metrics := _names(fritz))
    load = store.clusters["fritz"]["f0101"].metrics["cpu_load"].samples
    for slot in (5, 6, 7):
        del load[slot]
    del store.clusters["fritz"]["f0101"].children["hwthread3"].metrics["cpu_user"].samples[10]
    _host(
        store,
        fritz,
        "f0102",
        "main",
        [name for name in fritz_metrics if name != "ib_recv"],
        [s for s in everything if s not in (20, 21, 22)],
    )
    _host(store, fritz, "f0103", "main", ["cpu_load", "mem_used", "flops_any", "mem_bw"], range(25, MINUTES))
    store.add("fritz", "f0105", None, "cpu_load", T0, samples("cpu_load", "f0105", 0, range(10)))
    for thread, slots, shift in (
        (0, everything, 0),
        (1, range(10, MINUTES), 0),
        (2, range(40), 0),
        (3, everything, 30),
        (4, everything, 29),
    ):
        found = samples("flops_any", "f0106", thread, slots)
        store.add("fritz", "f0106", f"hwthread{thread}", "flops_any", T0 + 60 * slots[0] + shift, found)
    for socket, slots in ((0, everything), (1, range(59))):
        store.add("fritz", "f0106", f"socket{socket}", "mem_bw", T0, samples("mem_bw", "f0106", socket, slots))
    store.add("fritz", "f0107", None, "cpu_load", T0 + 17, samples("cpu_load", "f0107", 0, everything))
    store.add("fritz", "f0107", None, "mem_used", T0, samples("mem_used", "f0107", 0, everything))
    _host(store, alex, "a0603", "a100", _names(alex), ended={5: 30, 7: 0})
    accelerators = [metric for metric in _names(alex) if _FORMULAS[metric][0] == "accelerator"]
    _host(store, alex, "a0121", "a40", accelerators, ended=dict.fromkeys(range(3, 8), 0))
    return store


def _names(cluster: Cluster) -> list[str]:
    return [metric.name for metric in cluster.metric_config]


def _host(
    store: MetricStore,
    cluster: Cluster,
    host: str,
    subcluster: str,
    metrics: Iterable[str],
    slots: Iterable[int] = range(MINUTES),
    ended: dict[int, int] | None = None,
) -> None:
    found = cluster.subcluster(subcluster)
    assert found is not None
    chosen = list(slots)
    for metric in metrics:
        match _FORMULAS[metric][0]:
            case "node":
                components: list[tuple[str | None, int]] = [(None, 0)]
            case "hwthread":
                components = [(f"hwthread{thread}", thread) for thread in range(72 if cluster.name == "fritz" else 128)]
            case "socket":
                components = [(f"socket{socket}", socket) for socket in range(2)]
            case _:
                components = [(f"accelerator{one.id}", place) for place, one in enumerate(found.topology.accelerators)]
        for component, number in components:
            is_accelerator = component is not None and component.startswith("accelerator")
            last = (ended or {}).get(number, MINUTES) if is_accelerator else MINUTES
            if mine := [slot for slot in chosen if slot < last]:
                store.add(cluster.name, host, component, metric, T0 + 60 * mine[0], samples(metric, host, number, mine))
