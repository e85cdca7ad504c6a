"""Answers against the oracle. A fast wrong answer is a defect: every check raises WrongAnswer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.dashboard.documents import HISTOGRAMS
from bench.dashboard.oracle import SHORT_S, Array, Mask, Oracle
from bench.history.clusters import METRICS, PEAKS
from bench.history.people import PEOPLE
from shared.metricdata.model import JobData

_BIN_S, _BINS = 3600, 48  # of histDuration, when nothing is said
_HOUR_S = 3600


class WrongAnswer(Exception):
    """An answer and its expected value."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Request and answer times, Unix seconds; a running job's duration may be taken at any moment in between."""

    before: float
    after: float


def _expect(what: str, answered: Any, right: Any) -> None:
    if answered != right:
        raise WrongAnswer(f"{what}: {str(answered)[:300]} instead of {str(right)[:300]}")


def check_page(oracle: Oracle, variables: Mapping[str, Any], data: Any, asked: Asked) -> None:
    page = data["jobs"]
    answered = [item["id"] for item in page["items"]]
    moments = range(int(asked.before), int(asked.after) + 1)
    ids, count = next(
        (right for now in moments if (right := oracle.page(variables, now))[0] == answered), oracle.page(variables, moments[0])
    )
    _expect("ids", answered, ids)
    if "count" in page:
        _expect("count", page["count"], count)
    wanted = variables["page"]
    _expect("hasNextPage", page["hasNextPage"], wanted["page"] * wanted["itemsPerPage"] < count)


def check_statistics(oracle: Oracle, variables: Mapping[str, Any], data: Any, asked: Asked) -> None:
    (found,) = data["jobsStatistics"]
    _check_totals(oracle, oracle.mask(variables["filter"], asked.before), found, asked)


