"""The short way from the archive to an answer gives what the long one gives."""

from pathlib import Path

import orjson
import pytest

from services.gateway.metrics.model import NamedMetric, named_metrics
from services.gateway.metrics.selection import Wanted, chosen_scopes, completed
from services.gateway.metrics.stored import is_as_stored, stored_metric
from shared.archive import data_of, read_data, render_data
from shared.metricdata.postprocess import postprocess
from shared.metricdata.resampling import Resolution
from tests.gateway.recorded import ARCHIVE, IMPORTED

FILE = Path("data.json")


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(with_samples=False), Wanted(with_band=False), Wanted(scopes=("node",))])
def test_both_ways_are_alike(wanted: Wanted) -> None:
    whole = read_data(ARCHIVE, IMPORTED[1], ["cpu_load", "mem_bw"])
    document = orjson.loads(render_data(postprocess(whole)))  # as our archiver writes it, with the statistics over the nodes
    short: list[NamedMetric] = []
    for name, scopes in document.items():
        assert is_as_stored(name, scopes, wanted)
        short += [stored_metric(name, scope, metric, wanted) for scope, metric in scopes.items()]
    long = completed(chosen_scopes(data_of(document, FILE), wanted), wanted)
    assert short == named_metrics(long, with_samples=wanted.with_samples, with_band=wanted.with_band)


def test_the_long_way_is_taken_when_there_is_something_to_do() -> None:
    series = [{"hostname": f"n{n}", "data": [1.0] * 20} for n in range(8)]
    metric = {"timestep": 60, "series": series}
    assert not is_as_stored("ipc", {"node": metric}, Wanted())  # statistics over the series
    assert not is_as_stored("mem_bw", {"socket": metric}, Wanted(scopes=("node",), with_band=False))  # sums
    assert not is_as_stored("ipc", {"node": metric}, Wanted(resolution=Resolution(300, 10), with_band=False))
    assert is_as_stored("ipc", {"node": metric}, Wanted(with_band=False))


def test_a_sample_that_is_no_number_is_an_error() -> None:
    with pytest.raises(TypeError, match="no number"):
        stored_metric("ipc", "node", {"timestep": 60, "series": [{"hostname": "n1", "data": [1.0, "2"]}]}, Wanted())
