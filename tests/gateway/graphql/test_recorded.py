"""The recorded exchanges of cc-backend over /query: the same statuses and bodies, except for the listed differences."""

from typing import Any

import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.accounts import add_people, auth_settings, store_of
from tests.gateway.conftest import until_ready
from tests.gateway.graphql.differences import DIFFERENCES, STATUS, waits_for_metrics
from tests.gateway.graphql.replay import Replay, archive, archived_facts, check_nodes, comparable, sessions_of
from tests.gateway.recorded import ACTORS, differing, exchanges, import_sample_jobs
from tests.gateway.stack import gateway, jobstore
from tests.support.fixtures import any_database
from tests.support.waiting import until

database = any_database

FILE = "graphql.jsonl"
# These do not depend on the database, or are compared on all engines elsewhere, so they run on one engine.
ONE_ENGINE = ("transport-", "doc-", "filter-")


def asked() -> list[dict[str, Any]]:
    return [exchange for exchange in exchanges(FILE) if exchange["config"] == "A" and not waits_for_metrics(exchange["name"])]


def _findings(exchange: dict[str, Any], status: int, kind: str, text: str) -> list[str]:
    recorded = exchange["response"]
    expected = STATUS.get(exchange["name"], recorded["status"])
    if status != expected:
        return [f"{recorded['status']} there, {expected} expected, {status} here: {text[:200]}"]
    if not exchange["request"]["path"].startswith("/query"):
        return []
    if recorded["status"] == 200 and kind != recorded["content_type"].partition(";")[0]:
        return [f"content type {kind}"]
    if not recorded.get("body") or status != recorded["status"]:
        return []
    return list(differing(comparable(recorded["body"], exchange), comparable(text, exchange)))


@pytest.mark.timeout(300)
async def test_recorded_exchanges_are_answered_alike(
    site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    now, found = 0.0, []
    recorded = exchanges(FILE)
    is_postgres = database.url.get_secret_value().startswith("postgres")
    await import_sample_jobs(site, archive_settings)
    async with (
        store_of(database) as store,
        jobstore(site, database, node_unchanged_s=0),
        gateway(site, database, archive_settings, clock=lambda: now, auth=auth_settings(min_password_characters=1)) as client,
    ):
        await until_ready(client)
        await add_people(store)
        now = recorded[0]["at"]
        replay = Replay(client, await sessions_of(client))
        for exchange in asked():
            name = exchange["name"]
            if is_postgres and name.startswith(ONE_ENGINE):
                continue
            now = exchange["at"] + 0.5
            if name == "feed-tag-7000":
                await replay.learn()
                await archive(client, site, archived_facts(recorded))
                await until(lambda: _all_archived(replay), 20)
            if name == "feed-tag-private-ulla":
                await check_nodes(site, recorded)
                await until(lambda: _all_checked(replay), 20)
                await replay.learn_nodes()
            if any(f"{key.partition(':')[0]}:{meaning}" not in replay.ours for key, meaning in exchange.get("ids", {}).items()):
                await replay.learn_tags()
            status, kind, text = await replay.ask(exchange)
            findings = _findings(exchange, status, kind, text)
            if name in DIFFERENCES:
                assert findings or name in STATUS, f"{name} does not differ any more"
            else:
                found += [f"{name}: {finding}" for finding in findings]
    assert not found, "\n".join(found)


async def _all_archived(replay: Replay) -> bool:
    _, listed = await replay.client.get("/api/jobs/?items-per-page=1000")
    return all(job["jobState"] == "running" or job.get("monitoringStatus") in (None, 0, 3) for job in listed["jobs"])


async def _all_checked(replay: Replay) -> bool:
    found = await replay.query("{ nodeStates { state count } }", ACTORS["admin"])
    return {"state": "full", "count": 2} in found["data"]["nodeStates"]


def test_every_difference_names_a_recorded_exchange() -> None:
    assert DIFFERENCES | STATUS.keys() <= {exchange["name"] for exchange in exchanges(FILE)}
