"""A changed timestep: older samples stay on their grid, and queries find them."""

import pytest

from tests.metricstore.local_store import HOUR, LocalStore


@pytest.fixture
def changed(local: LocalStore) -> LocalStore:
    """Six minutes at 60 s with the values 0 to 5, then six minutes at 10 s with the values 60 to 95."""
    local.write(*(f"cpu_load,hostname=n1 value={k} {HOUR - 7200 + 60 * k}" for k in range(6)))
    local.configure(cpu_load=(10, "avg"))
    local.write(*(f"cpu_load,hostname=n1 value={60 + k} {HOUR - 7200 + 360 + 10 * k}" for k in range(36)))
    return local


@pytest.mark.parametrize("state", ["in memory", "in files"])
def test_each_window_has_the_coarsest_timestep_of_its_samples(changed: LocalStore, state: str) -> None:
    if state == "in files":
        changed.save()
        changed.crash()
    begin = HOUR - 7200
    former = changed.element("n1", "cpu_load", begin, begin + 300)
    today = changed.element("n1", "cpu_load", begin + 360, begin + 720)
    both = changed.element("n1", "cpu_load", begin, begin + 720)
    assert former is not None
    assert today is not None
    assert both is not None
    assert (former["resolution"], former["data"], former["to"]) == (60, [0, 1, 2, 3, 4], begin + 300)
    assert (today["resolution"], today["data"]) == (10, list(range(60, 96)))
    # Samples are assigned to the nearest minute, so the first minute has only half of them.
    assert (both["resolution"], both["data"]) == (60, [0, 1, 2, 3, 4, 5, 61, 65.5, 71.5, 77.5, 83.5, 89.5])
    assert (both["from"], both["to"], both["max"]) == (begin, begin + 720, 89.5)


def test_a_host_without_samples_of_todays_timestep_is_found(local: LocalStore) -> None:
    local.write(f"cpu_load,hostname=n2 value=5 {HOUR}")
    local.configure(cpu_load=(30, "avg"))
    found = local.element("n2", "cpu_load", HOUR - 60, HOUR + 60)
    assert found is not None
    assert (found["resolution"], found["data"]) == (60, [5])


def test_samples_of_two_timesteps_are_combined_slot_by_slot(local: LocalStore) -> None:
    local.configure(net_rx=(60, "sum"))
    local.write(*(f"net_rx,hostname=n1,type=socket,type-id={id_} value={id_ + 1} {HOUR + 60 * k}" for id_ in (0, 1) for k in range(3)))
    local.configure(net_rx=(10, "sum"))
    local.write(
        *(f"net_rx,hostname=n1,type=socket,type-id={id_} value={10 + id_} {HOUR + 180 + 10 * k}" for id_ in (0, 1) for k in range(12))
    )
    found = local.element("n1", "net_rx", HOUR, HOUR + 300)
    assert found is not None
    assert (found["resolution"], found["data"]) == (60, [3, 3, 3, 21, 21])


def test_a_restored_timestep_has_its_samples_again(changed: LocalStore) -> None:
    changed.configure(cpu_load=(60, "avg"))
    changed.write(f"cpu_load,hostname=n1 value=7 {HOUR}")
    found = changed.element("n1", "cpu_load", HOUR - 7200, HOUR + 60)
    assert found is not None
    assert (found["data"][:7], found["data"][-1]) == ([0, 1, 2, 3, 4, 5, 61], 7)


def test_samples_of_a_former_timestep_can_be_freed(changed: LocalStore) -> None:
    assert changed.free(["nova", "n1"], HOUR - 7200 + 360) == 1
    assert changed.element("n1", "cpu_load", HOUR - 7200, HOUR - 7200 + 300) == {
        "from": HOUR - 6840,
        "to": HOUR - 6840,
        "resolution": 10,
        "avg": None,
        "min": None,
        "max": None,
    }
    assert changed.free(["nova"], HOUR) == 1
    assert changed.element("n1", "cpu_load", HOUR - 7200, HOUR) is None
    assert not changed.store.catalogue.clusters["nova"].hosts
