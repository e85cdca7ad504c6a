"""Sums over jobs: what they are, and their expressions. All are sums of integers, so every engine gives the same answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, and_, case, cast, func, literal, null

from services.gateway.reading.filters import footprint, in_states, is_running, live_duration
from services.gateway.reading.source import Source
from shared.database.functions import total, whole
from shared.domain.values import INT32_MAX, JobState

HOUR_S = 3600
WH = 1000  # per kWh
MAX_ENERGY_KWH = 1e9  # largest energy of one job, so that the sum over all jobs fits into 64 bits
FAILED = (
    JobState.BOOT_FAIL,
    JobState.DEADLINE,
    JobState.FAILED,
    JobState.NODE_FAIL,
    JobState.OUT_OF_MEMORY,
    JobState.TIMEOUT,
)

# Totals, and what their sums are divided by. Those of hours are sums of seconds, those of energy sums of Wh.
_UNITS: Mapping[str, int] = {
    "total_jobs": 1,
    "total_users": 1,
    "total_projects": 1,
    "running_jobs": 1,
    "short_jobs": 1,
    "failed_jobs": 1,
    "waited_jobs": 1,
    "total_walltime": HOUR_S,
    "total_nodes": 1,
    "total_node_hours": HOUR_S,
    "total_cores": 1,
    "total_core_hours": HOUR_S,
    "total_accs": 1,
    "total_acc_hours": HOUR_S,
    "total_energy": WH,
    "total_wait_time": HOUR_S,
    "total_failed_core_hours": HOUR_S,
    "total_measured_core_hours": HOUR_S,
    "total_idle_core_hours": HOUR_S,
    "total_measured_acc_hours": HOUR_S,
    "total_idle_acc_hours": HOUR_S,
}
TOTALS = frozenset(_UNITS)
IN_WHOLE_HOURS = frozenset({"total_walltime", "total_node_hours", "total_core_hours", "total_acc_hours"})  # as in cc-backend


def exact(name: str, found: int | None) -> float:
    """A total in its unit, from its sum; a whole number where nothing is divided."""
    unit = _UNITS[name]
    return int(found or 0) if unit == 1 else int(found or 0) / unit


@dataclass(frozen=True, slots=True)
class Peaks:
    """The footprint that says how busy a resource is, and its value when fully busy, by (cluster, subcluster)."""

    key: str = ""
    values: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Measures:
    """What the sums depend on besides the jobs; ``load`` is that of the cores."""

    short_job_s: int = 300
    load: Peaks = Peaks()
    acc_load: Peaks = Peaks()


PLAIN = Measures()


def sane_duration(source: Source, now: int) -> ColumnElement[int]:
    """``live_duration``, but at most 68 years.

    Multiplied by nodes or threads it still fits into 64 bits, so that a time in wrong units does not overflow the sums over all jobs.
    """
    is_absurd = source.job.c.duration > INT32_MAX
    return case((is_absurd, literal(INT32_MAX, BigInteger)), else_=live_duration(source, now))


def sums(source: Source, measures: Measures, now: int) -> dict[str, ColumnElement[Any]]:
    """All totals, times in seconds, energy in Wh; NULL for an empty sum."""
    job, duration = source.job.c, sane_duration(source, now)
    is_short = and_(job.duration < measures.short_job_s, ~is_running(source))
    has_failed = in_states(FAILED, source)
    cores, accs = duration * job.num_hwthreads, duration * job.num_acc
    measured_cores, idle_cores = _idle(source, measures.load, cores, job.shared == literal("none"))
    measured_accs, idle_accs = _idle(source, measures.acc_load, accs, job.num_acc > 0)
    waited = and_(job.submit_time > 0, job.submit_time <= job.start_time)
    return {
        "total_jobs": func.count(),
        "total_users": func.count(job.hpc_user.distinct()),
        "total_projects": func.count(job.project.distinct()),
        "running_jobs": func.count(case((is_running(source), 1))),
        "short_jobs": func.count(case((is_short, 1))),
        "failed_jobs": func.count(case((has_failed, 1))),
        "waited_jobs": func.count(case((waited, 1))),
        "total_walltime": total(duration),
        "total_nodes": total(job.num_nodes),
        "total_node_hours": total(duration * job.num_nodes),
        "total_cores": total(job.num_hwthreads),
        "total_core_hours": total(cores),
        "total_accs": total(job.num_acc),
        "total_acc_hours": total(accs),
        "total_energy": total(_energy_wh(job.energy)),
        "total_wait_time": total(case((waited, _at_most(job.start_time - job.submit_time)))),
        "total_failed_core_hours": total(case((has_failed, cores))),
        "total_measured_core_hours": total(measured_cores),
        "total_idle_core_hours": total(idle_cores),
        "total_measured_acc_hours": total(measured_accs),
        "total_idle_acc_hours": total(idle_accs),
    }


def _at_most(seconds: ColumnElement[int]) -> ColumnElement[int]:
    return case((seconds > INT32_MAX, literal(INT32_MAX, BigInteger)), else_=seconds)


def _energy_wh(energy: ColumnElement[float]) -> ColumnElement[int]:
    limit = literal(int(MAX_ENERGY_KWH) * WH, BigInteger)
    in_range: ColumnElement[int] = whole(energy * literal(float(WH), Double))
    return case((energy <= 0.0, literal(0, BigInteger)), (energy >= MAX_ENERGY_KWH, limit), else_=in_range)


def _idle(
    source: Source, peaks: Peaks, seconds: ColumnElement[int], is_counted: ColumnElement[bool]
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Of one job: its seconds if it was measured, and the idle part of them, which is the share that the footprint lacks to the peak.

    NULL for a job that was not measured.
    """
    value = footprint(peaks.key, source) if peaks.values else None
    if value is None:
        return cast(null(), BigInteger), cast(null(), BigInteger)
    job = source.job.c
    peak = case(*((and_(job.cluster == c, job.subcluster == s), literal(number, Double)) for c, s, number in peaks.values))
    measured = and_(is_counted, value >= 0.0, peak.is_not(None))
    part: ColumnElement[int] = whole((literal(1.0, Double) - value / peak) * cast(seconds, Double))
    idle = case((value >= peak, literal(0, BigInteger)), else_=part)
    return case((measured, seconds)), case((measured, idle))
