"""The jobs as rows of ``job`` and ``jobtag``. Drawn in chunks, each from a seed of its own, so that any part can be made alone.

The corresponding log creates the tags first; then follow the finished jobs in the order of their start times, each as an
import, and the running ones as starts. A row's id is the sequence of its event.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.history.clusters import CLUSTERS, METRICS, PEAKS, ClusterPlan
from bench.history.people import PEOPLE, USERS
from bench.load.lines import SCRIPTS, job_script
from services.jobstore.rules.unit_of_work import TAGS_PER_EVENT
from shared.domain.values import ARCHIVED, ARCHIVING_FAILED, MONITORING_DISABLED, MONITORING_OPEN, SharedNode

CHUNK = 20_000
SCRIPT_LENGTH = 1300
SPAN_S = 2 * 365 * 86_400
RUNNING_SPAN_S = 20 * 3600  # below the shortest walltime of a running job: none is overdue
DAY_S = 86_400
TAGGED = 0.05  # of the jobs
_SEED = 2004
_FIRST_JOB_ID = 1_000_000
_COMMON_NAMES = 3000

COLUMNS = (
    "id job_id cluster subcluster submit_time start_time hpc_user project cluster_partition array_job_id duration walltime job_state "
    "meta_data resources num_nodes num_hwthreads num_acc smt shared monitoring_status energy energy_footprint footprint "
    "requested_memory statistics stop_seq is_overdue job_name hosts changed_seq"
).split()
Row = tuple[Any, ...]  # as COLUMNS
Draws = NDArray[Any]

_NODES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32])
_NODE_SHARES = np.array([0.62, 0.11, 0.02, 0.09, 0.01, 0.02, 0.05, 0.015, 0.01, 0.03, 0.007, 0.004, 0.014])
_WALLTIMES = np.array([1, 2, 4, 8, 12, 24, 48]) * 3600
_WALLTIME_SHARES = np.array([0.1, 0.06, 0.08, 0.07, 0.12, 0.52, 0.05])
_STATES = ("completed", "failed", "timeout", "cancelled", "out_of_memory", "node_fail", "preempted")
_STATE_SHARES = np.array([0.775, 0.1, 0.06, 0.05, 0.01, 0.003, 0.002])
_VERBS = "relax equil prod scan train eval prep post mesh solve md opt scf band dos fit sweep test restart ensemble".split()
_THINGS = (
    "water protein lattice slab cluster wing channel cavity membrane alloy graphene dimer polymer jet plume vortex crystal grid".split()
)
_SEARCHED = "model run case small large final new old low high fine coarse".split()


@dataclass(frozen=True, slots=True)
class History:
    """``end``: the present, Unix seconds; the last finished job started before it."""

    finished: int
    running: int
    end: int

    @property
    def jobs(self) -> int:
        return self.finished + self.running

    @property
    def begin(self) -> int:
        return self.end - SPAN_S

    @property
    def last_sequence(self) -> int:
        return len(PEOPLE.tags) + self.jobs

    def chunks(self) -> Iterator["Chunk"]:
        for first in range(0, self.finished, CHUNK):
            yield Chunk(self, first, min(CHUNK, self.finished - first), is_running=False)
        for first in range(0, self.running, CHUNK):
            yield Chunk(self, self.finished + first, min(CHUNK, self.running - first), is_running=True)


class Chunk:
    """``count`` jobs from number ``first`` on, counted from 0."""

    def __init__(self, history: History, first: int, count: int, *, is_running: bool) -> None:
        self.first, self.count, self._is_running = first, count, is_running
        dice = np.random.default_rng([_SEED, first, history.finished])
        self._first_id = len(PEOPLE.tags) + 1 + first
        self._draw_who(dice)
        self._draw_when(dice, history)
        self._draw_where(dice)
        self._draw_numbers(dice)
        self._draw_names(dice)
        self.jobtags = self._draw_tags(dice)

    def _draw_who(self, dice: np.random.Generator) -> None:
        self._user = dice.choice(USERS, self.count, p=PEOPLE.share)
        self._project = np.where(dice.random(self.count) < 0.85, PEOPLE.project[self._user], PEOPLE.second_project[self._user])
        upto = PEOPLE.cluster_shares[self._user].cumsum(axis=1)
        self._cluster = (dice.random(self.count)[:, None] > upto).sum(axis=1).clip(0, len(CLUSTERS) - 1)

    def _draw_when(self, dice: np.random.Generator, history: History) -> None:
        count = self.count
        place = np.arange(count) + dice.random(count)
        if self._is_running:
            self._start = (
                history.end - RUNNING_SPAN_S + (self.first - history.finished + place) * RUNNING_SPAN_S / history.running
            ).astype(int)
        else:
            # The youngest finished job started a day ago: all of them have ended by the present.
            self._start = (history.begin + (self.first + place) * (SPAN_S - 2 * DAY_S) / history.finished).astype(int)
        self._walltime = dice.choice(_WALLTIMES, count, p=_WALLTIME_SHARES)
        self._state = dice.choice(len(_STATES), count, p=_STATE_SHARES)
        used = np.exp(dice.normal(-2.2, 1.7, count)).clip(0, 0.98)  # most end long before their limit
        used = np.where(np.isin(self._state, (1, 3)) & (dice.random(count) < 0.4), dice.random(count) * 0.002, used)  # at once
        self._duration = np.where(self._state == _STATES.index("timeout"), self._walltime, (used * self._walltime).astype(int) + 1)
        self._submitted = self._start - np.exp(dice.normal(6, 2.5, count)).astype(int).clip(0, 10 * DAY_S)
        if self._is_running:
            self._walltime, self._duration = self._walltime.clip(DAY_S), np.zeros(count, int)

    def _draw_where(self, dice: np.random.Generator) -> None:
        count = self.count
        self._nodes = dice.choice(_NODES, count, p=_NODE_SHARES / _NODE_SHARES.sum())
        self._place = dice.random(count)
        self._part = dice.random(count)
        self._accelerators = dice.choice([1, 2, 4, 8], count, p=[0.6, 0.1, 0.15, 0.15])
        self._neighbours = dice.random(count)

    def _draw_numbers(self, dice: np.random.Generator) -> None:
        """Footprints: a user's jobs resemble each other."""
        count = self.count
        metrics = len(PEAKS)
        habit = (self._user[:, None] * 0.6180339887 + np.arange(metrics) * 0.37) % 1.0
        level = (0.75 * habit**2 + 0.25 * dice.random((count, metrics))) * dice.choice([1.0, 0.1], (count, 1), p=[0.9, 0.1])
        self._footprint = np.round(level * np.array(list(PEAKS.values())), 2)
        self._monitoring = dice.choice([ARCHIVED, ARCHIVING_FAILED, MONITORING_DISABLED], count, p=[0.97, 0.01, 0.02])

    def _draw_names(self, dice: np.random.Generator) -> None:
        self._kind = dice.random(self.count)
        self._name = (dice.pareto(0.8, self.count) * 12).astype(int) % _COMMON_NAMES
        self._variant = dice.integers(SCRIPTS, size=self.count)
        self._array = np.where(dice.random(self.count) < 0.12, _FIRST_JOB_ID + self.first + np.arange(self.count) // 16 * 16, 0)

    def _draw_tags(self, dice: np.random.Generator) -> list[tuple[int, int]]:
        """Pairs of ids of job and tag, sorted."""
        tagged = np.flatnonzero(dice.random(self.count) < TAGGED)
        pairs = set()
        for more in (1.0, 0.3):  # some have two
            chosen = tagged[dice.random(len(tagged)) < more]
            tags = (len(PEOPLE.tags) * dice.random(len(chosen)) ** 1.5).astype(int)
            pairs |= {(self._first_id + job, (tag + 1) * TAGS_PER_EVENT) for job, tag in zip(chosen.tolist(), tags.tolist(), strict=True)}
        return sorted(pairs)

    def rows(self) -> Iterator[Row]:
        users, projects = PEOPLE.names, PEOPLE.projects
        columns = (
            self._user, self._project, self._cluster, self._start, self._walltime, self._state, self._duration, self._submitted,
            self._nodes,
            self._place, self._part, self._accelerators, self._neighbours, self._footprint, self._monitoring, self._kind, self._name,
            self._variant, self._array,
        )  # fmt: skip
        for number, (
            user, project, cluster, start, walltime, state, duration, submitted, nodes,
            place, part, accelerators, neighbours, footprint, monitoring, kind, name, variant, array,
        ) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):  # fmt: skip
            plan = CLUSTERS[cluster]
            id_ = self._first_id + number
            job_id = _FIRST_JOB_ID + self.first + number
            subcluster, hosts, resources, threads, acc, shared = _resources(plan, nodes, place, part, accelerators, neighbours)
            job_name = _job_name(kind, name, job_id)
            power = footprint[_POWER] * len(hosts) * duration / 3.6e6
            energy = 0.0 if self._is_running or monitoring != ARCHIVED else math.floor(power * 100) / 100
            yield (
                id_, job_id, plan.name, subcluster, submitted, start, users[user], projects[project], _PARTITIONS[cluster], array, duration,
                walltime, "running" if self._is_running else _STATES[state], _meta_data(job_name, job_id, variant), resources, len(hosts),
                threads, acc, 1, shared, MONITORING_OPEN if self._is_running else monitoring, energy,
                None if energy == 0.0 else f'{{"cpu_power":{energy}}}',
                None if self._is_running or monitoring != ARCHIVED else _FOOTPRINT_TEXT % tuple(footprint),
                4000 * threads, None, None, 0, job_name, f" {' '.join(hosts)} ", id_,
            )  # fmt: skip


