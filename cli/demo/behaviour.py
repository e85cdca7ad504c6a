"""The load that simulated jobs put on their nodes: steady solvers, phases of I/O, leaks, hangs, idle accelerators, slow nodes. Pure.

Everything is derived from the job and the time, so that a restarted demo continues the same curves, and the history has curves of the
same kind.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cli.demo.machines import Node
from cli.demo.scheduler import Job

Values = NDArray[np.float64]

SLOW = 0.35  # activity of a slow node, relative to its neighbours
HANGS_AFTER = 0.4  # share of the run time after which a hanging job does nothing
FAILS_AFTER = 0.8  # share of the run time after which a failing node sends no samples
IO_PERIOD_S = 60
IDLE_ACTIVITY, IDLE_MEMORY = 0.01, 0.04
_IO_KINDS = ("wrf-forecast", "postproc", "sweep", "llm-finetune")
_BANDWIDTH_KINDS = ("channel", "lammps", "wrf", "bigmem", "namd")


@dataclass(frozen=True, slots=True)
class Load:
    """Loads as shares of the peak, 0 to 1: one value per time, or a row of them per node or accelerator."""

    activity: Values
    memory: Values
    bandwidth: Values
    network: Values
    io: Values


_NAMES = tuple(one.name for one in fields(Load))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behaviour of one job. ``odd_host`` is slow, or fails if the job ends with its failure; ``idle`` is an accelerator."""

    job: Job
    has_io: bool
    bandwidth: float
    memory: float
    odd_host: str | None
    idle: str | None

    @property
    def _is_failing(self) -> bool:
        return self.job.request.end_state == "node_fail"

    @property
    def _slowness(self) -> int:
        """Long jobs have longer phases; short ones would not be visible in a curve of hours."""
        return max(1, self.job.pace // 6)

    def is_silent(self, host: str, times: Values) -> NDArray[np.bool_]:
        """When a node has failed and no longer sends samples."""
        return np.asarray((self._progress(times) > FAILS_AFTER) & (self._is_failing and host == self.odd_host))

    def load(self, host: str, times: Values, accelerator: str | None = None) -> Load:
        """The load of one node of the job, or of one of its accelerators, at times at which the job runs."""
        progress = self._progress(times)
        end_state = self.job.request.end_state
        activity = 0.92 + 0.04 * np.sin(times / (37 * self._slowness) + self.job.job_id)
        io = np.zeros_like(activity)
        if self.has_io:
            period = IO_PERIOD_S * self._slowness
            is_io = (times + self.job.job_id * 7) % period < period / 4
            activity, io = np.where(is_io, 0.15, activity), np.where(is_io, 0.8, 0.0)
        if end_state == "timeout":  # it hangs until the scheduler ends it
            hangs = progress > HANGS_AFTER
            activity, io = np.where(hangs, IDLE_ACTIVITY, activity), np.where(hangs, 0.0, io)
        if host == self.odd_host and not self._is_failing:
            activity = activity * SLOW
        memory = 0.2 + 0.8 * progress if end_state == "out_of_memory" else np.full_like(activity, self.memory)
        if accelerator is not None and accelerator == self.idle:
            activity, memory = np.zeros_like(activity), np.full_like(activity, 0.01)
        network = 0.5 * activity if len(self.job.placements) > 1 else np.zeros_like(activity)
        return Load(activity, memory, activity * self.bandwidth, network, io)

    def _progress(self, times: Values) -> Values:
        return np.clip((times - self.job.start) / max(1, self.job.end - self.job.start), 0.0, 1.0)


def behaviour(job: Job) -> Behaviour:
    """One in six jobs on several nodes has a slow node; one in four jobs on eight accelerators leaves one of them idle."""
    dice = random.Random(f"{job.seed}:{job.job_id}:behaviour")
    hosts = [host for host, _ in job.placements]
    accelerators = job.placements[0][1]
    request = job.request
    has_odd_host = request.end_state == "node_fail" or (len(hosts) > 1 and dice.random() < 1 / 6)
    return Behaviour(
        job,
        has_io=request.kind.name.startswith(_IO_KINDS),
        bandwidth=0.9 if request.kind.name.startswith(_BANDWIDTH_KINDS) else 0.35,
        memory=dice.uniform(0.15, 0.7),
        odd_host=dice.choice(hosts) if has_odd_host else None,
        idle=dice.choice(accelerators) if len(accelerators) == 8 and dice.random() < 1 / 4 else None,
    )


@dataclass(frozen=True, slots=True)
class Loads:
    """The load of nodes over time, a row per node, and of their accelerators, in the order of the nodes. Silent nodes send nothing."""

    nodes: Load
    accelerators: Load
    is_silent: NDArray[np.bool_]


def loads_of(nodes: Sequence[Node], jobs: Iterable[Behaviour], times: Values) -> Loads:
    """``times`` are ascending. From its start to its end, each job loads its nodes by its share of their accelerators, or in full."""
    rows = {node.hostname: row for row, node in enumerate(nodes)}
    ids = [(node.hostname, accelerator) for node in nodes for accelerator in node.accelerators]
    devices = {device: row for row, device in enumerate(ids)}
    of_nodes, of_devices = _zeros(len(nodes), times.size), _bounded(_zeros(len(ids), times.size))
    is_silent = np.zeros((len(nodes), times.size), dtype=np.bool_)
    for one in jobs:
        begin, end = np.searchsorted(times, (one.job.start, one.job.end))
        if begin == end:
            continue
        window = slice(int(begin), int(end))
        for host, used in one.job.placements:
            if host not in rows:
                continue
            total = len(nodes[rows[host]].accelerators)
            _add(of_nodes, rows[host], window, one.load(host, times[window]), len(used) / total if total else 1.0)
            is_silent[rows[host], window] |= one.is_silent(host, times[window])
            for accelerator in used:
                _set(of_devices, devices[host, accelerator], window, one.load(host, times[window], accelerator))
    return Loads(_bounded(of_nodes), of_devices, is_silent)


def _zeros(rows: int, columns: int) -> Load:
    return Load(*(np.zeros((rows, columns)) for _ in _NAMES))


def _add(total: Load, row: int, window: slice, load: Load, share: float) -> None:
    for name in _NAMES:
        getattr(total, name)[row, window] += getattr(load, name) * share


def _set(total: Load, row: int, window: slice, load: Load) -> None:
    for name in _NAMES:
        getattr(total, name)[row, window] = getattr(load, name)


def _bounded(load: Load) -> Load:
    """Clip to the range from an idle machine to the peak."""
    return Load(
        np.clip(load.activity, IDLE_ACTIVITY, 1.0),
        np.clip(load.memory, IDLE_MEMORY, 1.0),
        np.clip(load.bandwidth, IDLE_ACTIVITY, 1.0),
        np.minimum(load.network, 1.0),
        np.minimum(load.io, 1.0),
    )
