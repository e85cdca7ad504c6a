"""`jobtide archive convert` reads the Parquet files of cc-backend's retention."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.archive.files import FileStore
from shared.archive.layout import JobPath
from shared.archive.verify import verify
from tests.cli.sites import assert_user_mistake, jobtide

SAMPLE = Path(__file__).parents[1] / "data" / "archive-v1.5"
FIRST, SECOND = JobPath("emmy", 1403244, 1608923076), JobPath("emmy", 1404397, 1609300556)
REQUIRED_TEXTS = {"cluster": "cluster", "sub_cluster": "subCluster", "project": "project", "user": "user", "job_state": "jobState"}
NUMBERS = {
    "job_id": ("jobId", pa.int64()),
    "start_time": ("startTime", pa.int64()),
    "duration": ("duration", pa.int32()),
    "walltime": ("walltime", pa.int64()),
    "num_nodes": ("numNodes", pa.int32()),
    "num_hwthreads": ("numHwthreads", pa.int32()),
    "num_acc": ("numAcc", pa.int32()),
    "smt": ("smt", pa.int32()),
}
OPTIONAL_JSON = {
    "statistics_json": "statistics",
    "tags_json": "tags",
    "meta_data_json": "metaData",
    "footprint_json": "footprint",
    "energy_footprint_json": "energyFootprint",
}
# In the order of cc-backend.
SCHEMA = pa.schema(
    [
        pa.field("job_id", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("cluster", "sub_cluster")),
        pa.field("partition", pa.string()),
        *(pa.field(name, pa.string(), nullable=False) for name in ("project", "user", "job_state")),
        *(pa.field(name, NUMBERS[name][1], nullable=False) for name in ("start_time", "duration", "walltime")),
        *(pa.field(name, pa.int32(), nullable=False) for name in ("num_nodes", "num_hwthreads", "num_acc", "exclusive")),
        pa.field("energy", pa.float64(), nullable=False),
        pa.field("smt", pa.int32(), nullable=False),
        pa.field("resources_json", pa.binary(), nullable=False),
        *(pa.field(name, pa.binary()) for name in OPTIONAL_JSON),
        pa.field("metric_data_gz", pa.binary(), nullable=False),
    ]
)


def row(path: JobPath, **changes: Any) -> dict[str, Any]:
    store = FileStore(SAMPLE)
    meta, data = store.document(path), store.data(path)
    found: dict[str, Any] = {column: meta[key] for column, key in REQUIRED_TEXTS.items()}
    found |= {column: meta.get(key) or 0 for column, (key, _) in NUMBERS.items()}
    found |= {column: json.dumps(meta[key]).encode() if meta.get(key) else None for column, key in OPTIONAL_JSON.items()}
    text = gzip.decompress(data.content) if data.is_packed else data.content
    return found | {
        "partition": meta.get("partition"),
        "exclusive": 0,
        "energy": float(meta.get("energy") or 0),
        "resources_json": json.dumps(meta["resources"]).encode(),
        "metric_data_gz": gzip.compress(text, 9),
        **changes,
    }


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The jobs of the sample archive, the first one also in a second file, with another project."""
    folder = tmp_path / "parquet" / "emmy"
    folder.mkdir(parents=True)
    shutil.copy(SAMPLE / "emmy" / "cluster.json", folder)
    write(folder, 1, row(SECOND), row(FIRST))
    write(folder, 2, row(FIRST, project="newer"))
    return folder.parent


def write(folder: Path, number: int, *rows: dict[str, Any]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    pq.write_table(table, folder / f"cc-archive-2026-01-02-{number:03d}.parquet", compression="zstd")


def convert(there: Path, target: Path) -> tuple[int, dict[str, Any]]:
    done = jobtide("archive", "convert", target, "--from", f"parquet:///{there}", "--json")
    return done.returncode, json.loads(done.stdout)


def test_entries_have_what_the_files_have_and_a_second_run_changes_nothing(there: Path, tmp_path: Path) -> None:
    target, sample = FileStore(tmp_path / "target"), FileStore(SAMPLE)
    assert convert(there, target.root)[0] == 0
    assert sorted(path for path in target.paths() if isinstance(path, JobPath)) == [FIRST, SECOND]
    assert target.clusters() == ["emmy"]
    assert list(verify(target.root)) == []
    for path in (FIRST, SECOND):
        assert target.texts(path) == sample.texts(path)
        there_, here = sample.document(path), target.document(path)
        kept = {
            key: value
            for key, value in there_.items()
            if value and key in (*(key for key, _ in NUMBERS.values()), *REQUIRED_TEXTS.values(), *OPTIONAL_JSON.values())
        }
        assert {key: here[key] for key in kept} == kept | ({"project": "newer"} if path == FIRST else {})
        assert (here["resources"], here["shared"]) == (there_["resources"], "none")
    written = {file: file.stat().st_mtime_ns for file in target.root.rglob("*")}
    status, found = convert(there, target.root)
    assert (status, found["converted"], found["skipped"]) == (0, 0, 3)
    assert {file: file.stat().st_mtime_ns for file in target.root.rglob("*")} == written


def test_what_cannot_be_used_is_named_and_the_rest_is_converted(there: Path, tmp_path: Path) -> None:
    folder = there / "emmy"
    write(folder, 1, row(SECOND, metric_data_gz=b"damaged"), row(FIRST))
    write(folder, 2, row(FIRST, meta_data_json=b"{"))
    (folder / "cc-archive-2026-01-02-003.parquet").write_bytes(b"PAR1 something else PAR1")
    other = pa.table({"job_id": [1], "cluster": ["emmy"]})
    pq.write_table(other, folder / "cc-archive-2026-01-02-004.parquet")
    status, found = convert(there, tmp_path / "target")
    assert (status, found["converted"], found["failed"]) == (1, 1, 4)
    for word in ("not gzip", "meta_data_json: not JSON", "003.parquet", "no column duration"):
        assert any(word in line for line in found["failures"]), (word, found)


def test_only_a_folder_with_such_files_can_be_converted_and_only_from(there: Path, tmp_path: Path) -> None:
    assert_user_mistake(jobtide("archive", "convert", tmp_path / "x", "--from", f"parquet:///{tmp_path}"), "cc-archive-")
    assert_user_mistake(jobtide("archive", "copy", tmp_path / "x", "--from", f"parquet:///{there}"), "archive convert")
