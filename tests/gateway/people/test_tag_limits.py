"""Limits on the tags of one user."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.accounts import Clock
from tests.gateway.conftest import until_ready
from tests.gateway.stack import Client, gateway, jobstore, token

ULLA, UDO, ADMIN = token("user", user="ulla"), token("user", user="udo"), token("admin", user="adm")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limited(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings, clock: Clock
) -> AsyncIterator[Client]:
    """A site with at most three private tags and eight changes per minute."""
    async with (
        jobstore(site, sqlite_database),
        gateway(site, sqlite_database, archive_settings, clock=clock, max_private_tags=3, max_tag_changes=8) as client,
    ):
        await until_ready(client)
        yield client


async def create(client: Client, auth: str, name: str, scope: str) -> dict[str, Any]:
    text = f'mutation {{ createTag(type: "t", name: "{name}", scope: "{scope}") {{ id }} }}'
    _, answer = await client.post("/query", {"query": text}, auth=auth)
    return dict(answer)


def code(answer: dict[str, Any]) -> str:
    return str(answer["errors"][0]["extensions"]["code"]) if "errors" in answer else "created"


async def test_the_private_tags_of_one_person_are_bounded_also_when_they_come_at_once(limited: Client) -> None:
    answers = await asyncio.gather(*(create(limited, ULLA, f"n{number}", "ulla") for number in range(6)))
    assert sorted(map(code, answers)) == ["CONFLICT"] * 3 + ["created"] * 3
    refusal = next(answer["errors"][0]["message"] for answer in answers if "errors" in answer)
    assert refusal.startswith("ulla has 3 private tags")
    assert "max_private_tags" in refusal
    assert code(await create(limited, UDO, "n", "udo")) == "created"


async def test_tags_of_admins_are_not_bounded(limited: Client) -> None:
    for number in range(10):
        assert code(await create(limited, ADMIN, f"n{number}", "adm")) == "created"


async def test_the_changes_of_tags_by_one_person_are_bounded_per_minute(limited: Client, clock: Clock) -> None:
    async def create_and_remove(name: str) -> list[str]:
        created = await create(limited, ULLA, name, "ulla")
        if "errors" in created:
            return [code(created)]
        text = f"mutation {{ deleteTag(id: {created['data']['createTag']['id']}) }}"
        _, removed = await limited.post("/query", {"query": text}, auth=ULLA)
        return [code(created), code(removed)]

    for number in range(4):
        assert await create_and_remove(f"n{number}") == ["created", "created"]
    assert await create_and_remove("n4") == ["TOO_MANY_REQUESTS"]
    assert code(await create(limited, UDO, "n", "udo")) == "created"
    clock.now += 15
    assert await create_and_remove("n5") == ["created", "created"]
    assert await create_and_remove("n6") == ["TOO_MANY_REQUESTS"]
