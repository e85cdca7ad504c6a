"""Thumbnails of archive entries: what is in them, and when they are not used."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.archiver.jobs import JobRecord
from services.archiver.work import Work, perform
from shared.archive import (
    THUMBNAIL_POINTS,
    ArchiveError,
    Entry,
    JobPath,
    Thumbnail,
    add_thumbnail,
    bands_in,
    open_archive,
    read_data,
    verify,
    write_entries,
)
from shared.archive.files import FileStore
from shared.archive.layout import THUMBNAIL_FILE
from shared.archive.reader import read_data_texts
from shared.archive.transfer import copied
from shared.metricdata import JobData, MetricData, Series, Statistics, Unit
from tests.archiver.site import job_row

SAMPLE = Path(__file__).parents[1] / "data" / "archive-v1.5"
PATH = JobPath("emmy", 1403244, 1608923076)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "archive"))


def lines(thumbnail: Thumbnail | None) -> dict[str, tuple[str, int, list[float], list[float], list[float]]]:
    assert thumbnail is not None
    bands = {name: stored.decoded() for name, stored in thumbnail.items()}
    return {name: (b.scope, b.timestep, b.min.tolist(), b.median.tolist(), b.max.tolist()) for name, b in bands.items()}


def data(*rows: list[float]) -> JobData:
    series = (Series(f"f{number}", None, Statistics(1, 1, 1), np.array(row)) for number, row in enumerate(rows))
    return {"mem_bw": {"node": MetricData(Unit("B/s", "G"), 60, tuple(series))}}


def archived(root: Path, found: JobData | None) -> JobPath:
    open_archive(root)
    work = Work(JobRecord(job_row(1, hosts=["f0", "f1"]), []), [], archives=True, data=found)
    perform(FileStore(root), [work])
    assert work.error is None
    return work.job.path


def test_an_archived_job_has_a_thumbnail_of_its_data(tmp_path: Path) -> None:
    path = archived(tmp_path, data([1, 2, 3.00049], [3, 4, 1234.56]))
    assert lines(bands_in(FileStore(tmp_path), path)) == {"mem_bw": ("node", 60, [1, 2, 3], [2, 3, 618.8], [3, 4, 1235])}


def test_samples_of_the_archive_are_inside_the_bands(archive: Path) -> None:
    add_thumbnail(FileStore(archive), PATH)
    bands = bands_in(FileStore(archive), PATH)
    assert bands is not None
    for name, scopes in read_data(archive, PATH).items():
        band, series = bands[name].decoded(), scopes["node"].series
        assert band.min.size <= THUMBNAIL_POINTS
        size = band.timestep // scopes["node"].timestep
        for one in series:
            bucket = np.arange(one.data.size) // size
            present = ~np.isnan(one.data)
            slack = 1e-3 * np.abs(one.data[present])  # four significant digits
            assert (band.min[bucket][present] <= one.data[present] + slack).all()
            assert (band.max[bucket][present] >= one.data[present] - slack).all()
    assert list(verify(archive)) == list(verify(SAMPLE))


def test_archiving_again_replaces_the_thumbnail_and_keeps_it_without_new_data(tmp_path: Path) -> None:
    path = archived(tmp_path, data([1, 2]))
    archived(tmp_path, data([5, 6]))
    assert lines(bands_in(FileStore(tmp_path), path))["mem_bw"][2] == [5, 6]
    archived(tmp_path, None)
    assert lines(bands_in(FileStore(tmp_path), path))["mem_bw"][2] == [5, 6]


@pytest.mark.parametrize("content", [b"", b"not gzip", None], ids=["empty", "damaged", "missing"])
def test_a_thumbnail_that_cannot_be_read_is_none(content: bytes | None, archive: Path) -> None:
    file = PATH.under(archive) / THUMBNAIL_FILE
    if content is not None:
        file.write_bytes(content)
    assert bands_in(FileStore(archive), PATH) is None
    add_thumbnail(FileStore(archive), PATH)
    assert "cpu_load" in lines(bands_in(FileStore(archive), PATH))


def test_a_thumbnail_of_other_data_is_not_used(tmp_path: Path) -> None:
    path = archived(tmp_path, data([1, 2]))
    directory = path.under(tmp_path)
    (directory / "data.json").write_text("{}")  # as another program does
    assert bands_in(FileStore(tmp_path), path) is None
    archived(tmp_path, data([1, 2]))
    assert write_entries(tmp_path, [Entry(path, b"{}", b"{}")]) == [None]
    assert not (directory / THUMBNAIL_FILE).exists()
    (directory / "data.json").unlink()
    with pytest.raises(ArchiveError):
        bands_in(FileStore(tmp_path), path)


def test_a_crash_while_an_entry_is_replaced_leaves_no_thumbnail_of_the_old_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The replacement of the thumbnail fails, after that of the data, whose size stays the same."""
    path = archived(tmp_path, data([1, 2]))
    real = Path.replace

    def failing(self: Path, target: str | os.PathLike[str]) -> Path:
        if Path(target).name == THUMBNAIL_FILE:
            raise OSError("away")
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        work = Work(JobRecord(job_row(1, hosts=["f0", "f1"]), []), [], archives=True, data=data([5, 6]))
        perform(FileStore(tmp_path), [work])
    assert isinstance(work.error, OSError)
    assert read_data(tmp_path, path)["mem_bw"]["node"].series[0].data.tolist() == [5, 6]
    assert bands_in(FileStore(tmp_path), path) is None


def test_a_thumbnail_of_data_that_is_replaced_while_it_is_read_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archived(tmp_path, data([1, 2]))

    def replaced_after(file: Path, metrics: Any) -> Any:
        texts = read_data_texts(file, metrics)
        file.write_text("{}")
        return texts

    monkeypatch.setattr("shared.archive.files.read_data_texts", replaced_after)
    add_thumbnail(FileStore(tmp_path), path)
    assert bands_in(FileStore(tmp_path), path) is None


def test_a_copied_entry_keeps_its_thumbnail(archive: Path, tmp_path: Path) -> None:
    add_thumbnail(FileStore(archive), PATH)
    root = tmp_path / "copy"
    open_archive(root)
    assert copied(FileStore(archive), [PATH], FileStore(root)) == [None]
    assert lines(bands_in(FileStore(root), PATH)) == lines(bands_in(FileStore(archive), PATH))
