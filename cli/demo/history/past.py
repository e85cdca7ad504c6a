"""The schedulers of the simulated site, run through the past. Pure: everything is derived from the seed and the window."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cli.demo.adapter import node_states
from cli.demo.machines import CLUSTERS, definition, nodes_of
from cli.demo.scheduler import Job, Scheduler
from cli.demo.state import FIRST_IDS, SchedulerState

PACE = 72  # jobs of the history take hours, those of the running demo minutes
MAX_RUNNING = {"fritz": 11, "alex": 8}
# The present is busier than the past, so the last hours lead to it.
BUSY = {"fritz": 80, "alex": 50}
BUSY_S, BUSY_SHARE = 4 * 3600, 1 / 12  # whichever is shorter
STARTS_PER_S = {"fritz": 0.02, "alex": 0.012}
MIN_STEP_S, MAX_STEP_S = 20, 100
REPORT_EVERY_S = 1800


@dataclass(frozen=True, slots=True)
class NodeStates:
    """A report of the nodes of one cluster that changed; ``at`` in Unix seconds."""

    at: int
    states: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ClusterPast:
    """``finished`` in the order of their ends; ``left`` is the scheduler at the end of the window."""

    finished: Sequence[Job]
    left: SchedulerState
    reports: Sequence[NodeStates]

    @property
    def jobs(self) -> list[Job]:
        return [*self.finished, *self.left.running]


def past_of(cluster: str, seed: str, begin: int, end: int) -> ClusterPast:
    """The past of one of ``CLUSTERS`` between two times."""
    _, nodes = nodes_of(definition(cluster))
    one = Scheduler(cluster, nodes, seed, FIRST_IDS[cluster], MAX_RUNNING[cluster], STARTS_PER_S[cluster], pace=PACE)
    dice = random.Random(f"{seed}:{cluster}:steps")
    finished: list[Job] = []
    reports: list[NodeStates] = []
    reported: dict[str, dict[str, Any]] = {}
    now = begin
    while (step := dice.randint(MIN_STEP_S, MAX_STEP_S)) and now + step < end:
        now += step
        one.max_running = _max_running(cluster, (end - now) / min(BUSY_S, BUSY_SHARE * (end - begin)))
        ended = one.ended(now)
        one.forget(ended)
        finished += ended
        one.start_some(now, step)
        if not reports or now - reports[-1].at >= REPORT_EVERY_S:
            states = node_states(one)
            reports.append(NodeStates(now, [state for host, state in states.items() if reported.get(host) != state]))
            reported = states
    last = one.ended(end)
    one.forget(last)
    return ClusterPast([*finished, *last], SchedulerState(seed, one.next_id, list(one.running.values())), reports)


def _max_running(cluster: str, left: float) -> int:
    """``left`` is what remains of the busy time, above 1 before it."""
    quiet, busy = MAX_RUNNING[cluster], BUSY[cluster]
    return quiet + round((busy - quiet) * max(0.0, 1 - left))


def pasts_of(seed: str, begin: int, end: int) -> dict[str, ClusterPast]:
    return {name: past_of(name, seed, begin, end) for name in CLUSTERS}
