"""The recent samples of all nodes, as files of the metric store. Runs in worker processes."""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from cli.demo.behaviour import behaviour, loads_of
from cli.demo.machines import Node, definition, nodes_of
from cli.demo.measuring import measured
from cli.demo.scheduler import Job, Scheduler
from services.metricstore.folder import Folder
from services.metricstore.format import Place, Rows
from services.metricstore.grids import PERIOD_S, Grid
from shared.domain.clusters import Cluster

HOURS = 13  # longer than any job of the history: when a running one ends, the archiver reads all its samples
_PRECISION = np.uint32(0xFFFFF000)  # mask of a sample: three digits remain, so that files are small
_NO_STREAM = Place("", 0, 0)


def periods_of(begin: int, end: int) -> range:
    """The periods with samples of a history, including the one of its end."""
    return range(max(begin, end - HOURS * PERIOD_S) // PERIOD_S, end // PERIOD_S + 1)


def write_period(folder: Path, name: str, period: int, jobs: Iterable[Job], end: int, seed: str) -> None:
    """One file with the samples before ``end``; nothing if the period has a file. Raises OSError."""
    if any((folder / name).glob(f"{period * PERIOD_S}.*.parquet")):
        return
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    cluster, nodes = nodes_of(definition(name))
    dice = np.random.default_rng(zlib.crc32(f"{seed}:{name}:{period}".encode()))
    Folder(folder).write(name, period, list(_rows(cluster, nodes, list(jobs), period, end, dice)), _NO_STREAM)


def _rows(cluster: Cluster, nodes: list[Node], jobs: list[Job], period: int, end: int, dice: np.random.Generator) -> Iterator[Rows]:
    behaviours = [behaviour(job) for job in jobs]
    for subcluster in cluster.sub_clusters:
        mine = [node for node in nodes if node.subcluster == subcluster.name and not Scheduler.is_broken(node)]
        metrics = cluster.metrics_on(subcluster.name)
        for step in {metric.timestep for metric in metrics} if mine else ():
            first, after = Grid(step).slots_of(period)
            times = np.arange(first, min(after, -(-end // step)), dtype=np.float64) * step
            if not times.size:
                continue
            loads = loads_of(mine, behaviours, times)
            for metric in metrics:
                if metric.timestep != step:
                    continue
                for places, samples in measured(metric, mine, loads, dice):
                    present = ~np.isnan(samples)
                    rounded = (samples.view(np.uint32) & _PRECISION).view(np.float32)
                    block = np.full((len(places), after - first), np.nan, dtype=np.float32)
                    block[:, : times.size] = np.where(present, rounded, np.float32(np.nan))
                    yield Rows([(metric.name, place.host, place.kind, place.id, "", "") for place in places], step, first, block)
