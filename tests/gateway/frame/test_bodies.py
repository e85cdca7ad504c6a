"""Request bodies: inflated only after the request was admitted, in bounded steps, and refused without a crash if they are broken."""

import gzip
import json
import random
import zlib

import pytest

from services.gateway.frame.bodies import MAX_MEMBERS, MAX_STEP_INFLATED_BYTES
from services.gateway.frame.credentials import Guard
from services.gateway.frame.loop_lag import MAX_LAG
from services.gateway.rest import GROUPS
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.support.processes import ServiceProcess, ServiceRunner
from tests.support.raw_http import Answer, RawConnection, connected, request
from tests.support.rest import text_of
from tests.support.tokens import PUBLIC_KEY, token
from tests.support.waiting import until

MAX_BODY_BYTES = 4 * 1024 * 1024
REPORT = json.dumps({"cluster": "nowhere", "nodes": []}).encode()  # answered 200: an unknown cluster is a rejection, not a failure
PATH = "/api/nodestate/"
MAX_LAG_S = 1.0  # allows for a busy machine; inflating a bomb in one step takes several seconds
BOMB = gzip.compress(b" " * (64 * MAX_BODY_BYTES), 9)


@pytest.fixture
async def process(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings, service: ServiceRunner
) -> ServiceProcess:
    gateway = await service.start(
        "gateway",
        site,
        sqlite_database,
        archive_settings,
        JOBTIDE_GATEWAY_JWT_PUBLIC_KEY=PUBLIC_KEY,
        JOBTIDE_GATEWAY_MAX_BODY_BYTES=str(MAX_BODY_BYTES),
    )

    async def is_ready() -> bool:
        return (await text_of(gateway.addresses["http"], "/readyz"))[0] == 200 and (await answers(gateway, report(REPORT, "")))[
            0
        ].status == 200

    await until(is_ready, 20)
    return gateway


def report(body: bytes, coding: str, path: str = PATH, **headers: str) -> bytes:
    return request("POST", path, body, x_auth_token=token("api"), content_encoding=coding, **headers)


async def answers(process: ServiceProcess, *requests: bytes) -> list[Answer]:
    """The answers to the requests, sent one after the other on one connection."""
    async with connected(process.addresses["http"]) as connection:
        return [await answer(connection, data) for data in requests]


async def answer(connection: RawConnection, data: bytes) -> Answer:
    connection.send(data)
    return await connection.answer()


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


TAKEN = [
    ("", REPORT),
    ("identity", REPORT),
    ("gzip", gzip.compress(REPORT)),
    ("x-gzip", gzip.compress(REPORT)),
    ("GZIP", gzip.compress(REPORT)),
    ("gzip", gzip.compress(REPORT[:10]) + gzip.compress(b"") + gzip.compress(REPORT[10:])),
    ("gzip", gzip.compress(REPORT + b" " * (MAX_BODY_BYTES - len(REPORT)))),
    ("deflate", zlib.compress(REPORT)),
    ("deflate", raw_deflate(REPORT)),
    ("deflate", raw_deflate(REPORT + b" " * (MAX_STEP_INFLATED_BYTES - len(REPORT)))),
]
BROKEN = [
    ("gzip", REPORT),
    ("gzip", gzip.compress(REPORT)[:-5]),
    ("gzip", gzip.compress(REPORT)[:-8] + bytes(8)),
    ("gzip", gzip.compress(REPORT) + b"more"),
    ("gzip", gzip.compress(REPORT) + b"\x1f\x8bmore"),
    ("gzip", gzip.compress(b"") * MAX_MEMBERS + gzip.compress(REPORT)),
    ("gzip", zlib.compress(REPORT)),
    ("deflate", b"\xff\xfe\xfdgarbage"),
    ("deflate", b"\x78\xff\xffgarbage"),
    ("deflate", gzip.compress(REPORT)),
    ("deflate", zlib.compress(REPORT)[:-2]),
    ("deflate", zlib.compress(REPORT) + b"more"),
]
UNSUPPORTED = ["br", "zstd", "compress", "gzip, gzip", "deflate,gzip", "gzip;q=1", "\xff\xfe", "'\"<b>"]


async def test_gzip_and_deflate_bodies_are_inflated(process: ServiceProcess) -> None:
    found = await answers(process, *(report(body, coding) for coding, body in TAKEN))
    assert [(answer.status, json.loads(answer.body)["count"]) for answer in found] == [(200, 1)] * len(TAKEN)


async def test_a_body_that_does_not_match_its_content_encoding_is_400_and_the_connection_stays_open(process: ServiceProcess) -> None:
    found = await answers(process, *(report(body, coding) for coding, body in BROKEN), report(REPORT, "identity"))
    texts = [json.loads(answer.body)["error"] for answer in found[:-1]]
    assert [answer.status for answer in found] == [400] * len(BROKEN) + [200]
    assert [coding in text for (coding, _), text in zip(BROKEN, texts, strict=True)] == [True] * len(BROKEN)
    assert process.log_lines("request_crashed") == []


