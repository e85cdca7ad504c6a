"""The measurements of the simulated nodes: samples of each metric, from the load of nodes and accelerators."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cli.demo.behaviour import Load, Loads, Values
from cli.demo.machines import Node
from shared.domain.clusters import Metric

NOISE = 0.04
SOCKETS = 2

Formula = Callable[[Load, float], Values]  # takes a load and the peak of the metric

_FORMULAS: dict[str, Formula] = {
    "cpu_load": lambda load, peak: peak * load.activity,
    "cpu_user": lambda load, _: 96 * load.activity,
    "mem_used": lambda load, peak: peak * load.memory,
    "flops_any": lambda load, peak: 0.3 * peak * load.activity,
    "flops_sp": lambda load, peak: 0.05 * peak * load.activity,
    "flops_dp": lambda load, peak: 0.5 * peak * load.activity,
    "mem_bw": lambda load, peak: 0.9 * peak * load.bandwidth,
    "clock": lambda load, _: 2000 + 400 * load.activity,
    "cpu_power": lambda load, peak: peak * (0.25 + 0.5 * load.activity),
    "core_power": lambda load, peak: peak * (0.05 + 0.4 * load.activity),
    "mem_power": lambda load, peak: peak * (0.15 + 0.4 * load.bandwidth),
    "ipc": lambda load, _: 0.3 + 1.5 * load.activity,
    "vectorization_ratio": lambda load, _: 80 * np.minimum(1.0, load.activity * 1.2),
    "ib_recv": lambda load, _: 4e6 * load.network,
    "ib_xmit": lambda load, _: 4e6 * load.network,
    "ib_recv_pkts": lambda load, _: 4 * load.network,
    "ib_xmit_pkts": lambda load, _: 4 * load.network,
    "nfs4_read": lambda load, _: 2 * load.io,
    "nfs4_write": lambda load, _: 5 * load.io,
    "nfs4_total": lambda load, _: 7 * load.io,
    "acc_utilization": lambda load, _: 100 * load.activity,
    "acc_mem_used": lambda load, peak: peak * load.memory,
    "acc_power": lambda load, peak: peak * (0.15 + 0.7 * load.activity),
    "nv_mem_util": lambda load, _: 70 * load.bandwidth,
    "nv_temp": lambda load, _: 32 + 38 * load.activity,
    "nv_sm_clock": lambda load, peak: peak * (0.3 + 0.7 * load.activity),
}


@dataclass(frozen=True, slots=True)
class Place:
    """The component that a series belongs to. ``kind`` and ``id`` are empty for the node itself."""

    host: str
    kind: str = ""
    id: str = ""


def measured(
    metric: Metric, nodes: Sequence[Node], loads: Loads, dice: np.random.Generator
) -> Iterator[tuple[list[Place], NDArray[np.float32]]]:
    """A row of samples per place, NaN where a node is silent; nothing for a metric that is not simulated.

    ``loads`` are those of ``nodes``, which all belong to the subcluster of ``metric``.
    """
    formula = _FORMULAS.get(metric.name)
    if formula is None:
        return
    if metric.scope == "accelerator":
        places = [Place(node.hostname, "accelerator", id_) for node in nodes for id_ in node.accelerators]
        is_silent = np.repeat(loads.is_silent, [len(node.accelerators) for node in nodes], axis=0)
        yield places, _noisy(formula(loads.accelerators, metric.peak), is_silent, dice)
        return
    values = formula(loads.nodes, metric.peak)
    if metric.scope != "socket":
        yield [Place(node.hostname) for node in nodes], _noisy(values, loads.is_silent, dice)
        return
    if metric.aggregation == "sum":
        values = values / SOCKETS
    for socket in range(SOCKETS):
        yield [Place(node.hostname, "socket", str(socket)) for node in nodes], _noisy(values, loads.is_silent, dice)


def _noisy(values: Values, is_silent: NDArray[np.bool_], dice: np.random.Generator) -> NDArray[np.float32]:
    noise = dice.random(values.shape, dtype=np.float32) * np.float32(2 * NOISE) + np.float32(1 - NOISE)
    samples: NDArray[np.float32] = values.astype(np.float32) * noise
    samples[is_silent] = np.nan
    return samples
