"""The folder of a store: restarts, kills, damage, retention."""

import asyncio
import errno
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.metricstore.folder import Folder
from services.metricstore.grids import PERIOD_S
from services.metricstore.prometheus import MetricStoreNumbers
from services.metricstore.saving import Saver
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings
from tests.metricstore.local_store import HOUR, STREAM, LocalStore, at_once, saved
from tests.metricstore.site import QUICK, now, running
from tests.support.processes import ServiceRunner
from tests.support.waiting import until


def test_a_sample_that_is_in_a_file_is_not_read_from_the_stream_again(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR}")
    local.save()
    local.write(f"cpu_load,hostname=n1 value=2 {HOUR - 7200}")
    local.crash()
    assert local.folder.start_position(STREAM) == 1
    assert list(local.store.dirty) == [("nova", HOUR // PERIOD_S - 2)]


def test_the_position_stays_before_samples_that_are_in_no_file(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR - 7200}")
    local.write(f"cpu_load,hostname=n1 value=2 {HOUR}")
    local.save(HOUR // PERIOD_S)
    assert local.folder.start_position(STREAM) == 0
    local.save()
    assert local.folder.start_position(STREAM) == 2


def test_the_position_stays_before_samples_whose_file_is_being_written(local: LocalStore) -> None:
    first, second = ("nova", HOUR // PERIOD_S - 5), ("nova", HOUR // PERIOD_S - 4)
    local.write(f"cpu_load,hostname=n1 value=1 {first[1] * PERIOD_S}")
    local.write(f"cpu_load,hostname=n1 value=2 {second[1] * PERIOD_S}")

    async def save_both() -> int:
        saving = asyncio.create_task(local.saver.save(first, local.applied))
        await asyncio.sleep(0)
        assert list(local.store.saving) == [first]
        local.saver.save_now(second)
        position = local.folder.files[second].place.position
        await saving
        return position

    assert asyncio.run(save_both()) == 0


def test_a_damaged_file_is_renamed_and_the_stream_is_read_again(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR}", f"cpu_load,hostname=n1 value=2 {HOUR - 7200}")
    local.save()
    path = local.folder.files["nova", HOUR // PERIOD_S].path
    path.write_bytes(path.read_bytes()[:100])
    local.crash()
    assert local.value("n1", "cpu_load", HOUR) == 1
    assert local.value("n1", "cpu_load", HOUR - 7200) == 2
    assert [found.name for found in path.parent.glob("*.damaged")] == [path.name + ".damaged"]


def test_a_damaged_file_is_restored_at_every_start_until_its_period_has_a_later_one(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR - 9000}")
    local.save()
    (former,) = local.folder.files.values()
    copy = former.path.read_bytes()
    local.write(f"cpu_load,hostname=n1 value=2 {HOUR - 8940}")
    local.save()
    (latest,) = local.folder.files.values()
    local.write(f"cpu_load,hostname=n1 value=3 {HOUR}")
    local.save()
    former.path.write_bytes(copy)
    latest.path.write_bytes(latest.path.read_bytes()[:100])
    for _ in range(2):
        local.crash()
        assert local.folder.lost == {("nova", former.period)}
        assert [local.value("n1", "cpu_load", HOUR - ago) for ago in (9000, 8940, 0)] == [1, 2, 3]
        local.save()
    local.store.restored(("nova", former.period), local.applied)
    local.save()
    local.crash()
    assert not local.folder.lost
    assert local.folder.start_position(STREAM) == 3
    local.store.drop()
    local.store.expire(0)
    assert not list(local.root.glob("nova/*"))


def test_a_file_that_was_being_written_is_removed(local: LocalStore) -> None:
    folder = local.root / "nova"
    folder.mkdir()
    (folder / f".{HOUR}.1.parquet").write_bytes(b"half")
    local.crash()
    assert list(folder.iterdir()) == []


def test_of_two_files_of_a_period_the_later_one_counts(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR}")
    local.save()
    (former,) = local.folder.files.values()
    copy = former.path.read_bytes()
    local.write(f"cpu_load,hostname=n1 value=2 {HOUR}")
    local.save()
    former.path.write_bytes(copy)  # as if the store had stopped before it removed this file
    local.crash()
    assert local.value("n1", "cpu_load", HOUR) == 2
    assert not former.path.exists()


def test_old_files_are_removed_by_age_and_by_size(local: LocalStore) -> None:
    for ago in (0, 5, 30):
        local.write(f"cpu_load,hostname=n1 value=1 {HOUR - ago * PERIOD_S}")
    local.save()
    local.store.drop()
    sizes = {period: file.size for (_, period), file in local.folder.files.items()}
    local.store.expire(sum(sizes.values()) - 1)
    assert sorted(period for _, period in local.folder.files) == [HOUR // PERIOD_S - 5, HOUR // PERIOD_S]
    local.crash(retention_s=3 * PERIOD_S)
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR}")
    local.store.expire(1 << 40)
    assert [period for _, period in local.folder.files] == [HOUR // PERIOD_S]
    assert len(list(local.root.glob("nova/*"))) == 1


def test_files_that_a_job_needs_outlive_the_retention(local: LocalStore) -> None:
    hours = (1, 5, 10, 30)
    local.write(*(f"cpu_load,hostname=n1 value=1 {HOUR - ago * PERIOD_S}" for ago in hours))
    local.save()
    local.store.drop()
    local.crash(retention_s=3 * PERIOD_S)
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR}")

    def left() -> list[int]:
        local.store.expire(1 << 40)
        return sorted(HOUR // PERIOD_S - period for _, period in local.folder.files)

    local.store.needed_since = None
    assert left() == [1, 5, 10, 30]
    local.store.needed_since = {"nova": HOUR - 40 * PERIOD_S}  # bounded by max_retention_s
    assert left() == [1, 5, 10]
    local.store.needed_since = {"nova": HOUR - 5 * PERIOD_S + 60, "luna": 0}
    assert left() == [1, 5]
    local.store.needed_since = {"luna": 0}
    assert left() == [1]


def test_files_that_cannot_be_removed_affect_only_readiness(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates a file system that has become read-only."""
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR - 5 * PERIOD_S}")
    local.save()
    (file,) = local.folder.files.values()

    def refuse(self: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    async def once() -> None:
        stop = asyncio.Event()
        await local.saver.run(stop, stop.set)

    local.saver = Saver(local.store, MetricStoreNumbers(CollectorRegistry()), lambda: local.applied, save_s=0, max_bytes=1)
    monkeypatch.setattr(Path, "unlink", refuse)
    asyncio.run(once())
    with pytest.raises(Unavailable, match="cannot be removed: Read-only file system"):
        asyncio.run(local.saver.require())
    assert list(local.folder.files.values()) == [file]
    monkeypatch.undo()
    asyncio.run(once())
    asyncio.run(local.saver.require())
    assert not local.folder.files


@pytest.mark.parametrize("clock", ["wall", "broker"])
def test_one_clock_that_jumps_ahead_removes_nothing(local: LocalStore, clock: str) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR - 7200}")
    local.save()
    setattr(local, clock, now() + 60 * 86_400)
    local.write(f"cpu_load,hostname=n1 value=2 {HOUR - 7140}")
    local.store.drop()
    local.store.expire(1 << 40)
    assert [local.value("n1", "cpu_load", HOUR - ago) for ago in (7200, 7140)] == [1, 2]
    assert len(local.folder.files) == 1


def test_a_stream_that_is_not_known_is_read_from_its_beginning(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR}")
    local.save()
    assert local.folder.start_position("another stream") == 0
    assert local.folder.sequence("nova", HOUR // PERIOD_S, "another stream") == 0


def test_a_second_store_on_the_folder_is_refused(local: LocalStore) -> None:
    with pytest.raises(UserError, match="another metric store uses"), Folder(local.root).opened():
        pass


async def test_a_second_service_on_the_folder_ends_with_one_line(nova: NatsSettings, service: ServiceRunner) -> None:
    await service.start("metricstore", nova)
    second = service.prepare("metricstore", nova)
    second.launch()
    assert await second.ended() == 2
    assert "another metric store uses" in second.log_text.splitlines()[-1]


async def test_an_unwritable_folder_affects_readiness_and_loses_no_samples(nova: NatsSettings, tmp_path: Path) -> None:
    at = now() // 60 * 60
    root = tmp_path / "samples"
    root.mkdir()
    (root / "nova").write_text("in the way")
    async with running(nova, at_once(root)) as store:
        await store.write(f"mem_used,cluster=nova,hostname=n1 value=1 {at}")

        async def is_ready() -> bool:
            async with store.session.get(f"http://{store.health}/readyz") as answer:
                return "files" not in (await answer.json())["failing"]

        async def is_failing() -> bool:
            return not await is_ready()

        await until(is_failing)
        assert await store.values("nova", "n1", "mem_used", at, at + 60) == [1]
        (root / "nova").unlink()
        await until(is_ready)
        await saved(store, 1)


async def test_a_file_found_damaged_while_the_service_runs_is_restored_from_the_stream(nova: NatsSettings, tmp_path: Path) -> None:
    at = now() // 60 * 60
    settings = at_once(tmp_path / "samples")
    async with running(nova, settings) as store:
        await store.write(*(f"mem_used,cluster=nova,hostname=n1 value={k} {at - 3600 * k}" for k in range(5)))
        await saved(store, 5)
    period = (at - 3 * 3600) // PERIOD_S * PERIOD_S
    async with running(nova, settings) as store:
        (path,) = (settings.path / "nova").glob(f"{period}.*.parquet")
        path.write_bytes(path.read_bytes()[:100])

        async def is_back() -> bool:
            found = await store.values("nova", "n1", "mem_used", at - 5 * 3600, at + 60)
            return [value for value in found if value is not None] == [4, 3, 2, 1, 0]

        await until(is_back)
        assert path.with_name(path.name + ".damaged").exists()
        await saved(store, 5)
    assert len(list(path.parent.glob(f"{period}.*.parquet"))) == 1


async def test_a_request_to_free_waits_until_files_can_be_written(nova: NatsSettings, tmp_path: Path) -> None:
    at = now() // 60 * 60
    root = tmp_path / "samples"
    root.mkdir()
    (root / "nova").write_text("in the way")
    async with running(nova, QUICK.model_copy(update={"path": root, "memory_hours": 1.0})) as store:
        await store.write(*(f"mem_used,cluster=nova,hostname=n1 value=1 {at - 3600 * k}" for k in range(5)))
        freeing = asyncio.create_task(store.send("POST", "/api/free", b'[["nova","n1"]]', query=f"to={at - 5400}"))

        async def names_the_folder() -> bool:
            async with store.session.get(f"http://{store.health}/readyz") as answer:
                return "samples cannot be written" in (await answer.json())["failing"].get("files", "")

        await until(names_the_folder)
        (root / "nova").unlink()
        assert (await freeing).text == "buffers freed: 1\n"
        assert [value for value in await store.values("nova", "n1", "mem_used", at - 18_000, at + 60) if value is not None] == [1, 1]
