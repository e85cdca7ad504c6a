"""The format of files of samples, and of those that older versions wrote."""

import pyarrow.parquet as pq

from services.metricstore.format import read_index
from tests.metricstore.local_store import HOUR, LocalStore


def test_samples_of_a_former_timestep_stay_in_the_file(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR}")
    for step in (30, 60):
        local.configure(cpu_load=(step, "avg"))
        local.write(f"cpu_load,hostname=n1 value={step} {HOUR + 60}")
    local.save()
    (file,) = local.folder.files.values()
    index = read_index(file.path)
    assert sorted(index.steps) == [30, 60]
    assert local.value("n1", "cpu_load", HOUR) == 1


def test_a_file_of_an_older_version_is_read(local: LocalStore) -> None:
    """Such a file has row groups of another size, and no digest of its series."""
    local.write(*(f"cpu_load,hostname=n{k} value={k} {HOUR}" for k in range(5)))
    local.save()
    (file,) = local.folder.files.values()
    table = pq.read_table(file.path)
    about = {name: value for name, value in table.schema.metadata.items() if name != b"layout"}
    pq.write_table(table.replace_schema_metadata(about), file.path, row_group_size=2, write_statistics=False)
    local.crash()
    assert [local.value(f"n{k}", "cpu_load", HOUR) for k in range(5)] == list(range(5))
    local.write(f"cpu_load,hostname=n5 value=5 {HOUR}")
    assert [local.value(f"n{k}", "cpu_load", HOUR) for k in range(6)] == list(range(6))
