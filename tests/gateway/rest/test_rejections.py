"""Rejections as the pages of operators see them: with a session, from the refusal to the replay."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.ingest.app import run as run_ingest
from services.ingest.settings import IngestSettings, Settings
from shared.broker.clusters import add_cluster
from shared.broker.streams import INTAKE
from shared.domain.reasons import REASONS
from shared.settings import DatabaseSettings, NatsSettings
from tests.gateway.accounts import People, people
from tests.gateway.rows import write
from tests.gateway.stack import jobstore
from tests.support.builders import line, start_line, start_payload, stop_payload
from tests.support.clusters import cluster_text
from tests.support.in_process import running_in_process
from tests.support.nats import client_of, publish
from tests.support.waiting import until

PATH = "/frontend/rejections/"


@pytest.fixture
async def staff(site: NatsSettings, database: DatabaseSettings, tmp_path: Path) -> AsyncIterator[People]:
    """A site with people, whose clock stands long before the messages of the test."""
    settings = Settings(site, IngestSettings(health="127.0.0.1:0"))
    async with (
        jobstore(site, database),
        running_in_process(lambda stop, report: run_ingest(settings, stop, report)),
        people(database, tmp_path, nats=site) as given,
    ):
        yield given


async def test_a_refused_line_is_shown_mended_and_replayed_by_an_admin(staff: People, site: NatsSettings) -> None:
    admin, support = await staff.sign_in("adm"), await staff.sign_in("sup")
    lines = start_line(1, "fresh", ["f0101"]) + start_line(2, "elsewhere", ["f0101"])
    await publish(site, lines, line(start_payload(3) | {"startTime": "soon"}, function="start_job"))

    async def overview() -> dict[str, Any]:
        found: dict[str, Any] = (await staff.ask("GET", f"{PATH}summary/?since=0", support))[1]
        return found if found["count"] == 3 else {}

    found = await until(overview, 20)
    groups = {(one["code"], one["cluster"]): (one["count"], one["replayable"], sum(one["bars"])) for one in found["groups"]}
    fresh = ("unknown_cluster", "fresh")
    assert groups == {fresh: (1, 1, 1), ("unknown_cluster", "elsewhere"): (1, 1, 1), ("invalid_value", "fritz"): (1, 1, 1)}
    assert [reason["code"] for reason in found["reasons"]] == list(REASONS)
    helps = {reason["code"]: reason["replayHelps"] for reason in found["reasons"]}
    assert (helps["unknown_cluster"], helps["invalid_value"]) == (True, False)

    listed = (await staff.ask("GET", f"{PATH}?cluster=elsewhere", support))[1]["rejections"]
    place = f"{PATH}{listed[0]['stream']}/{listed[0]['sequence']}"
    detail = (await staff.ask("GET", place, support))[1]
    message = detail["message"]
    assert (message["stream"], message["sequence"], message["lines"], message["isCut"]) == (site.stream(INTAKE), 1, 2, False)
    assert message["raw"].encode() + b"\n" == start_line(2, "elsewhere", ["f0101"])
    assert '"cluster":"elsewhere"' in message["payload"]
    assert (detail["field"], detail["line"], detail["job"]) == ("cluster", 2, None)

    replay = f"{PATH}replay/?code=unknown_cluster&cluster=fresh"
    assert (await staff.ask("POST", replay, support))[0] == 403
    async with client_of(site) as client:
        await add_cluster(client, site, cluster_text("fritz").replace(b'"fritz"', b'"fresh"', 1))
    status, begun = await staff.ask("POST", replay, admin)
    assert (status, begun["published"], begun["last"], begun["hasMore"]) == (200, 1, 1, False)

    async def settled() -> dict[str, Any]:
        query = f"{PATH}replayed/?code=unknown_cluster&cluster=fresh&until={begun['last']}&before={begun['before']}"
        state: dict[str, Any] = (await staff.ask("GET", query, support))[1]
        return state if state == {"waiting": 0, "refused": 1} else {}

    # The message has two lines, one of which is refused again.
    assert await until(settled, 20) == {"waiting": 0, "refused": 1}
    rest = (await staff.ask("GET", f"{PATH}?code=unknown_cluster", support))[1]["rejections"]
    assert [one["cluster"] for one in rest] == ["elsewhere"]
    assert (await staff.ask("GET", place, support))[0] == 404  # its successor has another sequence


async def test_an_admin_dismisses_one_rejection_or_all_of_a_group_that_were_shown(staff: People, site: NatsSettings) -> None:
    admin, support = await staff.sign_in("adm"), await staff.sign_in("sup")
    broken = [
        line(start_payload(n, cluster) | {"startTime": "soon"}, function="start_job") for n, cluster in enumerate(["fritz"] * 3 + ["alex"])
    ]
    stop = line(stop_payload(77, "fritz") | {"jobState": "running"}, function="stop_job")
    await publish(site, *broken, stop)

    async def listed(count: int) -> dict[str, Any]:
        found: dict[str, Any] = (await staff.ask("GET", PATH, support))[1]
        return found if len(found["rejections"]) == count else {}

    found = await until(lambda: listed(5), 30)
    of_fritz = [one for one in found["rejections"] if (one["code"], one["cluster"]) == ("invalid_value", "fritz")]
    dismiss = f"{PATH}dismiss/?"
    one = f"{dismiss}place={of_fritz[0]['stream']}-{of_fritz[0]['sequence']}"
    assert (await staff.ask("POST", one, support))[0] == 403
    assert await staff.ask("POST", one, admin) == (200, {"dismissed": 1, "hasMore": False})
    assert len((await staff.ask("GET", PATH, support))[1]["rejections"]) == 4  # gone when the request is answered
    await publish(site, broken[0])
    await until(lambda: listed(5), 30)
    group = f"{dismiss}code=invalid_value&cluster=fritz&until={found['next']}"
    assert await staff.ask("POST", group, admin) == (200, {"dismissed": 2, "hasMore": False})
    left = (await staff.ask("GET", PATH, support))[1]["rejections"]
    assert sorted((one["code"], one["cluster"]) for one in left) == [
        ("invalid_value", "alex"),
        ("invalid_value", "fritz"),  # the one that came after the answer
        ("not_a_final_state", "fritz"),
    ]
    for query in ("", "code=none", "place=1", "place=EVENTS-x", "code=internal&until=1"):
        assert (await staff.ask("POST", dismiss + query, admin))[0] == 400, query


async def test_a_rejection_by_the_rules_is_dismissed_and_not_the_one_with_its_sequence_in_the_other_stream(
    staff: People, database: DatabaseSettings
) -> None:
    row = {"seq": 1, "time": 100.0, "code": "duplicate_job", "text": "why", "excerpt": "x", "line": 1}
    await write(database, "rejection", [row | {"stream": stream, "origin": stream} for stream in ("EVENTS", "REJECTIONS")])
    admin = await staff.sign_in("adm")
    assert await staff.ask("POST", f"{PATH}dismiss/?place=EVENTS-1", admin) == (200, {"dismissed": 1, "hasMore": False})
    left = (await staff.ask("GET", PATH, admin))[1]["rejections"]
    assert [(one["stream"], one["sequence"]) for one in left] == [("REJECTIONS", 1)]


async def test_a_rejection_whose_message_is_gone_says_so(staff: People, site: NatsSettings, database: DatabaseSettings) -> None:
    row = {"time": 100.0, "code": "invalid_json", "text": "why", "excerpt": "x", "stream": "EVENTS", "line": 1}
    rows = [
        row | {"seq": 1, "origin": f"{site.stream(INTAKE)}@earlier:9:1", "intake_seq": 9},
        row | {"seq": 2, "origin": "http", "intake_seq": None},
    ]
    await write(database, "rejection", rows)
    support = await staff.sign_in("sup")
    said = [(await staff.ask("GET", f"{PATH}EVENTS/{n}", support))[1] for n in (1, 2)]
    assert [one["message"] for one in said] == [None, None]
    assert "recreated" in said[0]["messageMissing"]
    assert "not come through the intake" in said[1]["messageMissing"]
    for path, status in (("EVENTS/3", 404), ("OTHER/1", 404), ("EVENTS/x", 400)):
        assert (await staff.ask("GET", PATH + path, support))[0] == status


async def test_bars_cover_the_asked_time_and_the_largest_groups_come_first(staff: People, database: DatabaseSettings) -> None:
    now = int(staff.clock())
    codes = [("invalid_json", 0), ("invalid_json", 3600), ("invalid_json", 86_399), ("line_protocol", 90_000)]
    row = {"text": "why", "excerpt": "x", "stream": "REJECTIONS", "line": 1}
    rows = [row | {"seq": n, "origin": f"o{n}", "time": now - age, "code": code} for n, (code, age) in enumerate(codes, 1)]
    await write(database, "rejection", rows)
    support = await staff.sign_in("sup")
    (group,) = (await staff.ask("GET", f"{PATH}summary/?since={now - 86_400}", support))[1]["groups"]
    assert (group["count"], group["replayable"], group["newest"]) == (3, 0, now)
    assert [at for at, height in enumerate(group["bars"]) if height] == [0, 22, 23]
    both = (await staff.ask("GET", f"{PATH}summary/", support))[1]
    assert [one["code"] for one in both["groups"]] == ["invalid_json", "line_protocol"]


@pytest.mark.parametrize("query", ["summary/?since=x", "summary/?cluster=%00", "replayed/?code=internal&before=1", "?until=x"])
async def test_an_invalid_query_is_400(staff: People, query: str) -> None:
    assert (await staff.ask("GET", PATH + query, await staff.sign_in("sup")))[0] == 400
