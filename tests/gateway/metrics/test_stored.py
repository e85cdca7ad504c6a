"""Copying stored text from the archive gives the same answer as decoding and encoding it."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from services.gateway.metrics.model import NamedMetric, Numbers, named_metrics
from services.gateway.metrics.resampling import Resolution
from services.gateway.metrics.selection import MetricSelection, chosen_scopes, completed
from services.gateway.metrics.stored import is_as_stored, stored_metric
from shared.archive import StoredMetric, data_of, read_data, render_data, stored_scopes
from shared.metricdata.postprocess import postprocess
from tests.gateway.recorded import ARCHIVE, IMPORTED

FILE = Path("data.json")


@pytest.mark.parametrize(
    "wanted", [MetricSelection(), MetricSelection(with_samples=False), MetricSelection(with_band=False), MetricSelection(scopes=("node",))]
)
def test_the_fast_path_answers_the_same_as_the_slow_one(wanted: MetricSelection) -> None:
    whole = read_data(ARCHIVE, IMPORTED[1], ["cpu_load", "mem_bw"])
    document = orjson.loads(render_data(postprocess(whole)))  # as the archiver writes it, with the statistics over the nodes
    short: list[NamedMetric] = []
    for name, found in document.items():
        scopes = _stored(found)
        assert is_as_stored(name, scopes, wanted)
        short += [stored_metric(name, scope, metric, wanted) for scope, metric in scopes.items()]
    long = completed(chosen_scopes(data_of({name: orjson.dumps(found) for name, found in document.items()}, FILE), wanted), wanted)
    assert short == named_metrics(long, with_samples=wanted.with_samples, with_band=wanted.with_band)


def test_metrics_that_need_arithmetic_take_the_slow_path() -> None:
    series = [{"hostname": f"n{n}", "data": [1.0] * 20} for n in range(8)]
    scopes = _stored({"node": {"timestep": 60, "series": series}})
    assert not is_as_stored("ipc", scopes, MetricSelection())  # statistics over the series
    assert not is_as_stored("mem_bw", {"socket": scopes["node"]}, MetricSelection(scopes=("node",), with_band=False))  # sums
    assert not is_as_stored("ipc", scopes, MetricSelection(resolution=Resolution(300, 10), with_band=False))
    assert is_as_stored("ipc", scopes, MetricSelection(with_band=False))


@pytest.mark.parametrize("samples", ['[1.0,"2"]', "[1.0,[2]]", "[true]", '"1"', "7", "{}", "[[]]", "[1,{}]"])
def test_a_sample_that_is_not_a_number_is_an_error(samples: str) -> None:
    scopes = stored_scopes(b'{"node": {"timestep": 60, "series": [{"hostname": "n1", "data": %b}]}}' % samples.encode())
    with pytest.raises(TypeError, match="not a number"):
        stored_metric("ipc", "node", scopes["node"], MetricSelection())


@pytest.mark.parametrize(
    "samples", ["[1,,2]", "[1..2]", "[1", "[01]", "[NaN]", "[1 2]", "[nul]", "[-]", "[,]", "1]", "[1.]", "[1e]", "[-01]", "[.5]"]
)
def test_samples_that_are_not_json_are_an_error(samples: str) -> None:
    with pytest.raises(ValueError, match="not metric data"):
        stored_scopes(b'{"node": {"timestep": 60, "series": [{"hostname": "n1", "data": %b}]}}' % samples.encode())


def test_samples_are_answered_as_stored() -> None:
    samples = b"[1, 2.50,null,\n-0.1e+06]"
    scopes = stored_scopes(b'{"node": {"timestep": 60, "series": [{"hostname": "n1", "data": %b}, {"hostname": "n2"}]}}' % samples)
    first, second = stored_metric("ipc", "node", scopes["node"], MetricSelection()).metric.series
    assert first.data == Numbers(samples)
    assert second.data == Numbers(b"[]")


def _stored(scopes: dict[str, Any]) -> dict[str, StoredMetric]:
    return stored_scopes(orjson.dumps(scopes))