async def test_an_unknown_coding_is_415(process: ServiceProcess) -> None:
    found = await answers(process, *(report(REPORT, coding) for coding in UNSUPPORTED))
    assert [answer.status for answer in found] == [415] * len(UNSUPPORTED)
    twice = request("POST", PATH, REPORT, x_auth_token=token("api"), content_encoding="gzip\r\ncontent-encoding: gzip")
    assert [answer.status for answer in await answers(process, twice)] == [415]


async def test_graphql_accepts_the_same_content_encodings(process: ServiceProcess) -> None:
    query = json.dumps({"query": "{ clusters { name } }"}).encode()
    sent = [("gzip", gzip.compress(query)), ("gzip", query), ("br", query), ("gzip", BOMB)]
    found = [(await answers(process, report(body, coding, "/query", content_type="application/json")))[0] for coding, body in sent]
    assert [answer.status for answer in found] == [200, 400, 415, 413]


async def test_a_body_that_inflates_above_the_limit_is_413(process: ServiceProcess) -> None:
    bodies = [
        ("gzip", BOMB),
        ("deflate", zlib.compress(b" " * (MAX_BODY_BYTES + 1))),
        ("deflate", raw_deflate(b" " * (MAX_BODY_BYTES + 1))),
        ("gzip", gzip.compress(b"") * (MAX_BODY_BYTES // 20 + 1)),  # compressed above the limit, inflated empty
    ]
    found = [(await answers(process, report(body, coding)))[0] for coding, body in bodies]
    assert [answer.status for answer in found] == [413] * len(bodies)


async def test_refused_requests_are_never_inflated(process: ServiceProcess) -> None:
    sent = [
        request("POST", PATH, BOMB, content_encoding="gzip"),
        request("POST", "/nowhere", BOMB, content_encoding="gzip"),
        request("GET", "/healthz", BOMB, content_encoding="gzip"),
        request("POST", "/query", BOMB, content_encoding="gzip", content_type="application/json"),
        request("POST", "/login", BOMB, content_encoding="gzip", content_type="application/x-www-form-urlencoded"),
        request("POST", "/login", BOMB, content_encoding="gzip", content_type="multipart/form-data; boundary=x"),
        request("POST", "/login", b"x", content_encoding="br", content_type="application/x-www-form-urlencoded"),
    ]
    found = [(await answers(process, data))[0].status for data in sent]
    assert found == [401, 404, 200, 401, 415, 415, 415]
    assert await max_loop_lag_s(process) < MAX_LAG_S


def test_no_route_reads_an_inflated_body_before_sign_in() -> None:
    assert [route.path for group in GROUPS for route in group.routes if route.guard is Guard.NONE and route.body is not None] == []


async def test_inflating_a_body_does_not_block_the_event_loop(process: ServiceProcess) -> None:
    bodies = [
        BOMB,
        gzip.compress(b" " * MAX_BODY_BYTES),
        gzip.compress(b"") * MAX_MEMBERS,
        gzip.compress(random.Random(1).randbytes(MAX_BODY_BYTES - 10_000), 1),
    ]
    found = [(await answers(process, report(body, "gzip")))[0].status for body in bodies]
    assert found == [413, 400, 400, 400]
    assert await max_loop_lag_s(process) < MAX_LAG_S


async def max_loop_lag_s(process: ServiceProcess) -> float:
    _, numbers = await text_of(process.addresses["http"], "/metrics")
    (lag,) = [float(line.split()[1]) for line in numbers.splitlines() if line.startswith(f"{MAX_LAG.name} ")]
    return lag


@pytest.mark.parametrize("body", [b"zz\r\nx\r\n0\r\n\r\n", b"5\r\nhello-more\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\n"])
async def test_a_broken_transfer_is_400_and_ends_the_connection(process: ServiceProcess, body: bytes) -> None:
    head = request("POST", PATH, x_auth_token=token("api"), transfer_encoding="chunked")
    for apart in (False, True):
        async with connected(process.addresses["http"]) as connection:
            connection.send(head if apart else head + body)
            if apart:
                await connection.writer.drain()
                assert (await text_of(process.addresses["http"], "/healthz"))[0] == 200  # the head arrives before the body
                connection.send(body)
            assert (await connection.answer()).status == 400
            assert await connection.is_closed_within(30)
    assert process.log_lines("request_crashed") == []


async def test_a_client_that_disconnects_in_the_middle_of_its_body_is_not_logged_as_a_crash(process: ServiceProcess) -> None:
    data = report(REPORT, "identity")
    async with connected(process.addresses["http"]) as connection:
        connection.send(data[:-5])
        await connection.writer.drain()
        assert (await text_of(process.addresses["http"], "/healthz"))[0] == 200
    await answers(process, request("GET", "/healthz"))
    assert await process.terminate() == 0
    assert process.log_lines("request_crashed") == []
