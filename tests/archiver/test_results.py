"""Statistics, footprint and energy."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.archive import JobPath, read_data, read_meta
from shared.domain.clusters import Cluster, Metric, MetricUnit
from shared.metricdata import JobData, MetricData, Series, Statistics, Unit, results_of
from shared.metricdata.arithmetic import round2, statistics_of
from shared.metricdata.postprocess import combine, postprocess, statistics_series
from shared.metricdata.results import energy_kwh, footprint
from tests.support.clusters import sample_clusters

NAN = math.nan
ARCHIVE = Path(__file__).parents[1] / "data" / "archive-v1.5"


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.125, 0.13), (-0.125, -0.13), (2.675, 2.68), (1.005, 1.0), (61.124, 61.12), (0.0, 0.0), (5.0, 5.0)]
)
def test_halves_are_rounded_away_from_zero(value: float, rounded: float) -> None:
    """2.675 * 100 is 267.5 in binary, 1.005 * 100 is just below 100.5."""
    assert round2(value) == rounded


def test_the_median_skips_missing_samples() -> None:
    rows = [np.array([value]) for value in (NAN, NAN, 12.0, 13.0, 14.0)]
    found = statistics_series(rows)
    assert found.median is not None
    assert (found.min[0], found.median[0], found.max[0]) == (12.0, 13.0, 14.0)


def test_a_step_with_fewer_than_three_samples_has_no_statistics() -> None:
    found = statistics_series([np.array([1.0, 1.0]), np.array([2.0, NAN]), np.array([3.0, 3.0])])
    assert found.median is not None
    assert found.median[0] == 2.0
    assert np.isnan([found.min[1], found.median[1], found.max[1]]).all()


@given(st.lists(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(NAN)), min_size=0, max_size=6), min_size=1, max_size=9))
def test_statistics_series_are_those_of_numpy(rows: list[list[float]]) -> None:
    found = statistics_series([np.array(row, dtype=float) for row in rows])
    assert found.median is not None
    for step in range(max(map(len, rows))):
        present = [row[step] for row in rows if len(row) > step and not math.isnan(row[step])]
        if len(present) < 3:
            assert math.isnan(found.median[step])
        else:
            assert found.median[step] == pytest.approx(np.median(present))
            assert (found.min[step], found.max[step]) == (min(present), max(present))


def test_a_failed_device_does_not_invalidate_the_sum_but_a_gap_does() -> None:
    whole, ended, holed = np.array([1.0, 1, 1, 1]), np.array([2.0, 2]), np.array([4.0, NAN, 4, 4])
    assert combine([whole, ended], "sum").tolist() == [3, 3, 1, 1]
    assert combine([whole, ended], "avg").tolist() == [1.5, 1.5, 1, 1]
    assert np.isnan(combine([whole, holed], "sum")).tolist() == [False, True, False, False]


def test_statistics_of_nothing() -> None:
    assert statistics_of(np.array([NAN, NAN])) is None
    assert statistics_of(np.array([NAN, 1.0, 3.0])) == Statistics(2.0, 1.0, 3.0)


def _metric(values: dict[str, list[float]], *, timestep: int = 60) -> MetricData:
    series = []
    for host, samples in values.items():
        data = np.array(samples)
        found = statistics_of(data)
        assert found is not None
        series.append(Series(host, None, found, data))
    return MetricData(Unit("W"), timestep, tuple(series))


def test_flops_get_a_node_value_consistent_with_its_samples() -> None:
    socket = _metric({"a": [1.0, 2.0]})
    data: JobData = {"flops_any": {"socket": MetricData(socket.unit, 60, (*socket.series, *socket.series))}}
    (node,) = postprocess(data)["flops_any"]["node"].series
    assert node.data.tolist() == [2.0, 4.0]
    assert node.statistics == Statistics(3.0, 2.0, 4.0)


POWER = Metric(name="cpu_power", timestep=60, energy="power", unit=MetricUnit(base="W"))


def test_energy_of_the_example_in_kwh() -> None:
    scopes = {"node": _metric({"a": [310.0]})}
    assert energy_kwh(POWER, scopes, Statistics(310, 310, 310), num_nodes=4, duration_s=7200) == 2.48
    assert energy_kwh(POWER, scopes, Statistics(820, 820, 820), num_nodes=4, duration_s=7200) == 6.56


def test_energy_respects_the_prefix_and_the_kind() -> None:
    scopes = {"node": _metric({"a": [1.0]}, timestep=10)}
    kilowatts = POWER.model_copy(update={"unit": MetricUnit(base="W", prefix="K")})
    assert energy_kwh(kilowatts, scopes, Statistics(0.31, 0, 1), num_nodes=4, duration_s=7200) == 2.48
    joules = POWER.model_copy(update={"energy": "energy", "unit": MetricUnit(base="J")})
    assert energy_kwh(joules, scopes, Statistics(3100.0, 0, 1), num_nodes=4, duration_s=7200) == 2.48


def test_devices_that_the_store_averages_are_added_up() -> None:
    metric = POWER.model_copy(update={"name": "acc_power", "scope": "accelerator", "aggregation": "avg"})
    devices = _metric({"a": [300.0], "b": [500.0]})
    scopes = {"node": _metric({"a": [400.0]}), "accelerator": devices}
    assert energy_kwh(metric, scopes, Statistics(400, 400, 400), num_nodes=1, duration_s=3600) == 0.8


def test_the_footprint_is_as_the_subcluster_configures_it() -> None:
    fritz = sample_clusters()["fritz"]
    statistics = {name: Statistics(1.0, 0.5, 2.0) for name in ("cpu_load", "mem_used", "flops_any", "mem_bw")}
    assert footprint(fritz.metrics_on("main"), statistics) == {"cpu_load_avg": 1, "mem_used_max": 2, "flops_any_avg": 1, "mem_bw_avg": 1}
    assert set(footprint(fritz.metrics_on("spr2tb"), statistics)) == {"cpu_load_avg", "mem_used_max"}
    assert footprint(fritz.metrics_on("main"), {}) == {}


@pytest.mark.parametrize("path", [JobPath("emmy", 1403244, 1608923076), JobPath("emmy", 1404397, 1609300556)], ids=["A", "B"])
def test_statistics_of_the_sample_archive_are_reproduced(path: JobPath) -> None:
    """Within 0.08, because its older writer computed them differently; its ipc series have no statistics."""
    meta = read_meta(ARCHIVE, path)
    data = {name: scopes for name, scopes in read_data(ARCHIVE, path).items() if name != "ipc"}
    emmy: Cluster = sample_clusters()["emmy"]
    results = results_of(data, emmy.metrics_on("haswell"), num_nodes=meta["numNodes"], duration_s=meta["duration"])
    for name, (_, found) in results.statistics.items():
        archived = meta["statistics"][name]
        assert (found.min, found.max) == pytest.approx((archived["min"], archived["max"]), abs=0.01), name
        assert found.avg == pytest.approx(archived["avg"], abs=0.1), name
    recomputed = {name: statistics_of(series.data) for name, scopes in data.items() for series in scopes["node"].series[:1]}
    for name, own in recomputed.items():
        stored = data[name]["node"].series[0].statistics
        assert own is not None
        assert own.avg == pytest.approx(stored.avg, abs=0.51), name
    assert set(results.statistics) == set(data)
    assert (results.footprint, results.energy) == ({}, 0.0)
