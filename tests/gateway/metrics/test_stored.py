"""The short way from the archive to an answer gives what the long one gives."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from services.gateway.metrics.model import NamedMetric, Numbers, named_metrics
from services.gateway.metrics.resampling import Resolution
from services.gateway.metrics.selection import Wanted, chosen_scopes, completed
from services.gateway.metrics.stored import is_as_stored, stored_metric
from shared.archive import StoredMetric, data_of, read_data, render_data, stored_scopes
from shared.metricdata.postprocess import postprocess
from tests.gateway.recorded import ARCHIVE, IMPORTED

FILE = Path("data.json")


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(with_samples=False), Wanted(with_band=False), Wanted(scopes=("node",))])
def test_both_ways_are_alike(wanted: Wanted) -> None:
    whole = read_data(ARCHIVE, IMPORTED[1], ["cpu_load", "mem_bw"])
    document = orjson.loads(render_data(postprocess(whole)))  # as our archiver writes it, with the statistics over the nodes
    short: list[NamedMetric] = []
    for name, found in document.items():
        scopes = _stored(found)
        assert is_as_stored(name, scopes, wanted)
        short += [stored_metric(name, scope, metric, wanted) for scope, metric in scopes.items()]
    long = completed(chosen_scopes(data_of({name: orjson.dumps(found) for name, found in document.items()}, FILE), wanted), wanted)
    assert short == named_metrics(long, with_samples=wanted.with_samples, with_band=wanted.with_band)


def test_the_long_way_is_taken_when_there_is_something_to_do() -> None:
    series = [{"hostname": f"n{n}", "data": [1.0] * 20} for n in range(8)]
    scopes = _stored({"node": {"timestep": 60, "series": series}})
    assert not is_as_stored("ipc", scopes, Wanted())  # statistics over the series
    assert not is_as_stored("mem_bw", {"socket": scopes["node"]}, Wanted(scopes=("node",), with_band=False))  # sums
    assert not is_as_stored("ipc", scopes, Wanted(resolution=Resolution(300, 10), with_band=False))
    assert is_as_stored("ipc", scopes, Wanted(with_band=False))


@pytest.mark.parametrize("samples", ['[1.0,"2"]', "[1.0,[2]]", "[true]", '"1"', "7", "{}", "[[]]", "[1,{}]"])
def test_a_sample_that_is_no_number_is_an_error(samples: str) -> None:
    scopes = stored_scopes(b'{"node": {"timestep": 60, "series": [{"hostname": "n1", "data": %b}]}}' % samples.encode())
    with pytest.raises(TypeError, match="no number"):
        stored_metric("ipc", "node", scopes["node"], Wanted())


@pytest.mark.parametrize(
    "samples", ["[1,,2]", "[1..2]", "[1", "[01]", "[NaN]", "[1 2]", "[nul]", "[-]", "[,]", "1]", "[1.]", "[1e]", "[-01]", "[.5]"]
)
def test_samples_that_are_not_json_are_an_error(samples: str) -> None:
    with pytest.raises(ValueError, match="not metric data"):
        stored_scopes(b'{"node": {"timestep": 60, "series": [{"hostname": "n1", "data": %b}]}}' % samples.encode())


def test_samples_are_given_as_they_are_written() -> None:
    samples = b"[1, 2.50,null,\n-0.1e+06]"
    scopes = stored_scopes(b'{"node": {"timestep": 60, "series": [{"hostname": "n1", "data": %b}, {"hostname": "n2"}]}}' % samples)
    first, second = stored_metric("ipc", "node", scopes["node"], Wanted()).metric.series
    assert first.data == Numbers(samples)
    assert second.data == Numbers(b"[]")


def _stored(scopes: dict[str, Any]) -> dict[str, StoredMetric]:
    return stored_scopes(orjson.dumps(scopes))