def check_groups(oracle: Oracle, variables: Mapping[str, Any], data: Any, asked: Asked) -> None:
    """The whole order, and the numbers of some groups."""
    mask = oracle.mask(variables["filter"], asked.before)
    column = oracle.text("hpc_user" if variables["by"] == "USER" else "project")
    names, place = np.unique(column[mask], return_inverse=True)
    groups = data["jobsStatistics"]
    page = variables.get("page")
    _expect("number of groups", len(groups), min(len(names), page["itemsPerPage"]) if page else len(names))
    hours = [group["totalCoreHours"] for group in groups]
    _expect("order", hours, sorted(hours, reverse=True))
    thread_seconds = np.bincount(place, (oracle.lasting(asked.before) * oracle.number("num_hwthreads"))[mask])
    _expect("most core hours", hours[0] >= thread_seconds.max() // _HOUR_S, True)
    for group in [*groups[:5], *groups[len(groups) // 2 :][:5], *groups[-3:]]:
        _check_totals(oracle, mask & (column == group["id"]), group, asked)
        if variables["by"] == "USER" and group["id"] in PEOPLE.names:
            _expect("name", group["name"], PEOPLE.full_names[PEOPLE.names.index(group["id"])])


def _check_totals(oracle: Oracle, mask: Mask, found: Mapping[str, Any], asked: Asked) -> None:
    _expect("totalJobs", found["totalJobs"], int(mask.sum()))
    _expect("totalUsers", found["totalUsers"], len(np.unique(oracle.text("hpc_user")[mask])))
    _expect("runningJobs", found["runningJobs"], int(oracle.is_running[mask].sum()))
    # Theirs counts every running job too: its stored duration is 0 for a while.
    is_short = ~oracle.is_running & (oracle.number("duration") < SHORT_S)
    _expect("shortJobs", found["shortJobs"], int(is_short[mask].sum()))
    least, most = oracle.lasting(asked.before)[mask], oracle.lasting(asked.after + 1)[mask]
    weights = {"totalWalltime": np.ones(len(least), int)}
    weights |= {
        name: oracle.number(column)[mask]
        for name, column in (("totalNodeHours", "num_nodes"), ("totalCoreHours", "num_hwthreads"), ("totalAccHours", "num_acc"))
    }
    for name, weight in weights.items():
        low, high = (int((lasting * weight).sum()) // _HOUR_S for lasting in (least, most))
        if not low <= found[name] <= high:
            raise WrongAnswer(f"{name}: {found[name]} instead of {low} to {high}")
    if HISTOGRAMS[0] in found:
        _check_histograms(oracle, mask, found, least, most)


def _check_histograms(oracle: Oracle, mask: Mask, found: Mapping[str, Any], least: Array, most: Array) -> None:
    for name, column in (("histNumNodes", "num_nodes"), ("histNumCores", "num_hwthreads"), ("histNumAccs", "num_acc")):
        values, counts = np.unique(oracle.number(column)[mask], return_counts=True)
        answered = [(point["value"], point["count"]) for point in found[name]]
        _expect(name, answered, list(zip(values.tolist(), counts.tolist(), strict=True)))
    lasted = [(point["value"], point["count"]) for point in found["histDuration"]]
    _expect("edges of histDuration", [value for value, _ in lasted], [_BIN_S * (place + 1) for place in range(_BINS)])
    drifted = int((least // _BIN_S != most // _BIN_S).sum())  # running jobs that may stand in either of two bins
    right = np.bincount(least // _BIN_S, minlength=_BINS)[:_BINS]
    wrong = int(np.abs(np.array([count for _, count in lasted]) - right).sum())
    if wrong > 2 * drifted:
        raise WrongAnswer(f"histDuration: {lasted[:8]} … instead of {right[:8].tolist()} …")


def check_metric_histograms(oracle: Oracle, variables: Mapping[str, Any], data: Any, asked: Asked) -> None:
    ((found),) = data["jobsStatistics"]
    mask = oracle.mask(variables["filter"], asked.before)
    bins = variables["bins"]
    by_metric = {histogram["metric"]: histogram for histogram in found["histMetrics"]}
    _expect("metrics", sorted(by_metric), sorted(variables["metrics"]))
    for metric, histogram in by_metric.items():
        statistic = METRICS[metric][0]
        _expect(f"statistic of {metric}", histogram["stat"], statistic)
        key = f"{metric}_{statistic}"
        places = oracle.footprint(key)[mask] / PEAKS[key] * bins
        places = places[places <= bins]
        at_edge = int((np.abs(places - np.round(places)) < 1e-9).sum())  # where the last bit of a division decides
        right = np.bincount(np.minimum(places.astype(int), bins - 1), minlength=bins)
        answered = np.array([point["count"] for point in histogram["data"]])
        if len(answered) != bins or answered.sum() != right.sum() or np.abs(answered - right).sum() > 2 * at_edge:
            raise WrongAnswer(f"histogram of {metric}: {answered.tolist()} instead of {right.tolist()}")


def check_row(item: Mapping[str, Any], row: Mapping[str, Any], user: Mapping[str, Any] | None) -> None:
    """One item of a list against its row, with its JSON read, and its user's."""
    plain = {
        "id": "id", "jobId": "job_id", "user": "hpc_user", "project": "project", "cluster": "cluster", "subCluster": "subcluster",
        "walltime": "walltime", "numNodes": "num_nodes", "numHWThreads": "num_hwthreads", "numAcc": "num_acc", "SMT": "smt",
        "shared": "shared", "partition": "cluster_partition", "arrayJobId": "array_job_id", "monitoringStatus": "monitoring_status",
        "state": "job_state", "energy": "energy", "metaData": "meta_data", "tags": "tags",
    }  # fmt: skip
    for name, column in plain.items():
        _expect(name, item[name], row[column])
    whole = {"hwthreads": None, "accelerators": None, "configuration": ""}
    _expect("resources", item["resources"], [whole | resource for resource in row["resources"]])
    answered = {f"{value['name']}_{value['stat']}": value["value"] for value in item["footprint"]}
    _expect("footprint", answered, row["footprint"] or {})
    _expect("energyFootprint", {value["metric"]: value["value"] for value in item["energyFootprint"]}, row["energy_footprint"] or {})
    _expect("userData", item["userData"], user)


def check_job_metrics(data: Any, right: JobData, metrics: Sequence[str]) -> None:
    """Compare every sample to two decimals."""
    found = {entry["name"]: entry for entry in data["jobMetrics"]}
    _expect("metrics", sorted(found), sorted(metrics))
    for name in metrics:
        metric, wanted = found[name]["metric"], right[name]["node"]
        _expect(f"timestep of {name}", metric["timestep"], wanted.timestep)
        _expect(f"hosts of {name}", [one["hostname"] for one in metric["series"]], [series.hostname for series in wanted.series])
        for one, series in zip(metric["series"], wanted.series, strict=True):
            samples = np.array([math.nan if value is None else value for value in one["data"]])
            # The archive keeps 32-bit floats.
            if samples.shape != series.data.shape or not np.allclose(samples, series.data, rtol=1e-6, atol=0.006, equal_nan=True):
                raise WrongAnswer(f"{name} of {series.hostname}: {samples[:5]} … instead of {series.data[:5]} …")
