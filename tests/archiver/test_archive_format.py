"""The bytes of meta.json and data.json."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.archiver.jobs import JobRecord
from services.archiver.work import Work, perform
from shared.archive import (
    JobPath,
    job_path_of,
    meta_of_row,
    open_archive,
    pack,
    read_data,
    read_meta,
    render_data,
    render_meta,
    with_annotations,
)
from shared.archive.files import FileStore
from shared.archive.layout import ArchiveError
from shared.archive.text import dump
from shared.domain.events import Tag
from shared.metricdata import JobData, MetricData, Series, Statistics, Unit, request_of
from shared.metricdata.cc_metric_store import CcMetricStore
from shared.metricdata.postprocess import postprocess
from tests.archiver.feed import recorded_store
from tests.archiver.recordings import exchanges
from tests.archiver.schemas import problems
from tests.archiver.site import job_row
from tests.archiver.test_cc_metric_store import quick
from tests.support.clusters import sample_clusters
from tests.support.metric_store import serving


@pytest.mark.parametrize(
    ("job_id", "start", "place"),
    [
        (1403244, 1608923076, "emmy/1403/244/1608923076"),
        (7, 1700000000, "emmy/0/007/1700000000"),
        (999, 1700000000, "emmy/0/999/1700000000"),
        (1000, 1700000000, "emmy/1/000/1700000000"),
        (25004017, 1712345678, "emmy/25004/017/1712345678"),
    ],
)
def test_the_path_of_a_job(job_id: int, start: int, place: str) -> None:
    path = JobPath("emmy", job_id, start)
    assert path.relative == place
    assert job_path_of(Path("/archive"), Path("/archive") / place) == path


@pytest.mark.parametrize("cluster", ["", "..", "a/b", ".hidden", "a\0b"])
def test_a_cluster_name_cannot_escape_the_archive(cluster: str) -> None:
    with pytest.raises(ArchiveError):
        JobPath(cluster, 1, 1).under(Path("/archive"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (61.0, "61"),
        (0.0, "0"),
        (-0.0, "-0"),
        (62.12, "62.12"),
        (1e-9, "1e-9"),
        (0.00005, "0.00005"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (3.4028234663852886e38, "3.4028234663852886e+38"),
        (1.53846153846154, "1.53846153846154"),
        (2**53 + 0.0, "9007199254740992"),
    ],
)
def test_numbers_have_their_shortest_form(value: float, text: str) -> None:
    assert dump(value).decode() == text + "\n"
    assert float(text) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_json_cannot_represent_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dump({"avg": value})


def test_markup_is_escaped() -> None:
    assert dump({"a": "<b> & \u2028"}) == b'{"a":"\\u003cb\\u003e \\u0026 \\u2028"}\n'


def test_meta_keys_are_ordered_and_empty_ones_omitted() -> None:
    row = job_row(815, job_id=4711042, smt=2, meta_data='{"z":"1","jobName":"cfd"}')
    tags = [(2, Tag(type="b", name="x")), (1, Tag(type="a", name="y", scope="alice"))]
    meta = meta_of_row(row, tags, statistics={}, footprint={"cpu_load_avg": 31.5}, energy_footprint={}, energy=0.0)
    assert render_meta(meta).decode() == (
        '{"cluster":"fritz","subCluster":"main","partition":"main","project":"physics","user":"alice","shared":"none",'
        '"jobState":"completed","tags":[{"type":"a","name":"y","scope":"alice","id":1},{"type":"b","name":"x","scope":"global","id":2}],'
        '"resources":[{"hostname":"f0101"}],"energyFootprint":{},"footprint":{"cpu_load_avg":31.5},'
        '"metaData":{"jobName":"cfd","z":"1"},"concurrentJobs":{"items":[],"count":0},"energy":0,"walltime":86400,"jobId":4711042,'
        '"duration":3600,"smt":2,"monitoringStatus":3,"numNodes":1,"statistics":{},"id":815,"submitTime":1699999940,"startTime":1700000000}\n'
    )


def test_annotating_keeps_keys_of_other_writers() -> None:
    document = {"stopTime": 5, "jobId": 1, "tags": [{"type": "old"}], "metaData": None, "statistics": {"x": {"avg": 1.0}}}
    changed = with_annotations(document, job_row(1, meta_data='{"k":"v"}'), [])
    assert render_meta(changed) == b'{"metaData":{"k":"v"},"jobId":1,"statistics":{"x":{"avg":1}},"stopTime":5}\n'


def _data(values: list[float], **changes: Any) -> JobData:
    series = Series("d0007", changes.get("id"), Statistics(12.345, 0.0, 20.0), np.array(values))
    return {"flops_any": {"node": MetricData(Unit("F/s", "G"), 30, (series,))}}


def test_data_has_two_decimals_and_null() -> None:
    text = render_data(_data([float("nan"), 123456789.12, 0.125, 0.005, -1.5], id="3"))
    assert text.decode() == (
        '{"flops_any":{"node":{"unit":{"base":"F/s","prefix":"G"},"series":[{"hostname":"d0007","id":"3",'
        '"statistics":{"min":0.00,"avg":12.35,"max":20.00},"data":[null,123456789.12,0.12,0.01,-1.50]}],"timestep":30}}}\n'
    )


def test_an_infinite_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="infinite"):
        render_data(_data([float("inf")]))


def test_text_above_2000_bytes_is_packed_deterministically() -> None:
    assert pack(b"x" * 2000) == (b"x" * 2000, False)
    packed, is_packed = pack(b"x" * 2001)
    assert is_packed
    assert gzip.decompress(packed) == b"x" * 2001
    assert pack(b"x" * 2001)[0] == packed


def _write(root: Path, row: dict[str, Any], data: JobData | None) -> Work:
    work = Work(JobRecord(row, ()), [], archives=True, metrics=sample_clusters()[row["cluster"]].metrics_on(row["subcluster"]), data=data)
    open_archive(root)
    perform(FileStore(root), [work])
    assert work.error is None
    return work


@pytest.mark.parametrize("name", [name for name in sorted(exchanges()) if name.startswith("ccb/archive")])
async def test_written_files_pass_the_schemas_and_are_deterministic(name: str, tmp_path: Path) -> None:
    meta = exchanges()[name]["archived_meta"]
    row = job_row(
        7,
        job_id=meta["jobId"],
        cluster=meta["cluster"],
        subcluster=meta["subCluster"],
        start_time=meta["startTime"],
        duration=meta["duration"],
        num_nodes=meta["numNodes"],
        num_acc=meta.get("numAcc", 0),
        resources=json.dumps(meta["resources"]),
    )
    request = request_of(row, sample_clusters()[meta["cluster"]], finest_scope_nodes=8)
    async with serving(recorded_store()) as url, CcMetricStore(quick(url, timeout_s=10)) as store:
        first, second = (await store.load(request)).data, (await store.load(request)).data
    _write(tmp_path, row, first)
    path = JobPath(meta["cluster"], meta["jobId"], meta["startTime"])
    place = path.under(tmp_path)
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    _write(tmp_path, row, second)
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
    assert problems("job-meta", read_meta(tmp_path, path)) == []
    text = gzip.decompress(before["data.json.gz"]) if "data.json.gz" in before else before["data.json"]
    found = [problem for problem in problems("job-data", json.loads(text)) if "statisticsSeries" not in problem]
    assert found == []  # the schema does not allow the nulls that the format writes for steps without enough samples
    back = read_data(tmp_path, path)
    assert {metric: sorted(scopes) for metric, scopes in back.items()} == {m: sorted(s) for m, s in postprocess(first).items()}


async def test_the_file_of_a_small_job_passes_the_schema_without_metric_data(tmp_path: Path) -> None:
    row = job_row(7)
    _write(tmp_path, row, None)
    path = JobPath("fritz", 1, row["start_time"])
    assert problems("job-meta", read_meta(tmp_path, path)) == []
    assert sorted(file.name for file in path.under(tmp_path).iterdir()) == ["data.json", "meta.json"]


def test_values_sent_with_the_job_are_used_without_metric_data(tmp_path: Path) -> None:
    row = job_row(
        7, statistics='{"cpu_load":{"unit":{"base":"load"},"avg":3.5,"min":1.0,"max":4.0}}', footprint='{"cpu_load_avg":3.5}', energy=1.25
    )
    work = _write(tmp_path, row, None)
    meta = read_meta(tmp_path, JobPath("fritz", 1, row["start_time"]))
    assert meta["statistics"] == {"cpu_load": {"unit": {"base": "load"}, "avg": 3.5, "min": 1, "max": 4}}
    assert (meta["footprint"], meta["energy"]) == ({"cpu_load_avg": 3.5}, 1.25)
    assert work.results is not None
    assert work.results.footprint == {"cpu_load_avg": 3.5}


def test_archiving_again_with_less_data_removes_the_old_file(tmp_path: Path) -> None:
    row = job_row(7)
    _write(tmp_path, row, _data(list(range(2000))))
    place = JobPath("fritz", 1, row["start_time"]).under(tmp_path)
    assert sorted(file.name for file in place.iterdir()) == ["data.json.gz", "meta.json", "thumbnail.json.gz"]
    _write(tmp_path, row, _data([1.0, 2.0]))
    assert sorted(file.name for file in place.iterdir()) == ["data.json", "meta.json", "thumbnail.json.gz"]
    assert read_data(tmp_path, JobPath("fritz", 1, row["start_time"]))["flops_any"]["node"].series[0].data.tolist() == [1.0, 2.0]
