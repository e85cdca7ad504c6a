"""The queue for passwords and directories: order, bounds, deadlines."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

import pytest

from services.gateway.people.addresses import Origin
from services.gateway.people.auth.queue import MAX_TRUSTED, MAX_WAITING, FairQueue, TrustedAddresses
from shared.errors import Unavailable

Served = list[str]


def origin(text: str) -> Origin:
    return Origin.of(ipaddress.ip_address(text))


class Crowd:
    """Requests waiting in a queue with a single slot, which ``hold`` occupies and ``serve`` releases."""

    def __init__(self, trusted: TrustedAddresses | None = None) -> None:
        self.queue = FairQueue(1, "tests run", trusted or TrustedAddresses())
        self.served: Served = []
        self.tasks: list[asyncio.Task[None]] = []

    async def hold(self) -> "Crowd":
        await self.queue.enter(origin("192.0.2.1"))
        return self

    async def arrive(self, address: str, count: int = 1) -> None:
        for _ in range(count):
            self.tasks.append(asyncio.create_task(self._ask(address)))
            await asyncio.sleep(0)

    async def _ask(self, address: str) -> None:
        async with self.queue.place(origin(address)):
            self.served.append(address)

    async def serve(self) -> list[BaseException | None]:
        self.queue.leave()
        return await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_an_address_with_one_request_waits_for_one_of_each_other_address_only() -> None:
    crowd = await Crowd().hold()
    await crowd.arrive("198.51.100.7", 50)
    await crowd.arrive("203.0.113.9", 50)
    await crowd.arrive("192.0.2.77")
    await crowd.serve()
    assert crowd.served.index("192.0.2.77") == 2


async def test_many_addresses_of_one_network_do_not_hold_up_another_network() -> None:
    crowd = await Crowd().hold()
    for last in range(1, 201):
        await crowd.arrive(f"198.51.100.{last}")
    await crowd.arrive("192.0.2.77")
    await crowd.serve()
    assert crowd.served.index("192.0.2.77") <= 16


async def test_an_address_from_which_somebody_signed_in_goes_before_a_crowd_from_everywhere() -> None:
    trusted = TrustedAddresses()
    trusted.add(origin("192.0.2.77"))
    crowd = await Crowd(trusted).hold()
    for number in range(1, 201):
        await crowd.arrive(f"10.{number}.0.1")
    await crowd.arrive("192.0.2.77", 20)
    await crowd.serve()
    assert crowd.served[0] == "192.0.2.77"
    assert crowd.served[100:].count("192.0.2.77") > 10  # but not all of its requests come first


async def test_a_full_queue_refuses_requests_of_busy_addresses_and_has_places_for_others() -> None:
    crowd = await Crowd().hold()
    await crowd.arrive("198.51.100.7", MAX_WAITING + 40)
    await crowd.arrive("192.0.2.77")
    results = await crowd.serve()
    assert sum(isinstance(each, Unavailable) for each in results) == 41
    assert crowd.served.index("192.0.2.77") == 1
    assert len(crowd.served) == MAX_WAITING


async def test_a_refused_flood_does_not_delay_later_requests_of_its_address() -> None:
    crowd = await Crowd().hold()
    await crowd.arrive("198.51.100.7", 10 * MAX_WAITING)
    await crowd.serve()
    crowd.served.clear()
    crowd.tasks.clear()
    await crowd.hold()
    await crowd.arrive("198.51.100.7")
    for number in range(1, 5):
        await crowd.arrive(f"10.{number}.0.1", 10)
    await crowd.serve()
    assert crowd.served.index("198.51.100.7") <= 8


async def test_a_request_that_gives_up_leaves_its_place_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def times_out(crowd: Crowd) -> None:
        monkeypatch.setattr("services.gateway.people.auth.queue.MAX_WAIT_S", 0.01)
        with pytest.raises(Unavailable, match="tests run"):
            await crowd.queue.enter(origin("198.51.100.7"))
        monkeypatch.undo()

    async def is_cancelled(crowd: Crowd) -> None:
        await crowd.arrive("198.51.100.7")
        crowd.tasks.pop().cancel()

    async def is_cancelled_with_its_place(crowd: Crowd) -> None:
        await crowd.arrive("198.51.100.7")
        crowd.queue.leave()
        crowd.tasks.pop().cancel()
        await asyncio.sleep(0)
        await crowd.queue.enter(origin("192.0.2.1"))

    ways: list[Callable[[Crowd], Awaitable[None]]] = [times_out, is_cancelled, is_cancelled_with_its_place]
    for give_up in ways:
        crowd = await Crowd().hold()
        await give_up(crowd)
        await crowd.arrive("192.0.2.77")
        assert await asyncio.wait_for(crowd.serve(), 30) == [None] * len(crowd.tasks)
        assert crowd.served == ["192.0.2.77"]


def test_one_subscriber_of_ipv6_is_one_address() -> None:
    assert origin("2001:db8:1:2::1").address == origin("2001:db8:1:2:ffff::9").address
    assert origin("2001:db8:1:2::1").network == origin("2001:db8:1:3::1").network
    assert origin("2001:db8:1:2::1").address != origin("2001:db8:1:3::1").address
    assert Origin.of(None) == Origin.of(None)


def test_trusted_addresses_are_bounded() -> None:
    trusted = TrustedAddresses()
    for number in range(MAX_TRUSTED + 1):
        trusted.add(Origin(str(number), ""))
    assert (Origin("0", "") in trusted, Origin("1", "") in trusted) == (False, True)
