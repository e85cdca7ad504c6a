"""Lists of jobs: pages of any length, filters, visibility."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from services.gateway.errors import RequestError
from services.gateway.people.identity import User
from services.gateway.reading.jobs import JobQueries
from services.gateway.reading.model import FoundJobs, JobFilter, Slice, StoredJob
from shared.database.engine import opened
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.rows import job_row, write
from tests.gateway.stack import Client, gateway, token
from tests.support.builders import START_TIME
from tests.support.fixtures import any_database
from tests.support.waiting import until

database = any_database

API = User("feeder", frozenset({"api"}))


@pytest.fixture
async def small_chunks(nats_settings: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway that reads three rows at a time, and ten jobs, of which two start in the same second."""
    await write(database, "job", [job_row(key, start_time=START_TIME + min(key, 9)) for key in range(1, 11)])
    await write(database, "tag", [{"id": 1, "tag_type": "app", "tag_name": "lbm", "tag_scope": "global"}])
    await write(database, "jobtag", [{"job_id": key, "tag_id": 1} for key in (1, 5, 10)])
    async with gateway(nats_settings, database, archive_settings, chunk_rows=3) as client:
        yield client


async def listed(client: Client, query: str) -> list[int]:
    status, answer = await client.get(f"/api/jobs/?{query}")
    assert status == 200, answer
    return [job["id"] for job in answer["jobs"]]


async def test_a_page_longer_than_a_chunk_is_complete_and_in_order(small_chunks: Client) -> None:
    assert await listed(small_chunks, "items-per-page=9999999") == list(range(10, 0, -1))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 10, 11])
async def test_pages_of_every_size_show_each_job_once(small_chunks: Client, size: int) -> None:
    pages = [await listed(small_chunks, f"items-per-page={size}&page={page}") for page in range(1, 12 // size + 2)]
    assert [key for page in pages for key in page] == list(range(10, 0, -1))


async def test_a_streamed_page_has_its_size_and_tags_and_is_compressed_on_request(small_chunks: Client) -> None:
    response = await small_chunks.raw("GET", "/api/jobs/?items-per-page=100&with-metadata", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    text = await response.text()
    answer = json.loads(text)
    assert text.endswith("}\n")
    assert (answer["items"], answer["page"], len(answer["jobs"])) == (100, 1, 10)
    assert [job["id"] for job in answer["jobs"] if "tags" in job] == [10, 5, 1]
    assert "job \\u003c7\\u003e" in text


async def test_a_page_after_the_end_is_empty(small_chunks: Client) -> None:
    assert await listed(small_chunks, f"items-per-page=9999999&page={2**62}") == []


async def test_answers_are_compressed_as_the_client_accepts(small_chunks: Client) -> None:
    for accepted, used in (("gzip;q=0, deflate", "deflate"), ("identity", None), ("br, gzip", "gzip"), ("gzip, deflate", "gzip")):
        response = await small_chunks.raw("GET", "/api/jobs/", headers={"Accept-Encoding": accepted})
        assert response.headers.get("Content-Encoding") == used


@pytest.mark.parametrize(
    ("user", "seen"),
    [
        (API, {1, 2, 3, 4}),
        (User("x", frozenset({"admin", "user"})), {1, 2, 3, 4}),
        (User("x", frozenset({"support"})), {1, 2, 3, 4}),
        (User("ulla", frozenset({"user"})), {1, 2}),
        (User("ulla", frozenset({"user", "api"})), {1, 2}),
        (User("udo", frozenset({"manager"}), frozenset({"phys-a"})), {1, 3}),
        (User("udo", frozenset({"manager"})), {3}),
        (User("udo", frozenset({"user"}), frozenset({"phys-a"})), {3}),
    ],
)
async def test_each_role_sees_its_jobs(database: DatabaseSettings, user: User, seen: set[int]) -> None:
    owners = [("ulla", "phys-a"), ("ulla", "chem-b"), ("udo", "chem-b"), ("eva", "bio-c")]
    await write(database, "job", [job_row(key, hpc_user=name, project=project) for key, (name, project) in enumerate(owners, 1)])
    async with opened(database, read_only=True) as engine:
        queries = JobQueries(engine, 100)
        chunks: list[FoundJobs[StoredJob]] = [found async for found in queries.pages(user, JobFilter(), Slice(100))]
        assert {job.id for found in chunks for job in found.jobs} == seen
        assert {key for key in (1, 2, 3, 4) if await queries.by_id(user, key)} == seen
        assert {key async for keys in queries.keys(user, JobFilter()) for key, _ in keys} == seen


@pytest.mark.parametrize("roles", [(), ("anonymous",), ("operator",)])
async def test_a_user_without_a_usable_role_gets_an_error(sqlite_database: DatabaseSettings, roles: tuple[str, ...]) -> None:
    async with opened(sqlite_database, read_only=True) as engine:
        with pytest.raises(RequestError, match="no role"):
            await JobQueries(engine, 100).by_id(User("x", frozenset(roles)), 1)


async def test_a_page_that_takes_too_long_ends_as_an_unfinished_transfer(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    """The gateway continues to work."""
    script = json.dumps({"jobScript": "#" * 4000})
    await write(sqlite_database, "job", [job_row(key, meta_data=script) for key in range(1, 8001)])
    async with gateway(nats_settings, sqlite_database, archive_settings, request_timeout_s=1.0) as client:
        headers = {"X-Auth-Token": token("api"), "Accept-Encoding": "identity"}
        url = f"http://{client.address}/api/jobs/?items-per-page=9999999&with-metadata"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as slow:
            assert slow.status == 200

            async def given_up() -> bool:
                return 'status="503"' in (await client.get("/metrics", auth=""))[1]

            await until(given_up)
            with pytest.raises(aiohttp.ClientError):
                await slow.read()
        assert (await client.get("/api/jobs/"))[0] == 200
