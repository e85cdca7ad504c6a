"""Archive entries of some jobs of a history, with time series."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bench.history.clusters import METRICS, TIMESTEP_S, Metric
from bench.support.database import reading
from shared.archive import Entry, JobPath, meta_of_row, open_archive, pack, render_data, render_meta, render_thumbnail, write_entries
from shared.database.tables import tables
from shared.domain.values import ARCHIVED
from shared.metricdata.model import JobData, MetricData, Series, Statistics, Unit
from shared.settings import DatabaseSettings

NODES = 32
_SEED = 1404


async def archive_largest(
    database: DatabaseSettings, root: Path, jobs: int, samples: int, *, skip: int = 0, metrics: Mapping[str, Metric] = METRICS
) -> list[int]:
    """Write entries of so many jobs with 32 nodes, the longest ones after the first ``skip``; the ids, fewer when there are not so many.

    Every metric has ``samples`` samples per node, however long the job was: answers are of the size that is wanted. Blocks.
    """
    columns = [column.name for column in tables.job.columns]
    async with reading(database) as reader:
        found = await reader.rows(
            f"SELECT {', '.join(columns)} FROM job WHERE num_nodes = {NODES} AND monitoring_status = {ARCHIVED}"
            f" ORDER BY duration DESC, id LIMIT {jobs} OFFSET {skip}"
        )
    open_archive(root)
    ids = []
    for values in found:
        row = dict(zip(columns, values, strict=True))
        errors = write_entries(root, [_entry(row, samples, metrics)])
        if errors[0] is not None:
            raise errors[0]
        ids.append(row["id"])
    return ids


def _entry(row: dict[str, Any], samples: int, metrics: Mapping[str, Metric]) -> Entry:
    data = job_data(row["id"], [resource["hostname"] for resource in orjson.loads(row["resources"])], samples, metrics)
    meta = meta_of_row(
        row,
        [],
        statistics={name: _summary(scopes["node"]) for name, scopes in data.items()},
        footprint=orjson.loads(row["footprint"]),
        energy_footprint=orjson.loads(row["energy_footprint"] or "{}"),
        energy=row["energy"],
    )
    text, is_packed = pack(render_data(data))
    thumbnail = render_thumbnail(data, len(text))
    return Entry(JobPath(row["cluster"], row["job_id"], row["start_time"]), render_meta(meta), text, is_packed, thumbnail)


def job_data(id_: int, hosts: list[str], samples: int, metrics: Mapping[str, Metric] = METRICS) -> JobData:
    """Random walks around a level, some samples missing."""
    dice = np.random.default_rng([_SEED, id_])
    data: JobData = {}
    for name, (_, base, prefix, peak) in metrics.items():
        level = peak * dice.uniform(0.2, 0.8)
        walks = level + dice.normal(0, peak / 200, (len(hosts), samples)).cumsum(axis=1)
        walks = np.abs(walks).round(2)
        walks[dice.random(walks.shape) < 0.002] = np.nan
        series = tuple(Series(host, None, _statistics(walk), walk) for host, walk in zip(hosts, walks, strict=True))
        data[name] = {"node": MetricData(Unit(base, prefix), TIMESTEP_S, series)}
    return data


def _statistics(walk: "np.ndarray[Any, np.dtype[np.float64]]") -> Statistics:
    return Statistics(float(np.nanmean(walk)), float(np.nanmin(walk)), float(np.nanmax(walk)))


def _summary(metric: MetricData) -> dict[str, Any]:
    found = [series.statistics for series in metric.series]
    return {
        "unit": {"base": metric.unit.base, "prefix": metric.unit.prefix},
        "avg": round(sum(one.avg for one in found) / len(found), 2),
        "min": min(one.min for one in found),
        "max": max(one.max for one in found),
    }
