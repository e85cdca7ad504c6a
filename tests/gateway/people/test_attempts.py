"""Limits on sign-ins, counted in the database for all gateways."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from services.gateway.people.addresses import Origin
from services.gateway.people.auth.attempts import Buckets, SignInAttempts, StoredBuckets
from services.gateway.people.auth.queue import TrustedAddresses
from services.gateway.people.limits import MAX_BUCKETS, Bucket, Limit, LocalBuckets
from shared.database.engine import opened, transaction
from shared.database.tables import sign_in_attempt
from shared.errors import Unavailable
from shared.settings import DatabaseSettings
from tests.gateway.accounts import PASSWORD, Clock, auth_settings, people
from tests.support.databases import SqliteTemplate
from tests.support.fixtures import any_database
from tests.support.waiting import until

database = any_database

HERE, THERE = Origin("10.0.0.1/32", "10.0.0.0/24"), Origin("10.0.0.2/32", "10.0.0.0/24")
NOW = 1_770_000_000.0


@pytest.fixture(params=["stored", "local"])
async def buckets(request: pytest.FixtureRequest, database: DatabaseSettings) -> AsyncIterator[Buckets]:
    if request.param == "local":
        yield LocalBuckets()
        return
    async with opened(database, durable=True) as engine:
        yield StoredBuckets(engine)


async def test_a_bucket_refills_one_attempt_after_each_pause(buckets: Buckets) -> None:
    two = [Bucket("a", Limit(2, 60))]
    assert [await buckets.take(two, NOW + s) for s in (0, 0, 0, 30)] == [0, 0, 60, 30]
    assert [await buckets.take(two, NOW + s) for s in (60, 60)] == [0, 60]
    assert [await buckets.take(two, NOW + 600) for _ in range(3)] == [0, 0, 60]  # at most two accumulate
    await buckets.give_back(two)
    assert [await buckets.take(two, NOW + 600) for _ in range(2)] == [0, 60]


async def test_a_refusal_by_one_bucket_takes_nothing_from_the_others(buckets: Buckets) -> None:
    address, name = Bucket("address", Limit(2, 60)), Bucket("name", Limit(1, 60))
    assert [await buckets.take([address, name], NOW) for _ in range(3)] == [0, 60, 60]
    assert [await buckets.take([address], NOW) for _ in range(2)] == [0, 60]


async def test_rows_of_full_buckets_are_deleted(database: DatabaseSettings) -> None:
    async with opened(database, durable=True) as engine:
        stored = StoredBuckets(engine)
        for number in range(5):
            await stored.take([Bucket(str(number), Limit(1, 60))], NOW)
        await stored.take([Bucket("later", Limit(1, 60))], NOW + 61)
        async with transaction(engine) as connection:
            assert await connection.scalar(select(func.count()).select_from(sign_in_attempt)) == 1


async def test_buckets_in_memory_are_bounded() -> None:
    local = LocalBuckets()
    for number in range(MAX_BUCKETS + 10):
        await local.take([Bucket(str(number), Limit(1, 60))], NOW)
    assert len(local._full_at) == MAX_BUCKETS
    assert await local.take([Bucket(str(MAX_BUCKETS), Limit(1, 60))], NOW) == 60


class Away:
    """A database that cannot be written to."""

    async def take(self, buckets: Sequence[Bucket], now: float) -> float:
        raise Unavailable("disk full")

    async def give_back(self, buckets: Sequence[Bucket]) -> None:
        raise Unavailable("disk full")


async def test_attempts_are_limited_while_the_database_cannot_be_written() -> None:
    attempts = SignInAttempts(Limit(1, 60), Limit(5, 12), Away(), TrustedAddresses(), Clock())
    assert [await attempts.take("erika", HERE) for _ in range(2)] == [0, 60]
    await attempts.give_back("erika", HERE)
    assert await attempts.take("erika", HERE) == 0


async def test_spellings_of_a_name_share_one_bucket_and_addresses_do_not(database: DatabaseSettings) -> None:
    async with opened(database, durable=True) as engine:
        attempts = SignInAttempts(Limit(2, 60), Limit(500, 1), StoredBuckets(engine), TrustedAddresses(), Clock())
        assert [await attempts.take(name, HERE) for name in ("erika", "ERIKA", "\uff45rika")] == [0, 0, 60]
        assert await attempts.take("erika", THERE) == 0
        assert await attempts.take("\ud800", HERE) == 0


async def test_several_gateways_count_attempts_together(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    database = sqlite_template.fresh(tmp_path)
    settings: dict[str, Any] = {"auth": auth_settings(login_attempts=3)}
    async with people(database, tmp_path, **settings) as one, people(database, tmp_path, has_people=True, **settings) as other:
        wrong = {"username": "ulla", "password": "wrong"}
        assert [(await site.login(**wrong)).status for site in (one, other, one, other, one)] == [401, 401, 401, 429, 429]
        assert (await other.login(username="ulla", password=PASSWORD)).status == 429
        assert (await other.login(username="udo", password=PASSWORD)).status == 302


async def test_honest_people_sign_in_while_hundreds_of_wrong_passwords_come_from_many_addresses(
    sqlite_template: SqliteTemplate, tmp_path: Path
) -> None:
    database = sqlite_template.fresh(tmp_path)
    async with (
        people(database, tmp_path, trusted_proxies=["127.0.0.1"]) as site,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as attackers,
    ):
        done: list[str] = []

        async def ask(session: aiohttp.ClientSession, address: str, name: str, password: str) -> int:
            url, headers = f"http://{site.client.address}/login", {"X-Forwarded-For": address}
            fields = {"username": name, "password": password}
            async with session.post(url, data=fields, headers=headers, allow_redirects=False) as response:
                done.append(password)
                return response.status

        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as honest:
            assert await ask(honest, "192.0.2.1", "ulla", PASSWORD) == 302
            attacks = [asyncio.ensure_future(ask(attackers, f"10.1.{number % 250}.1", "udo", "wrong")) for number in range(480)]
            await until(lambda: len(done) > 5)
            new = [asyncio.ensure_future(ask(honest, f"198.51.100.{number}", "ulla", PASSWORD)) for number in range(5)]
            assert await ask(honest, "192.0.2.1", "ulla", PASSWORD) == 302
            assert done.count("wrong") < 240  # an address that signed in before does not wait for all of them
            assert await asyncio.gather(*new) == [302] * 5
            assert set(await asyncio.gather(*attacks)) <= {401, 503}
