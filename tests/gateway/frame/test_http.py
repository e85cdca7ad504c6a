"""Limits, headers, path spellings and errors of all routes."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.stack import Client, gateway, token
from tests.support.builders import start_payload
from tests.support.waiting import until

KIB = 1024


@pytest.fixture
async def reads(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway without other services, with small limits."""
    async with gateway(
        site, sqlite_database, archive_settings, max_body_bytes=64 * KIB, request_timeout_s=1.0, cors_origins=["https://pages.example"]
    ) as client:
        yield client


async def test_a_body_above_the_limit_is_413(reads: Client) -> None:
    status, answer = await reads.call("POST", "/api/jobs/start_job/", data=b'{"a":"' + b"x" * 70 * KIB + b'"}')
    assert (status, answer["status"]) == (413, "Request Entity Too Large")


async def test_a_request_that_takes_too_long_is_503(reads: Client) -> None:
    async def cluster_known() -> bool:
        return (await reads.get("/api/clusters/?cluster=fritz"))[0] == 200

    await until(cluster_known)
    status, answer = await reads.post("/api/jobs/start_job/", start_payload(1))  # no outcome: there is no jobstore
    assert (status, "longer than 1 s" in answer["error"]) == (503, True)


async def test_a_body_that_never_arrives_ends_at_the_time_limit(reads: Client) -> None:
    host, _, port = reads.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/nodestate/ HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token('api')}\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(200), 30)
    writer.close()
    assert b" 503 " in answer.splitlines()[0]


async def test_a_trailing_slash_makes_no_difference(reads: Client) -> None:
    paths = ["/api/jobs", "/api/jobs/", "/api/jobs/used_nodes?ts=1", "/api/jobs/used_nodes/?ts=1", "/api/status", "/api/rejections/"]
    assert [(await reads.get(path))[0] for path in paths] == [200] * len(paths)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/jobs/start_job", {"POST", "PUT"}),
        ("GET", "/api/jobs/start_job/", {"POST", "PUT"}),
        ("DELETE", "/api/jobs/used_nodes", {"GET"}),
        ("HEAD", "/api/jobs/", {"GET"}),
        ("OPTIONS", "/api/jobs/", {"GET"}),
        ("PROPFIND", "/api/jobs/", {"GET"}),
        ("PUT", "/api/jobs/5", {"GET", "POST"}),
        ("PUT", "/api/jobs/tag_job/5/", {"POST", "PATCH", "DELETE"}),
    ],
)
async def test_another_method_of_a_known_path_is_an_empty_405(reads: Client, method: str, path: str, allowed: set[str]) -> None:
    response = await reads.raw(method, path)
    assert (response.status, await response.text(), set(response.headers["Allow"].split(", "))) == (405, "", allowed)


async def test_every_answer_has_the_security_headers_and_names_no_library(reads: Client) -> None:
    for path in ("/api/jobs/", "/api/nothing", "/healthz", "/swagger/"):
        headers = (await reads.raw("GET", path, headers={"X-Forwarded-Proto": "https"})).headers
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"], headers["Server"]) == ("DENY", "nosniff", "jobtide")
        assert "Strict-Transport-Security" in headers


@pytest.mark.parametrize(
    ("origin", "method", "header", "allowed"),
    [
        ("https://pages.example", "DELETE", "x-auth-token, content-type", True),
        ("https://pages.example", "PATCH", "authorization", True),
        ("https://pages.example", "TRACE", "", False),
        ("https://pages.example", "GET", "x-other", False),
        ("https://elsewhere.example", "GET", "", False),
    ],
)
async def test_preflights_allow_the_methods_and_headers_of_the_api_to_configured_origins(
    reads: Client, origin: str, method: str, header: str, *, allowed: bool
) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": method} | ({"Access-Control-Request-Headers": header} if header else {})
    response = await reads.raw("OPTIONS", "/api/jobs/", auth="", headers=asked)
    assert response.status == 200
    assert response.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)


async def test_a_cross_site_write_is_refused(reads: Client) -> None:
    assert (await reads.post("/api/nodestate/", {"cluster": "fritz"}, headers={"Sec-Fetch-Site": "cross-site"}))[0] == 403


BAD_QUERIES = (
    "page=0 page=x page=1.0 page=1_0 page= items-per-page=9223372036854775808 state=stopped start-time=5 start-time=1-2-3 start-time=-5"
    " user=ulla State=running cluster=%zz cluster=%4"
).split()


async def test_an_invalid_query_is_400(reads: Client) -> None:
    answers = {query: await reads.get(f"/api/jobs/?{query}") for query in BAD_QUERIES}
    assert {query: (status, answer["status"]) for query, (status, answer) in answers.items()} == dict.fromkeys(
        BAD_QUERIES, (400, "Bad Request")
    )


async def test_an_id_that_is_not_a_number_is_400(reads: Client) -> None:
    paths = ["/api/jobs/abc", "/api/jobs/1.5", "/api/jobs/99999999999999999999", "/api/jobs/%00", "/api/jobs/..%2f"]
    assert [(await reads.get(path))[0] for path in paths] == [400] * len(paths)


async def test_request_metrics_are_labelled_with_route_patterns_only(reads: Client) -> None:
    for path in ("/api/jobs/17", "/api/jobs/18", "/made/up"):
        await reads.get(path)
    _, text = await reads.get("/metrics", auth="")
    lines = [line for line in text.splitlines() if line.startswith("jobtide_gateway_requests_total")]
    assert 'jobtide_gateway_requests_total{method="GET",route="/api/jobs/{id}",status="404"} 2.0' in lines
    assert not [line for line in lines if "made" in line]


async def test_redirects_are_counted_with_their_status(reads: Client) -> None:
    assert (await reads.get("/playground", auth=""))[0] == 301
    _, text = await reads.get("/metrics", auth="")
    assert 'jobtide_gateway_requests_total{method="GET",route="/playground",status="301"} 1.0' in text


async def test_every_link_of_the_home_page_works(reads: Client) -> None:
    response = await reads.raw("GET", "/", auth="")
    links = re.findall(r'href="([^"]+)"', await response.text())
    assert [(await reads.raw("GET", link, auth="")).status for link in links] == [200] * 3
