"""Samples are read from memory and files as one."""

import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.metricstore.grids import PERIOD_S
from services.metricstore.store import MAX_OLD_IN_MEMORY
from shared.errors import Unavailable
from shared.settings import NatsSettings
from tests.metricstore.local_store import HOUR, METRICS, LocalStore, at_once, saved
from tests.metricstore.site import now, read_to_the_end, running

SAMPLE = st.tuples(
    st.sampled_from(["n1", "n2"]),
    st.sampled_from(list(METRICS)),
    st.integers(0, 6 * PERIOD_S).map(lambda ago: HOUR - ago),
    st.integers(0, 1000),
)
STEP = st.one_of(
    st.tuples(st.just("write"), st.lists(SAMPLE, min_size=1, max_size=6)),
    st.tuples(st.just("save"), st.integers(0, 6)),
    st.tuples(st.just("save all"), st.none()),
    st.tuples(st.just("drop"), st.none()),
    st.tuples(st.just("remove gone"), st.none()),
    st.tuples(st.just("crash"), st.none()),
)


@pytest.mark.slow
@pytest.mark.timeout(240)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, min_size=1, max_size=25))
def test_any_order_of_samples_saves_and_crashes_gives_the_slots_of_a_dictionary(steps: list[tuple[str, object]]) -> None:
    expected: dict[tuple[str, str, int], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        local = LocalStore(Path(folder))
        for action, what in steps:
            if action == "write":
                assert isinstance(what, list)
                local.write(*(f"{metric},hostname={host} value={value} {at}" for host, metric, at, value in what))
                for host, metric, at, value in what:
                    step = METRICS[metric][0]
                    expected[host, metric, (at + step // 2) // step] = value
            elif action == "save":
                assert isinstance(what, int)
                local.save(HOUR // PERIOD_S - what)
            elif action == "save all":
                local.save()
            elif action == "drop":
                local.store.drop()
            elif action == "remove gone":
                assert local.store.remove_gone() == 0
            else:
                local.crash()
            for (host, metric, slot), value in expected.items():
                assert local.value(host, metric, slot * METRICS[metric][0]) == value
        names = [(one, rows.step) for key in local.store.dirty for rows in local.store.rows(key) for one in rows.names]
        assert len(set(names)) <= 8
        local.lock.__exit__(None, None, None)


def test_samples_of_many_old_periods_keep_the_memory_bounded(local: LocalStore) -> None:
    hours = range(3, 3 + 3 * MAX_OLD_IN_MEMORY)
    local.write(*(f"cpu_load,hostname=n1 value={ago} {HOUR - ago * PERIOD_S}" for ago in hours))
    grid = local.store.catalogue.clusters["nova"].grids[60]
    assert len(grid.blocks) <= MAX_OLD_IN_MEMORY + 1
    assert [local.value("n1", "cpu_load", HOUR - ago * PERIOD_S) for ago in hours] == list(hours)
    local.crash()
    assert [local.value("n1", "cpu_load", HOUR - ago * PERIOD_S) for ago in hours] == list(hours)


def test_a_file_damaged_inside_is_set_aside_when_it_is_read(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR - 9000}")
    local.save()
    local.crash()
    (file,) = local.folder.files.values()
    data = bytearray(file.path.read_bytes())
    data[4 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4)
    file.path.write_bytes(data)
    local.write(f"cpu_load,hostname=n1 value=2 {HOUR - 8940}")
    assert local.value("n1", "cpu_load", HOUR - 8940) == 2
    assert list(file.path.parent.glob("*.damaged"))
    local.save()
    local.crash()
    assert [local.value("n1", "cpu_load", HOUR - ago) for ago in (9000, 8940)] == [1, 2]


def test_a_file_that_cannot_be_read_now_is_neither_set_aside_nor_replaced(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n1 value=1 {HOUR - 9000}")
    local.save()
    local.crash()
    (file,) = local.folder.files.values()
    aside = file.path.with_name("aside")
    file.path.rename(aside)
    file.path.symlink_to(file.path.name)  # a loop: the system refuses to open it
    with pytest.raises(Unavailable):
        local.write(f"cpu_load,hostname=n1 value=2 {HOUR - 8940}")
    file.path.unlink()
    aside.rename(file.path)
    local.crash()
    assert [local.value("n1", "cpu_load", HOUR - ago) for ago in (9000, 8940)] == [1, 2]


def test_series_whose_samples_were_removed_leave_their_place_to_others(local: LocalStore) -> None:
    local.write(*(f"cpu_load,hostname=n{k} value={k} {HOUR - 5 * PERIOD_S}" for k in range(900)))
    local.write(f"cpu_load,hostname=stays value=1 {HOUR}")
    local.save()
    local.store.drop()
    assert local.value("n1", "cpu_load", HOUR - 5 * PERIOD_S) == 1
    local.store.expire(local.folder.files["nova", HOUR // PERIOD_S].size)
    assert (local.store.remove_gone(), local.store.catalogue.count) == (900, 1)
    local.decoder.forget()
    assert [local.store.remove_gone() for _ in range(2)] == [0, 0]
    rows = local.store.catalogue.clusters["nova"].grids[60].rows
    local.write(*(f"cpu_load,hostname=m{k} value={k} {HOUR}" for k in range(900)), f"cpu_load,hostname=stays value=2 {HOUR + 60}")
    assert local.store.catalogue.clusters["nova"].grids[60].rows == rows
    assert local.store.catalogue.count == 901
    for host, values in (("m1", [1]), ("stays", [1, 2])):
        found = local.element(host, "cpu_load", HOUR - 10 * PERIOD_S, HOUR + 120)
        assert found is not None
        assert found["data"] == values
    assert local.element("n1", "cpu_load", HOUR - 10 * PERIOD_S, HOUR + 120) is None
    local.save()
    local.crash()
    assert local.value("m899", "cpu_load", HOUR) == 899
    assert math.isnan(local.value("n1", "cpu_load", HOUR - 5 * PERIOD_S))


@pytest.mark.parametrize("way", ["expired", "freed"])
def test_a_removed_series_is_found_again_in_files_not_read_since_the_start(local: LocalStore, way: str) -> None:
    """Files of the same series share one layout, whose rows must not outlive a series that only the others are known to have."""
    old, late = HOUR - 6 * PERIOD_S, HOUR - 4 * PERIOD_S
    for at in (old, late):
        local.write(*(f"cpu_load,hostname=n{k} value={k} {at}" for k in range(3)))
    local.save()
    local.crash()
    local.write(f"cpu_load,hostname=n0 value=5 {HOUR}")
    assert local.element("n1", "cpu_load", old, old + 60) is not None
    if way == "expired":
        local.store.expire(sum(file.size for file in local.folder.files.values()) - 1)
        assert local.store.remove_gone() == 2
    else:
        assert local.free(["nova"], old + 60) == 3
    local.decoder.forget()
    assert [local.store.remove_gone() for _ in range(2)] == [0, 0]
    local.write(*(f"net_rx,hostname=m{k} value=7 {HOUR}" for k in range(3)), f"cpu_load,hostname=m value=7 {HOUR}")
    assert math.isnan(local.value("m", "cpu_load", late))
    for k in range(3):
        found = local.element(f"n{k}", "cpu_load", late, late + 60)
        assert found is not None
        assert found["data"] == [k]


def test_series_above_the_limit_are_accepted_after_others_were_removed(local: LocalStore) -> None:
    local.write(*(f"cpu_load,hostname=n{k} value=1 {HOUR - 5 * PERIOD_S}" for k in range(1000)))
    local.write(f"cpu_load,hostname=late value=1 {HOUR}")
    assert math.isnan(local.value("late", "cpu_load", HOUR))
    local.free(["nova"], HOUR)
    local.decoder.forget()
    local.write(f"cpu_load,hostname=late value=1 {HOUR}")
    assert local.value("late", "cpu_load", HOUR) == 1


async def test_a_query_reads_memory_and_files_as_one(nova: NatsSettings, tmp_path: Path) -> None:
    at = now() // 60 * 60
    settings = at_once(tmp_path / "samples")
    lines = [f"mem_used,cluster=nova,hostname=n1 value={k} {at - 60 * k}" for k in range(300)]
    async with running(nova, settings) as store:
        assert (await store.write(*lines)).status == 200
        await saved(store, 6)
    async with running(nova, settings) as store:
        assert await store.values("nova", "n1", "mem_used", at - 299 * 60, at + 60) == list(range(299, -1, -1))


async def test_after_a_restart_the_health_of_hosts_counts_samples_in_files(nova: NatsSettings, tmp_path: Path) -> None:
    settings = at_once(tmp_path / "samples")
    at = now()
    asked = json.dumps({"cluster": "nova", "nodes": ["n1"], "metric-names": ["mem_used"]}).encode()
    async with running(nova, settings) as store:
        assert (await store.write(f"mem_used,cluster=nova,hostname=n1 value=1 {at}")).status == 200
        await saved(store, 1)
    async with running(nova, settings) as store:
        answer = await store.send("GET", "/api/healthcheck/", asked)
        assert answer.json["n1"]["State"] == "full"


async def test_freed_samples_are_removed_from_files_too(nova: NatsSettings, tmp_path: Path) -> None:
    at = now() // 60 * 60
    settings = at_once(tmp_path / "samples")
    async with running(nova, settings) as store:
        await store.write(*(f"mem_used,cluster=nova,hostname={host} value=1 {at - 3600 * k}" for host in ("n1", "n2") for k in range(5)))
        await saved(store, 5)
    async with running(nova, settings) as store:
        answer = await store.send("POST", "/api/free", b'[["nova","n1"]]', query=f"to={at - 5400}")
        assert answer.text == "buffers freed: 1\n"
    async with running(nova, settings) as store:
        await read_to_the_end(nova, store)
        found = [await store.values("nova", host, "mem_used", at - 18_000, at + 60) for host in ("n1", "n2")]
        assert [sum(value is not None for value in values) for values in found] == [2, 5]