_PARTITIONS = ("gpu", "main", "standard")
_POWER = list(METRICS).index("cpu_power")
_FOOTPRINT_TEXT = "{" + ",".join(f'"{key}":%s' for key in PEAKS) + "}"


def _resources(
    plan: ClusterPlan, nodes: int, place: float, part: float, accelerators: int, neighbours: float
) -> tuple[str, list[str], str, int, int, SharedNode]:
    """Subcluster, hosts, their JSON, threads and accelerators in all, and with whom nodes are shared."""
    where = plan.parts[0] if part < 0.75 else plan.parts[-1]
    if plan.accelerators and (accelerators < plan.accelerators or nodes == 1):
        first = int(place * where.size)
        host = plan.host(where.first + first)
        slot = int(place * 1009) % (plan.accelerators // accelerators) * accelerators
        share = plan.threads // plan.accelerators
        text = _part_of_node(plan.name, slot, accelerators)
        shared: SharedNode = "none" if accelerators == plan.accelerators else "single_user" if neighbours < 0.2 else "multi_user"
        return where.name, [host], f'[{{"hostname":"{host}",{text}}}]', accelerators * share, accelerators, shared
    count = min(nodes, 8, where.size) if plan.accelerators else nodes
    first = where.first + int(place * (where.size - count + 1))
    hosts = [plan.host(first + number) for number in range(count)]
    text = _whole_node(plan.name)
    resources = ",".join(f'{{"hostname":"{host}"{text}}}' for host in hosts)
    return where.name, hosts, f"[{resources}]", count * plan.threads, count * plan.accelerators, "none"


@cache
def _part_of_node(cluster: str, slot: int, accelerators: int) -> str:
    plan = next(plan for plan in CLUSTERS if plan.name == cluster)
    share = plan.threads // plan.accelerators
    threads = ",".join(str(thread) for thread in range(slot * share, (slot + accelerators) * share))
    ids = ",".join(f'"{name}"' for name in plan.accelerator_ids[slot : slot + accelerators])
    return f'"hwthreads":[{threads}],"accelerators":[{ids}]'


@cache
def _whole_node(cluster: str) -> str:
    plan = next(plan for plan in CLUSTERS if plan.name == cluster)
    if plan.accelerators:
        return f",{_part_of_node(cluster, 0, plan.accelerators)}"
    return f',"hwthreads":[{",".join(map(str, range(plan.threads)))}]' if plan.lists_threads else ""


def _job_name(kind: float, common: int, job_id: int) -> str | None:
    if kind < 0.6:
        return common_name(common)
    if kind < 0.85:
        return f"{common_name(common % 97)}_{job_id % 1_000_000:06d}"
    if kind < 0.95:
        return f"run{job_id}"
    return "interactive" if kind < 0.98 else None


@cache
def common_name(number: int) -> str:
    verb, rest = _VERBS[number % len(_VERBS)], number // len(_VERBS)
    return f"{verb}-{_THINGS[(rest + number) % len(_THINGS)]}_{_SEARCHED[rest % len(_SEARCHED)]}{rest // len(_SEARCHED)}"


@cache
def _script_rest(variant: int) -> str:
    """Behind its first lines, as it stands in JSON."""
    return job_script(variant, SCRIPT_LENGTH).split("\n", 2)[2].replace("\n", "\\n")


def _meta_data(job_name: str | None, job_id: int, variant: int) -> str:
    """Keys sorted, as the projection writes them."""
    name = "" if job_name is None else f'"jobName":"{job_name}",'
    script = f"#!/bin/bash -l\\n#SBATCH --job-name={job_name or job_id}\\n{_script_rest(variant)}"
    return f'{{{name}"jobScript":"{script}","slurmInfo":"JobId={job_id} Nice=0 Requeue=1 Restarts=0"}}'
