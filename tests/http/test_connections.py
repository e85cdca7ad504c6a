"""Connections are limited in number and time, and health pages are always answered."""

import asyncio
import resource
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from shared.http.connections import site_of
from shared.http.limits import HEALTH_LIMITS, MAX_DESCRIPTORS, RESERVE, HttpLimits
from shared.http.numbers import HttpNumbers
from shared.http.server import listening
from shared.settings import NatsSettings
from tests.http.conftest import StartGateway
from tests.support.processes import ServiceProcess, ServiceRunner
from tests.support.raw_http import RawConnection, connected, request
from tests.support.rest import text_of
from tests.support.waiting import pause, until

GET = request("GET", "/healthz")


async def number(process: ServiceProcess, name: str) -> float:
    """A sample of /metrics, 0 when there is none."""
    address = process.addresses.get("health") or process.addresses["http"]
    _, text = await text_of(address, "/metrics")
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)


async def opened(stack: AsyncExitStack, process: ServiceProcess, count: int, host: str = "127.0.0.1") -> list[RawConnection]:
    """Connections from an address of this machine."""
    address = process.addresses.get("health") or process.addresses["http"]
    return [await stack.enter_async_context(connected(address, host)) for _ in range(count)]


async def until_number(process: ServiceProcess, name: str, least: float) -> None:
    async def reached() -> bool:
        return await number(process, name) >= least

    await until(reached, 20, f"{name} at {least}")


async def test_half_sent_heads_are_closed_even_while_more_of_them_arrives(start_gateway: StartGateway) -> None:
    process = await start_gateway(head_timeout_s=1)
    async with AsyncExitStack() as stack:
        silent, half, dripping, again = [await opened(stack, process, 20) for _ in range(4)]
        for connection in again:
            connection.send(GET)
            assert (await connection.answer()).status == 200
        for connection in [*half, *dripping, *again]:
            connection.send(GET[:-2])

        async def drip() -> None:
            while True:
                await pause()
                for connection in dripping:
                    connection.send(b"x")

        dripper = asyncio.create_task(drip())
        try:
            closed = await asyncio.gather(*(c.is_closed_within(30) for c in [*silent, *half, *dripping, *again]))
        finally:
            dripper.cancel()
    assert closed == [True] * 80
    assert await number(process, 'jobtide_http_cut_off_total{reason="head"}') == 80


MALFORMED = [
    b"SECRET\x01 / HTTP/1.1\r\nhost: gateway\r\n\r\n",
    b"\x16\x03\x01SECRET\r\n\r\n",  # TLS
    b"GET /healthz HTTP/SECRET\r\nhost: gateway\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nSECRET\x00: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: gateway\r\nx: " + b"SECRET" * 5000 + b"\r\n\r\n",
    b"POST /login HTTP/1.1\r\nhost: gateway\r\ncontent-length: SECRET\r\n\r\n",
]


@pytest.mark.parametrize("name", ["gateway", "ingest"])
async def test_malformed_requests_are_counted_and_leave_no_line_in_the_log(
    name: str, start_gateway: StartGateway, service: ServiceRunner, nats_settings: NatsSettings
) -> None:
    process = await (start_gateway() if name == "gateway" else service.start(name, nats_settings))
    address = process.addresses.get("health") or process.addresses["http"]
    for data in MALFORMED:
        async with connected(address) as connection:
            connection.send(data)
            answer = await connection.answer()
        assert (answer.status, answer.headers["server"], b"SECRET" in answer.body) == (400, "jobtide", False), data
    assert await number(process, "jobtide_http_malformed_total") == len(MALFORMED)
    assert "SECRET" not in process.log_text
    assert [line for line in process.log_lines() if line["level"] == "error"] == []


async def test_an_idle_connection_is_closed_and_a_slow_body_is_not(start_gateway: StartGateway) -> None:
    process = await start_gateway(head_timeout_s=0.5, idle_timeout_s=0.5, stall_timeout_s=0.5)
    async with connected(process.addresses["http"]) as slow, connected(process.addresses["http"]) as idle:
        idle.send(GET)
        assert (await idle.answer()).status == 200
        slow.send(request("POST", "/login", content_length="10", content_type="application/x-www-form-urlencoded"))
        assert await idle.is_closed_within(30)
        for _ in range(10):
            await pause()
            slow.send(b"a")
        assert (await slow.answer()).status == 401


async def test_a_body_that_does_not_arrive_in_time_ends_the_connection() -> None:
    async def read(asked: web.Request) -> web.Response:
        return web.Response(body=await asked.read())

    app = web.Application()
    app.router.add_post("/", read)
    registry = CollectorRegistry()
    async with (
        listening(app, "127.0.0.1:0", "X", HttpNumbers(registry), HttpLimits(body_timeout_s=0.5)) as address,
        connected(address) as connection,
    ):
        connection.send(request("POST", "/", b"whole"))
        assert (await connection.answer()).body == b"whole"
        connection.send(request("POST", "/", content_length="10") + b"part")
        assert await connection.is_closed_within(30)
    assert registry.get_sample_value("jobtide_http_cut_off_total", {"reason": "body"}) == 1


PAGE = "/swagger/swagger-ui-bundle.js"


