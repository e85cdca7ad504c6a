"""The simulated scheduler of one cluster: assigns nodes and run times to jobs. Performs no I/O and reads no clock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from cli.demo.machines import Node
from cli.demo.workload import Request, request

Placement = tuple[str, tuple[str, ...]]  # hostname and accelerators; no accelerators means the whole node


@dataclass(frozen=True, slots=True)
class Job:
    """A running job. Its request is derived from ``seed`` and its id, its run time is ``pace`` times that of the request. Unix seconds."""

    cluster: str
    job_id: int
    seed: str
    start: int
    end: int
    placements: tuple[Placement, ...]
    pace: int = 1

    @property
    def request(self) -> Request:
        return request(self.cluster, f"{self.seed}:{self.job_id}")


@dataclass(slots=True)
class Scheduler:
    """``max_running`` bounds the concurrent jobs; ``starts_per_s`` is the submission rate; ``pace`` that of each job."""

    cluster: str
    nodes: Sequence[Node]
    seed: str
    next_id: int
    max_running: int
    starts_per_s: float
    running: dict[int, Job] = field(default_factory=dict)
    pace: int = 1
    _free: dict[str, list[str]] = field(default_factory=dict)
    _accelerators_free: dict[str, set[str]] = field(default_factory=dict)
    _by_name: dict[str, Node] = field(default_factory=dict)
    _owed: float = 0.0

    def __post_init__(self) -> None:
        self._by_name = {node.hostname: node for node in self.nodes}
        for node in self.nodes:
            if not self.is_broken(node):
                self._accelerators_free[node.hostname] = set(node.accelerators)
                if not node.accelerators:
                    self._free.setdefault(node.subcluster, []).append(node.hostname)
        for job in self.running.values():
            self._occupy(job)

    @staticmethod
    def is_broken(node: Node) -> bool:
        """Whether the node is one of the few that wait for repair."""
        return _is_broken(node.hostname)

    def ended(self, now: int) -> list[Job]:
        """The jobs that have ended, in the order of their ends; pass them to ``forget`` once their stops are published."""
        return sorted((job for job in self.running.values() if job.end <= now), key=lambda job: job.end)

    def forget(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            del self.running[job.job_id]
            for hostname, accelerators in job.placements:
                node = self._by_name.get(hostname)
                if node is None or self.is_broken(node):
                    continue
                self._accelerators_free[hostname] |= set(accelerators)
                if not node.accelerators:
                    self._free[node.subcluster].append(hostname)

    def start_some(self, now: int, passed_s: float) -> list[Job]:
        """Start the jobs submitted in ``passed_s`` seconds, as far as there is room; returns them."""
        hurry = 6.0 if len(self.running) < self.max_running // 2 else 1.0  # so that a new site is busy soon
        self._owed = min(self._owed + self.starts_per_s * passed_s * hurry, self.max_running / 4)
        started = []
        while self._owed >= 1 and len(self.running) < self.max_running:
            self._owed -= 1
            wanted = request(self.cluster, f"{self.seed}:{self.next_id}")
            placements = self._place(wanted)
            if placements:
                job = Job(self.cluster, self.next_id, self.seed, now, now + wanted.run_s * self.pace, placements, self.pace)
                self.running[job.job_id] = job
                self._occupy(job)
                started.append(job)
            self.next_id += 1
        return started

    def _place(self, wanted: Request) -> tuple[Placement, ...]:
        if wanted.kind.gpus:
            for node in self.nodes:
                free = self._accelerators_free.get(node.hostname, set())
                if node.subcluster in wanted.kind.subclusters and len(free) >= wanted.size:
                    return ((node.hostname, tuple(sorted(free)[: wanted.size])),)
            return ()
        for subcluster in wanted.kind.subclusters:
            free_nodes = self._free.get(subcluster, [])
            if len(free_nodes) >= wanted.size:
                return tuple((hostname, ()) for hostname in sorted(free_nodes[: wanted.size]))
        return ()

    def _occupy(self, job: Job) -> None:
        taken = {hostname for hostname, _ in job.placements}
        for hostname, accelerators in job.placements:
            if hostname in self._accelerators_free:
                self._accelerators_free[hostname] -= set(accelerators)
        for subcluster, hostnames in self._free.items():
            if not taken.isdisjoint(hostnames):
                self._free[subcluster] = [hostname for hostname in hostnames if hostname not in taken]

    def jobs_by_node(self) -> dict[str, list[tuple[Job, Placement]]]:
        used: dict[str, list[tuple[Job, Placement]]] = {}
        for job in self.running.values():
            for placement in job.placements:
                used.setdefault(placement[0], []).append((job, placement))
        return used


@cache
def _is_broken(hostname: str) -> bool:
    return random.Random(hostname).random() < 0.02
