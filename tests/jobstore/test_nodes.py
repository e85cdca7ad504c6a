"""Node states: the chosen word, the current state of each node, its history, and the retention of the history."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from services.jobstore.appliers.nodes import NodesApplier, node_id
from services.jobstore.rules import Decision
from shared.broker.streams import NODES
from shared.database.engine import opened, run, transaction
from shared.database.tables import tables
from shared.domain import reasons
from shared.domain.events import NodeReport, NodesChecked, NodesReported
from shared.domain.intake import nodes_reported as nodes_reported_of
from shared.domain.nodes import choose_state, clean_words
from shared.domain.payloads import NodeStatePayload
from shared.domain.recorded import Recorded, Unreadable
from shared.domain.values import INT64_MAX, MAX_NAME
from shared.domain.wire import read_object
from shared.errors import Refused
from shared.settings import DatabaseSettings, NatsSettings
from tests.jobstore.logs import DAY, Record, clear, record, split
from tests.jobstore.site import applied, running, tell
from tests.support.builders import START_TIME, node_payload, nodes_checked, nodes_reported
from tests.support.clusters import sample_clusters
from tests.support.databases import SqliteTemplate, dump, query
from tests.support.programs import run_blocking

T = START_TIME // 3600 * 3600
HOUR = 3600

WORDS: list[tuple[list[str] | None, str, list[str]]] = [
    (["ALLOCATED"], "allocated", ["allocated"]),
    (["allocated", "down"], "allocated", ["allocated", "down"]),
    (["IDLE", "RESERVED", "MAINTENANCE"], "reserved", ["idle", "reserved", "maintenance"]),
    (["IDLE", "DOWN"], "down", ["idle", "down"]),
    (["MIXED", "IDLE"], "idle", ["mixed", "idle"]),
    (["IDLE", "DRAIN"], "idle", ["idle", "drain"]),
    (["MIXED", "PLANNED"], "mixed", ["mixed", "planned"]),
    (["DOWN", "NOT_RESPONDING"], "down", ["down", "not_responding"]),
    (["COMPLETING"], "unknown", ["completing"]),
    (["DRAIN"], "unknown", ["drain"]),
    (["idle*"], "idle", ["idle"]),
    (["down$", "DOWN"], "down", ["down"]),
    (["mix-", " maint "], "mixed", ["mixed", "maintenance"]),
    (["no such word", ""], "unknown", []),
    ([], "unknown", []),
    (None, "unknown", []),
]


@pytest.mark.parametrize(("states", "chosen", "kept"), WORDS, ids=[str(case[0]) for case in WORDS])
def test_one_state_is_chosen_and_every_known_word_is_stored(states: list[str] | None, chosen: str, kept: list[str]) -> None:
    words = clean_words(states)
    assert words == kept
    assert choose_state(words) == chosen


def report(sequence: int, at: float, cluster: str = "fritz", **states: str) -> Record:
    return record(sequence, nodes_reported(cluster, states), at)


async def apply(
    engine: AsyncEngine, *batches: Sequence[Record], history_s: float = 7 * DAY, unchanged_s: int = HOUR, fresh: bool = False
) -> None:
    """Apply each batch in a transaction. With ``fresh``, each by a new applier, as after a restart."""
    applier = NodesApplier(tables, history_s=history_s, unchanged_s=unchanged_s)
    for batch in batches:
        if fresh:
            applier = NodesApplier(tables, history_s=history_s, unchanged_s=unchanged_s)
        async with transaction(engine) as connection:
            await run(connection, partial(applier.apply, batch=batch))


async def current(database: DatabaseSettings) -> list[tuple[object, ...]]:
    return await query(database, "SELECT cluster, hostname, node_state, time_stamp, report_seq FROM node ORDER BY cluster, hostname")


async def history(database: DatabaseSettings, host: str = "n1") -> list[tuple[object, ...]]:
    statement = "SELECT s.time_stamp, s.node_state FROM node_state s JOIN node n ON n.id = s.node_id WHERE n.hostname = :host ORDER BY s.id"
    return await query(database, statement, host=host)


async def test_a_report_sets_the_state_of_each_of_its_nodes(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [report(7, T + 0.9, n1="idle", n2="down"), report(8, T + 5, "alex", n1="mixed")])
    assert await current(database) == [("alex", "n1", "mixed", T + 5, 8), ("fritz", "n1", "idle", T, 7), ("fritz", "n2", "down", T, 7)]


async def test_every_field_of_a_report_is_stored(engine: AsyncEngine, database: DatabaseSettings) -> None:
    node = NodeReport(
        hostname="n1 é",
        sub_cluster="spr",
        state="mixed",
        states=["mixed", "drain"],
        cpus_allocated=INT64_MAX,
        memory_allocated=-INT64_MAX - 1,
        gpus_allocated=3,
        jobs_running=4,
    )
    await apply(engine, [record(1, NodesReported(cluster="fritz", nodes=[node]), T)])
    columns = "states, cpus_allocated, memory_allocated, gpus_allocated, jobs_running"
    expected = ('["mixed","drain"]', INT64_MAX, -INT64_MAX - 1, 3, 4)
    assert await query(database, f"SELECT subcluster, hostname, {columns} FROM node") == [("spr", "n1 é", *expected)]
    assert await query(database, f"SELECT {columns} FROM node_state") == [expected]


async def test_a_node_that_moved_is_listed_in_its_new_subcluster(engine: AsyncEngine, database: DatabaseSettings) -> None:
    moved = NodesReported(cluster="fritz", nodes=[NodeReport(hostname="n1", sub_cluster="spr", state="idle", states=["idle"])])
    await apply(engine, [report(1, T, n1="idle")], [record(2, moved, T + 1)])
    assert await query(database, "SELECT subcluster FROM node") == [("spr",)]


async def test_an_unchanged_node_gets_one_row_of_history_an_hour(engine: AsyncEngine, database: DatabaseSettings) -> None:
    log = [report(sequence, T + 60 * sequence, n1="idle") for sequence in range(150)]
    await apply(engine, *split(log[1:], [1, 30, 7, 90]))
    assert [(int(str(at)) - T) // 60 for at, _ in await history(database)] == [1, 61, 121]
    assert await current(database) == [("fritz", "n1", "idle", T + 149 * 60, 149)]


async def test_a_change_gets_its_row_immediately_and_restarts_the_hour(engine: AsyncEngine, database: DatabaseSettings) -> None:
    states = {0: "idle", 600: "idle", 1200: "down", 1800: "idle", 1800 + 3599: "idle", 1800 + 3600: "idle"}
    await apply(engine, [report(sequence, T + at, n1=state) for sequence, (at, state) in enumerate(states.items(), 1)])
    assert await history(database) == [(T, "idle"), (T + 1200, "down"), (T + 1800, "idle"), (T + 5400, "idle")]


async def test_a_change_of_allocation_is_a_change(engine: AsyncEngine, database: DatabaseSettings) -> None:
    busy = NodeReport(hostname="n1", sub_cluster="main", state="idle", states=["idle"], jobs_running=1)
    await apply(engine, [report(1, T, n1="idle"), record(2, NodesReported(cluster="fritz", nodes=[busy]), T + 1)])
    assert len(await history(database)) == 2


async def test_every_report_is_stored_if_thinning_is_disabled(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [report(1, T, n1="idle"), report(2, T, n1="idle")], [report(3, T + 1, n1="idle")], unchanged_s=0)
    assert await history(database) == [(T, "idle"), (T, "idle"), (T + 1, "idle")]


async def test_a_report_older_than_the_applied_one_is_ignored(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [report(1, T + 10, n1="idle"), report(2, T + 9, n1="down", n2="down")], [report(3, T + 1, n1="down")])
    assert await current(database) == [("fritz", "n1", "idle", T + 10, 1), ("fritz", "n2", "down", T + 9, 2)]
    assert await history(database) == [(T + 10, "idle")]


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1, 1, 1], []])
async def test_a_publisher_with_a_fast_clock_neither_hides_later_reports_nor_deletes_history(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]
) -> None:
    log = [
        report(1, T, n1="idle"),
        check(2, T, n1="full"),
        record(3, nodes_reported("fritz", {"n1": "down"}), T + 90 * DAY, stored_at=T + 60),
        record(4, nodes_checked("fritz", {"n1": "partial"}), T + 90 * DAY, stored_at=T + 60),
        report(5, T + 120, n1="mixed"),
        check(6, T + 120, n1="failed"),
    ]
    await apply(engine, *split(log, sizes))
    assert await current(database) == [("fritz", "n1", "mixed", T + 120, 5)]
    assert await history(database) == [(T, "idle"), (T + 60, "down"), (T + 120, "mixed")]
    assert await health_history(database) == [(T, "full"), (T + 60, "partial"), (T + 120, "failed")]


async def test_the_later_of_two_reports_in_one_second_wins(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [report(1, T, n1="idle")], [report(2, T + 0.5, n1="down")])
    assert await current(database) == [("fritz", "n1", "down", T, 2)]


async def test_a_host_twice_in_one_report_ends_in_its_last_state(engine: AsyncEngine, database: DatabaseSettings) -> None:
    twice = [NodeReport(hostname="n1", sub_cluster="main", state=state, states=[state]) for state in ("idle", "down")]
    await apply(engine, [record(1, NodesReported(cluster="fritz", nodes=twice), T)])
    assert await current(database) == [("fritz", "n1", "down", T, 1)]
    assert await history(database) == [(T, "idle"), (T, "down")]


async def test_expired_history_is_deleted_except_the_newest_row(engine: AsyncEngine, database: DatabaseSettings) -> None:
    log = [report(1, T, n1="idle", gone="down"), report(2, T + HOUR, n1="down"), report(3, T + 2 * HOUR, n1="idle", gone="down")]
    await apply(engine, log, history_s=3 * HOUR)
    await apply(engine, [report(4, T + 5 * HOUR, n1="mixed")], history_s=3 * HOUR)
    assert await history(database) == [(T + 2 * HOUR, "idle"), (T + 5 * HOUR, "mixed")]
    assert await history(database, "gone") == [(T + 2 * HOUR, "down")]
    await apply(engine, [report(5, T + 90 * HOUR, n1="idle")], history_s=3 * HOUR)
    assert await history(database) == [(T + 90 * HOUR, "idle")]
    assert await history(database, "gone") == [(T + 2 * HOUR, "down")]
    await apply(engine, [report(6, T + 90 * HOUR + 1, gone="idle")], history_s=3 * HOUR)
    assert await history(database, "gone") == [(T + 90 * HOUR + 1, "idle")]


async def test_a_shortened_history_is_deleted_over_several_batches_and_ends_as_if_in_one(
    engine: AsyncEngine, database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = [
        event
        for n in range(10)
        for event in (report(2 * n + 1, T + n * HOUR, n1="idle", n2="down"), check(2 * n + 2, T + n * HOUR, n1="full"))
    ]
    await apply(engine, log)
    await apply(engine, [report(30, T + 10 * HOUR, n1="idle")], history_s=2 * HOUR)
    expected = await dump(database)
    await clear(engine)
    await apply(engine, log)
    monkeypatch.setattr("services.jobstore.appliers.nodes.MAX_FORGOTTEN", 3)
    await apply(engine, [report(30, T + 10 * HOUR, n1="idle")], history_s=2 * HOUR)
    assert await query(database, "SELECT count(*) FROM node_state") == [(21 - 3,)]
    assert await query(database, "SELECT min(time_stamp), count(*) FROM node_health") == [(T + 3 * HOUR, 10 - 3)]
    nothing = record(31, NodesReported(cluster="fritz", nodes=[]), T + 10 * HOUR)
    await apply(engine, *[[nothing]] * 5, history_s=2 * HOUR)
    assert await dump(database) == expected


# changes for readers

BUSY = NodeReport(hostname="n1", sub_cluster="main", state="idle", states=["idle"], cpus_allocated=1, memory_allocated=2, gpus_allocated=3)
CHANGES: list[tuple[dict[str, object], bool]] = [
    ({}, False),
    ({"sub_cluster": "spr"}, True),
    ({"state": "down"}, True),
    ({"states": ["idle", "drain"]}, True),
    ({"cpus_allocated": 2}, True),
    ({"memory_allocated": 3}, True),
    ({"gpus_allocated": 4}, True),
    ({"jobs_running": 5}, True),
]


@pytest.mark.parametrize("sizes", [[1, 1], []])
@pytest.mark.parametrize(("fields", "is_pushed"), CHANGES, ids=[str(case[0]) for case in CHANGES])
@pytest.mark.parametrize("later_s", [1, 2 * HOUR])
async def test_only_a_report_that_changes_what_is_shown_gets_a_new_number(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int], fields: dict[str, object], later_s: int, *, is_pushed: bool
) -> None:
    other = NodeReport(hostname="n2", sub_cluster="main", state="idle", states=["idle"])
    first = record(1, NodesReported(cluster="fritz", nodes=[BUSY, other]), T)
    again = record(2, NodesReported(cluster="fritz", nodes=[BUSY.model_copy(update=fields), other]), T + later_s)
    await apply(engine, *split([first, again], sizes))
    rows = await query(database, "SELECT hostname, time_stamp, report_seq, changed_seq FROM node ORDER BY hostname")
    assert rows == [("n1", T + later_s, 2, 2 if is_pushed else 1), ("n2", T + later_s, 2, 1)]


@pytest.mark.parametrize("sizes", [[1, 1, 1], []])
@pytest.mark.parametrize(("health", "missing", "is_pushed"), [("partial", ["ipc"], False), ("partial", [], True), ("full", ["ipc"], True)])
async def test_only_a_check_that_changes_what_is_shown_gets_a_new_number(
    engine: AsyncEngine, database: DatabaseSettings, sizes: list[int], health: str, missing: list[str], *, is_pushed: bool
) -> None:
    def found(health: str, missing: list[str]) -> NodesChecked:
        node = {"hostname": "n1", "health": health, "missing": missing, "degraded": ["flops"]}
        return NodesChecked.model_validate({"cluster": "fritz", "nodes": [node]})

    log = [report(1, T, n1="idle"), record(2, found("partial", ["ipc"]), T), record(3, found(health, missing), T + 2 * HOUR)]
    await apply(engine, *split(log, sizes))
    assert await query(database, "SELECT health_kept_at, changed_seq FROM node") == [(T + 2 * HOUR, 3 if is_pushed else 2)]


# health


def check(sequence: int, at: float, cluster: str = "fritz", **health: str) -> Record:
    return record(sequence, nodes_checked(cluster, health), at)


async def health(database: DatabaseSettings) -> list[tuple[object, ...]]:
    return await query(database, "SELECT hostname, health_state, health_data, changed_seq FROM node ORDER BY cluster, hostname")


async def health_history(database: DatabaseSettings, host: str = "n1") -> list[tuple[object, ...]]:
    statement = (
        "SELECT h.time_stamp, h.health_state FROM node_health h JOIN node n ON n.id = h.node_id WHERE n.hostname = :host ORDER BY h.id"
    )
    return await query(database, statement, host=host)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], []])
async def test_a_check_sets_the_health_of_known_nodes(engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]) -> None:
    found = [
        {"hostname": "n1", "health": "partial", "missing": ["mem_bw"], "degraded": ["cpu_load", "ipc"]},
        {"hostname": "strange", "health": "full"},
    ]
    checked = NodesChecked.model_validate({"cluster": "fritz", "nodes": found})
    log = [report(1, T, n1="idle", n2="down"), report(2, T, "alex", n1="idle"), record(3, checked, T + 1), check(4, T + 2, n2="full")]
    await apply(engine, *split(log, sizes))
    assert await health(database) == [
        ("n1", "failed", "{}", 2),  # of alex, not checked
        ("n1", "partial", '{"degraded":["cpu_load","ipc"],"missing":["mem_bw"]}', 3),
        ("n2", "full", "{}", 4),
    ]


@pytest.mark.parametrize("sizes", [[1, 1, 1], []])
async def test_reports_and_checks_do_not_affect_each_other(engine: AsyncEngine, database: DatabaseSettings, sizes: list[int]) -> None:
    await apply(engine, *split([report(1, T, n1="idle"), check(2, T + 5, n1="partial"), report(3, T + 3, n1="mixed")], sizes))
    assert await health(database) == [("n1", "partial", '{"degraded":[],"missing":["mem_bw"]}', 3)]
    assert await current(database) == [("fritz", "n1", "mixed", T + 3, 3)]
    await apply(engine, [report(4, T + 2, n1="down"), check(5, T + 4, n1="full")])  # both are older than the applied ones
    assert (await health(database))[0][1:] == ("partial", '{"degraded":[],"missing":["mem_bw"]}', 3)


async def test_health_has_a_history_like_states(engine: AsyncEngine, database: DatabaseSettings) -> None:
    checks = {0: "full", 600: "full", 1200: "failed", 1800: "full", 1800 + 3599: "full", 1800 + 3600: "full"}
    log = [report(1, T, n1="idle"), *(check(n, T + at, n1=state) for n, (at, state) in enumerate(checks.items(), 2))]
    await apply(engine, *split(log, [2, 3]), history_s=DAY)
    assert await health_history(database) == [(T, "full"), (T + 1200, "failed"), (T + 1800, "full"), (T + 5400, "full")]
    await apply(engine, [report(10, T + 90 * HOUR, n1="idle")], history_s=DAY)
    assert await health_history(database) == [(T + 5400, "full")]


async def test_events_other_than_reports_and_checks_are_ignored(engine: AsyncEngine, database: DatabaseSettings) -> None:
    unreadable = Unreadable(2, T, Refused(reasons.UNREADABLE_EVENT, "x"), "")
    await apply(engine, [report(1, T, n1="idle"), unreadable, record(3, NodesReported(cluster="fritz", nodes=[]), T)])
    await apply(engine, [unreadable])
    assert len(await current(database)) == 1


def test_node_ids_fit_into_json_numbers_and_are_distinct() -> None:
    names = [("a", "bc"), ("ab", "c"), ("", "abc"), ("a\0b", "c"), *(("fritz", f"f{i:04}") for i in range(10_000))]
    ids = {node_id(cluster, host) for cluster, host in names}
    assert len(ids) == len(names)
    assert 0 <= min(ids) <= max(ids) < 2**53
    assert node_id("fritz", "f0101") == 2_011_772_437_163_332  # must never change


@st.composite
def node_logs(draw: st.DrawFn) -> list[Record]:
    """Reports and checks of a few nodes over some hours, mostly in order."""
    at, log = float(T), []
    hosts = st.sampled_from(["n1", "n2", "n3"])
    for sequence in range(1, draw(st.integers(1, 25)) + 1):
        at += draw(st.sampled_from([0, 1, 20, 60, 1800, 3600, -30, -4000]))
        if draw(st.integers(0, 2)) == 0:
            log.append(check(sequence, at, **draw(st.dictionaries(hosts, st.sampled_from(["full", "partial"]), min_size=1, max_size=3))))
            continue
        states = draw(st.dictionaries(hosts, st.sampled_from(["idle", "down"]), max_size=3))
        log.append(report(sequence, at, **states) if states else record(sequence, NodesReported(cluster="fritz", nodes=[]), at))
    return log


async def compare_cuts(database: DatabaseSettings, log: list[Record], sizes: list[int], unchanged_s: int, history_s: int) -> None:
    async with opened(database) as engine:
        await apply(engine, *split(log, [1] * len(log)), unchanged_s=unchanged_s, history_s=history_s)
        expected = await dump(database)
        for cut, fresh in ((sizes, True), ([], False)):
            await clear(engine)
            await apply(engine, *split(log, cut), unchanged_s=unchanged_s, history_s=history_s, fresh=fresh)
            assert await dump(database) == expected


@given(
    log=node_logs(),
    sizes=st.lists(st.integers(1, 5), max_size=8),
    unchanged_s=st.sampled_from([0, 60, 3600]),
    history_s=st.sampled_from([60, 3600, 10_000]),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_neither_batch_boundaries_nor_restarts_change_the_result(
    sqlite_template: SqliteTemplate, tmp_path: Path, log: list[Record], sizes: list[int], unchanged_s: int, history_s: int
) -> None:
    run_blocking(compare_cuts(sqlite_template.fresh(tmp_path), log, sizes, unchanged_s, history_s))


async def test_the_longest_accepted_hostname_is_stored(engine: AsyncEngine, database: DatabaseSettings) -> None:
    dice = random.Random(1)
    host = "".join(chr(dice.randrange(0x10000, 0x1F000)) for _ in range(MAX_NAME))
    await apply(engine, [report(1, T, **{host: "idle"})])
    assert await query(database, "SELECT hostname FROM node") == [(host,)]
    payload, _ = read_object(NodeStatePayload, orjson.dumps(node_payload("fritz", {host + "x": ["idle"], "f0101": ["idle"]})))
    event, (refused,) = nodes_reported_of(payload, {"fritz": sample_clusters()["fritz"]})
    assert [node.hostname for node in event.nodes] == ["f0101"]
    assert (refused.code, refused.field) == (reasons.INVALID_VALUE, "nodes.0.hostname")


async def test_batches_of_reports_are_smaller_and_the_last_report_of_a_node_wins(
    site: NatsSettings, nats_client: Client, sqlite_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    apply = NodesApplier.apply

    def counted(self: NodesApplier, connection: Connection, batch: Sequence[Recorded | Unreadable]) -> list[Decision]:
        sizes.append(len(batch))
        return apply(self, connection, batch)

    monkeypatch.setattr(NodesApplier, "apply", counted)
    monkeypatch.setattr("services.jobstore.appliers.nodes.MAX_BATCH_BYTES", 1)
    states = ("idle", "down", "mixed", "allocated")
    sequences = await tell(nats_client, site, [nodes_reported("fritz", {"f0101": state}) for state in states])
    async with running(site, sqlite_database):
        await applied(sqlite_database, sequences[-1], NODES)
    assert sizes == [1] * len(states)
    assert await query(sqlite_database, "SELECT node_state FROM node") == [("allocated",)]