@pytest.mark.parametrize(
    "data",
    [
        request("GET", PAGE),  # read from a file in pieces
        request("GET", PAGE, accept_encoding="gzip"),  # compressed in pieces
        request("GET", "/swagger/doc.json"),  # written at once
    ],
)
async def test_a_client_that_does_not_read_its_answers_is_disconnected(start_gateway: StartGateway, data: bytes) -> None:
    process = await start_gateway(stall_timeout_s=1)
    async with connected(process.addresses["http"], receive_bytes=4096) as stalled:
        stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
        stalled.send(data * 200)
        await until_number(process, 'jobtide_http_cut_off_total{reason="stalled"}', 1)
        await until_number_is(process, 'jobtide_http_connections{kind="ordinary"}', 1)
    async with AsyncExitStack() as stack:  # one of them gets the number of the descriptor that was closed
        for connection in await opened(stack, process, 5):
            connection.send(GET)
            assert (await connection.answer()).status == 200
    assert process.log_lines("request_crashed") == []
    assert '"level": "error"' not in process.log_text


async def test_a_slow_reader_gets_its_whole_answers(start_gateway: StartGateway) -> None:
    process = await start_gateway(stall_timeout_s=2)
    count = 8
    async with connected(process.addresses["http"], receive_bytes=65_536) as slow:
        slow.send(request("GET", PAGE) * count)
        taken = bytearray()
        for _ in range(60):
            await pause()
            taken += await slow.reader.read(32_768)
        async with asyncio.timeout(30):
            while taken.count(b"HTTP/1.1 200 OK") < count:
                part = await slow.reader.read(1_000_000)
                assert part, "disconnected"
                taken += part
    assert await number(process, 'jobtide_http_cut_off_total{reason="stalled"}') == 0


async def test_above_the_limit_of_an_address_only_health_pages_are_answered(start_gateway: StartGateway) -> None:
    process = await start_gateway(max_connections_per_address=10)
    async with AsyncExitStack() as stack:
        await opened(stack, process, 10)
        above, other = (await opened(stack, process, 1))[0], (await opened(stack, process, 1, "127.0.0.2"))[0]
        for connection in (above, other):
            connection.send(request("GET", "/login"))
        answer = await above.answer()
        assert (answer.status, answer.headers["retry-after"], answer.headers["server"]) == (503, "5", "jobtide")
        assert b"too many connections" in answer.body
        assert await above.is_closed_within(30)
        assert (await other.answer()).status == 200
        assert (await text_of(process.addresses["http"], "/healthz"))[0] == 200
        assert await number(process, 'jobtide_http_above_limit_total{limit="address"}') >= 2
    assert len(process.log_lines("connections_above_limit")) == 1


async def test_the_limit_per_address_does_not_apply_to_a_trusted_proxy(start_gateway: StartGateway) -> None:
    process = await start_gateway(max_connections_per_address=2, trusted_proxies='["127.0.0.2"]')
    async with AsyncExitStack() as stack:
        for connection in await opened(stack, process, 10, "127.0.0.2"):
            connection.send(request("GET", "/login"))
            assert (await connection.answer()).status == 200


async def test_health_pages_are_answered_during_a_flood_of_silent_connections(start_gateway: StartGateway) -> None:
    process = await start_gateway(max_connections=30, max_connections_per_address=20)
    async with AsyncExitStack() as stack:
        for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
            await opened(stack, process, 3 * RESERVE, host)
        found = [(await text_of(process.addresses["http"], path))[0] for path in ("/healthz", "/metrics", "/login")]
        assert found == [200, 200, 503]
        assert b'"ready"' in (await text_of(process.addresses["http"], "/readyz"))[1].encode()
        assert await number(process, 'jobtide_http_connections{kind="ordinary"}') == 30
        assert await number(process, 'jobtide_http_connections{kind="reserve"}') <= RESERVE
        assert await number(process, 'jobtide_http_cut_off_total{reason="reserve"}') > RESERVE
    await until_number_is(process, 'jobtide_http_connections{kind="ordinary"}', 1)


async def until_number_is(process: ServiceProcess, name: str, wanted: float) -> None:
    async def equal() -> bool:
        return await number(process, name) == wanted

    await until(equal, 20, f"{name} is {wanted}")


async def test_health_pages_of_a_service_are_answered_during_the_same_flood(service: ServiceRunner, nats_settings: NatsSettings) -> None:
    process = await service.start("ingest", nats_settings)
    async with AsyncExitStack() as stack:
        for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
            await opened(stack, process, 80, host)
        assert (await text_of(process.addresses["health"], "/healthz"))[0] == 200
        assert await number(process, 'jobtide_http_connections{kind="ordinary"}') <= HEALTH_LIMITS.max_connections
        assert (await text_of(process.addresses["health"], "/nowhere"))[0] == 503


async def test_the_limit_of_open_files_is_raised_and_reaching_it_is_logged_in_one_line(start_gateway: StartGateway) -> None:
    process = await start_gateway()
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, MAX_DESCRIPTORS)
    used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 5, hard))
    async with AsyncExitStack() as stack:
        connections = await opened(stack, process, 40)
        await until(lambda: process.log_lines("accept_failed"), 20, process.log_text)
        for _ in range(10):
            await pause()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        connections[-1].send(GET)
        assert (await connections[-1].answer()).status == 200
        assert await number(process, "jobtide_http_accept_errors_total") > 1
    assert len(process.log_lines("accept_failed")) == 1


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
    ],
)
def test_ipv6_addresses_count_by_network(address: str, site: str) -> None:
    assert site_of(address) == site
