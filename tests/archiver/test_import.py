"""Walking, importing, copying and verifying archives."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.archive import (
    ArchivedJob,
    ArchiveError,
    UnreadableEntry,
    entries_of,
    imported_job,
    open_archive,
    read_cluster_text,
    verify,
    write_cluster,
)
from shared.archive.files import FileStore
from shared.archive.transfer import copied
from shared.domain.clusters import read_cluster
from shared.domain.events import Tag
from shared.errors import UserError
from tests.support.clusters import sample_clusters

SAMPLE = Path(__file__).parents[1] / "data" / "archive-v1.5"
CLUSTERS = sample_clusters()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A copy of the sample archive."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "archive"))


def jobs(root: Path) -> list[ArchivedJob]:
    return [entry for entry in entries_of(FileStore(root)) if isinstance(entry, ArchivedJob)]


def meta(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "jobId": 5,
        "cluster": "fritz",
        "subCluster": "main",
        "user": "alice",
        "project": "physics",
        "jobState": "completed",
        "startTime": 1_700_000_000,
        "duration": 7200,
        "numNodes": 1,
        "shared": "none",
        "resources": [{"hostname": "f0101"}],
        "statistics": {},
    }
    return {key: value for key, value in (found | changes).items() if value is not ...}


def test_the_sample_archive_imports_completely() -> None:
    found = jobs(SAMPLE)
    assert [entry.path.job_id for entry in found] == [1403244, 1404397]
    events = [imported_job(entry.meta, read_cluster(read_cluster_text(SAMPLE, entry.path.cluster))) for entry in found]
    first = events[0]
    assert (first.sub_cluster, first.num_nodes, first.duration, first.monitoring_status) == ("haswell", 32, 86_486, 3)
    assert (first.footprint, first.energy, first.energy_footprint) == ({}, 0.0, {})
    assert first.statistics is not None
    assert first.statistics["cpu_load"].avg == 18.4


def test_the_sample_archive_has_no_findings() -> None:
    assert list(verify(SAMPLE)) == []


def test_tags_keep_their_scope_and_an_empty_one_is_global() -> None:
    tags = [{"type": "a", "name": "x", "scope": "alice", "id": 9}, {"type": "a", "name": "y", "scope": ""}, {"type": "b", "name": "z"}]
    event = imported_job(meta(tags=tags), CLUSTERS["fritz"])
    assert event.tags == [Tag(type="a", name="x", scope="alice"), Tag(type="a", name="y"), Tag(type="b", name="z")]


def test_footprint_and_energy_are_filled_in_as_the_subcluster_configures_them() -> None:
    statistics = {
        name: {"unit": {"base": "W"}, "avg": 310, "min": 1, "max": 500} for name in ("cpu_power", "mem_power", "mem_used", "cpu_load")
    }
    event = imported_job(meta(statistics=statistics, numNodes=1), CLUSTERS["fritz"])
    assert event.footprint == {"cpu_load_avg": 310, "mem_used_max": 500}
    assert event.energy_footprint == {"cpu_power": 0.62, "mem_power": 0.62}
    assert event.energy == 1.24
    kept = imported_job(meta(statistics=statistics, footprint={"x_avg": 1}, energy=3.5), CLUSTERS["fritz"])
    assert (kept.footprint, kept.energy) == ({"x_avg": 1}, 3.5)


def test_a_missing_subcluster_is_the_one_of_the_first_host() -> None:
    assert imported_job(meta(subCluster=...), CLUSTERS["fritz"]).sub_cluster == "main"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *(
            ({"jobState": word}, {"job_state": "cancelled"})
            for word in ("canceled", "CANCELED", "Cancelled", "CANCELLED+", "cancelled by 1060117793")
        ),
        ({"jobState": "OUT-OF-MEMORY"}, {"job_state": "out_of_memory"}),
        ({"user": 1001, "project": 7, "partition": 3}, {"user": "1001", "project": "7", "partition": "3"}),
        ({"metaData": {"a": 1, "b": None, "c": ["x"], "d": "y"}}, {"meta_data": {"a": "1", "b": "null", "c": '["x"]', "d": "y"}}),
        ({"tags": [{"type": 1, "name": 2}]}, {"tags": [Tag(type="1", name="2")]}),
    ],
)
def test_values_in_the_form_of_other_writers_are_read(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    job = imported_job(meta(**changes), CLUSTERS["fritz"])
    assert {key: getattr(job, key) for key in expected} == expected


def test_accelerators_given_as_numbers_are_read() -> None:
    job = imported_job(meta(resources=[{"hostname": "f0101", "accelerators": [0, 1, "c1"]}]), CLUSTERS["fritz"])
    assert job.resources[0].accelerators == ["0", "1", "c1"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"jobId": "5"}, "jobId: "),
        ({"startTime": ...}, "startTime: Field required"),
        ({"jobState": "running"}, "jobState: a job in the archive cannot be running"),
        ({"jobState": "done"}, "jobState: "),
        ({"numNodes": 2}, "numNodes: is 2, but there are 1 resources"),
        ({"resources": []}, "resources: is empty"),
        ({"resources": [None]}, "resources: not a list of objects"),
        ({"user": ""}, "user: is empty"),
        ({"duration": -1}, "duration: is negative"),
        ({"numHwthreads": 2**31}, "numHwthreads: is outside ±2147483647"),
        ({"smt": -(2**31)}, "smt: is outside ±2147483647"),
        ({"requestedMemory": 2**63}, "requestedMemory: is outside ±"),
        ({"shared": "maybe"}, "shared: "),
        ({"metaData": [1]}, "metaData: "),
        ({"user": True}, "user: "),
        ({"statistics": []}, None),
        ({"statistics": {"x": {"unit": "W"}}}, "not inside an object"),
        ({"subCluster": "nowhere"}, "subCluster: 'nowhere' is not a subcluster of fritz"),
        ({"cluster": "alex"}, "cluster: "),
    ],
)
def test_a_meta_json_that_cannot_be_imported_is_refused_with_the_field(changes: dict[str, Any], why: str | None) -> None:
    if why is None:
        imported_job(meta(**changes), CLUSTERS["fritz"])
        return
    with pytest.raises(ArchiveError, match=why.replace("(", r"\(")):
        imported_job(meta(**changes), CLUSTERS["fritz"])


def _place(root: Path) -> Path:
    return root / "emmy" / "1403" / "244" / "1608923076"


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-500])


def _misplace(root: Path) -> None:
    _place(root).rename(_place(root).with_name("1608923077"))


def _leftover(root: Path) -> None:
    _place(root).rename(_place(root).with_name(".tmp-1608923076-x"))


def _stranger(root: Path) -> None:
    text = json.loads(gzip.decompress((_place(root) / "data.json.gz").read_bytes()))
    text["clock"]["node"]["series"][0]["hostname"] = "x0001"
    (_place(root) / "data.json.gz").write_bytes(gzip.compress(json.dumps(text).encode()))


@pytest.mark.parametrize(
    ("damage", "kind", "text"),
    [
        (lambda root: (_place(root) / "meta.json").unlink(), "incomplete", "meta.json is missing"),
        (lambda root: (_place(root) / "data.json.gz").unlink(), "incomplete", "the data file is missing"),
        (lambda root: (_place(root) / "meta.json").write_text("{"), "invalid", "not JSON"),
        (lambda root: (_place(root) / "meta.json").write_text("[]"), "invalid", "not a JSON object"),
        (lambda root: _truncate(_place(root) / "data.json.gz"), "invalid", "not gzip"),
        (lambda root: (_place(root) / "data.json.gz").write_bytes(gzip.compress(b'{"a":{"node":{}}}')), "invalid", "not metric data"),
        (_misplace, "mismatch", "meta.json belongs to job 1403244"),
        (lambda root: _place(root).rename(_place(root).with_name("x")), "mismatch", "is not <cluster>"),
        (_leftover, "leftover", "a temporary folder"),
        (_stranger, "invalid", "clock.node: series of x0001, which is not a host of the job"),
        (lambda root: (root / "emmy" / "cluster.json").unlink(), "cluster", "cluster.json is missing"),
        (lambda root: (root / "emmy" / "cluster.json").write_text("{}"), "cluster", "name"),
    ],
    ids="no-meta no-data bad-meta list-meta cut-data wrong-data misplaced stray leftover stranger no-cluster bad-cluster".split(),
)
def test_damage_is_found(damage: Callable[[Path], object], kind: str, text: str, archive: Path) -> None:
    damage(archive)
    findings = list(verify(archive))
    assert [finding.kind for finding in findings] == [kind]
    assert text in findings[0].text
    assert str(archive) not in findings[0].text, "the path is named once"


def test_an_entry_that_cannot_be_read_does_not_end_the_walk(archive: Path) -> None:
    (_place(archive) / "meta.json").write_text("{")
    broken, good = entries_of(FileStore(archive))
    assert isinstance(broken, UnreadableEntry)
    assert broken.why.startswith("meta.json: not JSON")
    assert isinstance(good, ArchivedJob)


def test_other_folders_and_versions_are_refused(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(UserError, match="is not an archive"):
        next(entries_of(FileStore(tmp_path)))
    (archive / "version.txt").write_text("2\n")
    with pytest.raises(UserError, match="version '2'"):
        next(entries_of(FileStore(archive)))


def test_copied_entries_are_the_same_byte_for_byte_and_copied_once(tmp_path: Path) -> None:
    root = tmp_path / "own"
    open_archive(root)
    write_cluster(root, "emmy", read_cluster_text(SAMPLE, "emmy"))
    paths = [entry.path for entry in jobs(SAMPLE)]
    assert copied(FileStore(SAMPLE), paths, FileStore(root)) == [None, None]
    for path in paths:
        files = {file.name: file.read_bytes() for file in path.under(root).iterdir()}
        assert files == {file.name: file.read_bytes() for file in path.under(SAMPLE).iterdir()}
    (paths[0].under(root) / "meta.json").write_text("mine")
    assert copied(FileStore(SAMPLE), paths, FileStore(root)) == [None, None]
    assert (paths[0].under(root) / "meta.json").read_text() == "mine"
