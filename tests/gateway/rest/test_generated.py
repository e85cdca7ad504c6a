"""Requests generated from the committed descriptions of REST and GraphQL never cause a server fault."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import graphql
import pytest
import requests
import schemathesis
from graphql.language import FieldNode, FloatValueNode, IntValueNode, ListValueNode, StringValueNode, ValueNode
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes

from services.gateway.rest.description import document
from shared.settings import DatabaseSettings, NatsSettings
from tests.gateway.accounts import People, people
from tests.gateway.conftest import until_ready
from tests.gateway.rows import job_row, write
from tests.gateway.stack import jobstore, token
from tests.support.builders import node_payload
from tests.support.clusters import FIRST_NODE
from tests.support.processes import REPOSITORY

EXAMPLES = 5  # per REST operation, for valid and for invalid values; always the same ones
QUERIES = 4  # per root field, likewise
DEADLINE_S = 30.0
# 503 is a fault as well: it would mean that a request broke a service which the gateway needs.
SERVER_FAULT = 500
# The first ends the session that the others need, the second never ends, the third takes a link to a wall screen and no input.
NOT_GENERATED = {("POST", "/logout"), ("GET", "/api/events/"), ("GET", "/frontend/wall/")}
JOBS = range(1, 6)

Send = Callable[[Case[Any]], None]


@pytest.fixture
async def site_with_people(
    site: NatsSettings, sqlite_database: DatabaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[People]:
    """A site with all optional features, a few jobs, and a journal command that succeeds."""
    journal = tmp_path / "bin" / "journalctl"
    journal.parent.mkdir()
    journal.write_text("#!/bin/sh\n")
    journal.chmod(0o755)
    monkeypatch.setenv("PATH", str(journal.parent), prepend=":")
    await write(sqlite_database, "job", [job_row(key) for key in JOBS])
    async with (
        jobstore(site, sqlite_database),
        people(sqlite_database, tmp_path, nats=site, machine_state_dir=tmp_path / "machines") as given,
    ):
        await until_ready(given.client)
        reported = await given.client.post("/api/nodestate/", node_payload("fritz"))
        assert reported[0] == 200, reported
        yield given


def cases_of(operation: Any, mode: GenerationMode, examples: int, send: Send) -> None:
    """Send ``examples`` generated cases of one operation."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case[Any]) -> None:
        send(case)

    run()


def all_of(schema: Any) -> list[Any]:
    """Every operation. Fails if one cannot be generated."""
    results = list(schema.get_all_operations())
    assert all(isinstance(result, Ok) for result in results), results
    return [result.ok() for result in results]


def generate(operations: Iterable[Any], examples: int, send: Send) -> None:
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases_of(operation, mode, examples, send)


class Sender:
    """Sends cases, counts them by operation, and collects those that were answered with a 5xx."""

    def __init__(self, address: str, token_headers: dict[str, str], session_headers: dict[str, str]) -> None:
        self._url = f"http://{address}"
        self._token, self._session = token_headers, session_headers
        self.sent: dict[tuple[str, str], int] = {}
        self.admitted: set[tuple[str, str]] = set()
        self.faults: list[str] = []

    def __call__(self, case: Case[Any]) -> None:
        guards = {name for one in case.operation.definition.raw.get("security", []) for name in one}
        headers = self._token if "token" in guards else self._session if "session" in guards else {}
        response = case.call(base_url=self._url, headers=headers, timeout=DEADLINE_S, allow_redirects=False)
        key = (case.method.upper(), case.path)
        self.sent[key] = self.sent.get(key, 0) + 1
        if response.status_code not in (401, 403):
            self.admitted.add(key)
        if response.status_code >= SERVER_FAULT:
            self.faults.append(
                f"{case.method} {case.formatted_path} {case.query} {case.body!r:.300}: {response.status_code} {response.text:.300}"
            )


@pytest.mark.timeout(240)
async def test_no_generated_rest_request_is_a_server_fault(site_with_people: People) -> None:
    session = {"Cookie": f"session={await site_with_people.sign_in('adm')}", "X-Requested-With": "test"}
    send = Sender(site_with_people.client.address, {"X-Auth-Token": token("admin", "api")}, session)
    described = schemathesis.openapi.from_dict(document())
    operations = [one for one in all_of(described) if (one.method.upper(), one.path) not in NOT_GENERATED]
    assert len(operations) == sum(len(methods) for methods in document()["paths"].values()) - len(NOT_GENERATED)
    await asyncio.to_thread(generate, operations, EXAMPLES, send)
    assert not send.faults, "\n".join(send.faults)
    assert len(send.sent) == len(operations)
    assert send.admitted == send.sent.keys(), "credentials do not fit these guards"
    assert (await site_with_people.ask("GET", "/config/roles/", session["Cookie"].removeprefix("session=")))[0] == 200


# GraphQL

WORDS = {
    "MetricScope": ("node", "socket", "core", "hwthread", "accelerator"),
    "JobState": ("running", "completed", "failed", "timeout"),
    "SchedulerState": ("idle", "allocated", "down"),
    "MonitoringState": ("full", "partial", "failed"),
}
# Existing values by the name of an argument or input field, so that requests pass more than the first check.
SENSIBLE: dict[str, ValueNode] = {
    "cluster": StringValueNode(value="fritz"),
    "subCluster": StringValueNode(value="main"),
    "field": StringValueNode(value="startTime"),
    "type": StringValueNode(value="col"),  # in an order; arguments have NODE_TYPE
    "scope": StringValueNode(value="global"),
    "id": IntValueNode(value="1"),
    "job": IntValueNode(value="2"),
    "metrics": ListValueNode(values=tuple(StringValueNode(value=name) for name in ("flops_any", "mem_bw", "cpu_load"))),
    "metricName": StringValueNode(value="flops_any_avg"),
    "nodes": ListValueNode(values=(StringValueNode(value=FIRST_NODE["fritz"]),)),
    "numDurationBins": StringValueNode(value="10m"),
    "rows": IntValueNode(value="20"),
    "cols": IntValueNode(value="30"),
    "numMetricBins": IntValueNode(value="7"),
    "range": StringValueNode(value="last30d"),
    "stateFilter": StringValueNode(value="all"),
    "value": StringValueNode(value="[1]"),
    "quantity": StringValueNode(value="duration"),
    "per": StringValueNode(value="numNodes"),
    "bins": IntValueNode(value="20"),
    "minX": IntValueNode(value="1"),
    "minY": IntValueNode(value="1"),
    "maxX": IntValueNode(value="1000"),
    "maxY": IntValueNode(value="1000"),
}
NODE_TYPE = StringValueNode(value="node")  # for arguments
SCALARS = (StringValueNode, IntValueNode, FloatValueNode)
# These need a metric store, advice, or an id assigned by the log, none of which exists here, or texts and bounds that fit together.
UNANSWERED = {
    "nodeMetrics",
    "nodeMetricsList",
    "nodesNow",
    "clusterMetrics",
    "muteAdvice",
    "node",
    "nodeHistory",
    "deleteTag",
    "jobsTimeline",
    "jobsDistribution",
}


class MakeSensible(graphql.Visitor):
    """Replaces generated values by existing ones, lists by lists and scalars by scalars."""

    def _exchanged(self, node: Any, other: ValueNode | None) -> Any:
        is_same_kind = isinstance(node.value, SCALARS) == isinstance(other, SCALARS)
        if other is None or not isinstance(node.value, (*SCALARS, ListValueNode)) or not is_same_kind:
            return None
        return type(node)(name=node.name, value=other)

    def enter_argument(self, node: Any, *_: Any) -> Any:
        return self._exchanged(node, NODE_TYPE if node.name.value == "type" else SENSIBLE.get(node.name.value))

    def enter_object_field(self, node: Any, *_: Any) -> Any:
        return self._exchanged(node, SENSIBLE.get(node.name.value))


def scalar_strategies() -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    texts = st.text(max_size=20)
    for name, words in WORDS.items():
        yield name, st.one_of(st.sampled_from(words).map(nodes.Enum), st.sampled_from(words).map(nodes.String), texts.map(nodes.String))
    times = st.datetimes().map(lambda time: f"{time.isoformat()}Z")
    yield "Time", st.one_of(times.map(nodes.String), st.just("2023-11-14T22:00:00Z").map(nodes.String), texts.map(nodes.String))
    for name in ("Any", "NullableFloat"):  # occur only in answers
        yield name, st.just("unused").map(nodes.String)


def variants(query: str) -> Iterator[str]:
    """The query as generated, and with existing values."""
    yield query
    sensible = graphql.print_ast(graphql.visit(graphql.parse(query), MakeSensible()))
    if sensible != query:
        yield sensible


class Asker:
    """Sends queries, and collects the root fields answered without errors and the faults."""

    def __init__(self, address: str, headers: dict[str, str]) -> None:
        self._url, self._headers = f"http://{address}/query", headers
        self._http = requests.Session()
        self.sent = 0
        self.answered: set[str] = set()
        self.faults: list[str] = []

    def __call__(self, case: Case[Any]) -> None:
        for query in variants(str(case.body)):
            self.sent += 1
            response = self._http.post(self._url, json={"query": query}, headers=self._headers, timeout=DEADLINE_S)
            text = response.text
            if response.status_code >= SERVER_FAULT or "internal error" in text or "INTERNAL_SERVER_ERROR" in text:
                self.faults.append(f"{query}\n{response.status_code} {text:.500}")
            elif response.status_code == 200 and "errors" not in json.loads(text):
                (operation,) = graphql.parse(query).definitions
                assert isinstance(operation, graphql.OperationDefinitionNode)
                self.answered |= {one.name.value for one in operation.selection_set.selections if isinstance(one, FieldNode)}


@pytest.mark.timeout(240)
async def test_no_generated_graphql_request_is_a_server_fault(site_with_people: People) -> None:
    for name, strategy in scalar_strategies():
        schemathesis.graphql.scalar(name, strategy)
    schema = schemathesis.graphql.from_file((REPOSITORY / "services" / "gateway" / "schema.graphql").read_text())
    operations = all_of(schema)
    fields = [operation.label.partition(".")[2] for operation in operations]
    ask = Asker(site_with_people.client.address, {"X-Auth-Token": token("admin", user="adm")})
    await asyncio.to_thread(generate, operations, QUERIES, ask)
    assert not ask.faults, "\n".join(ask.faults)
    assert ask.sent >= len(operations) * QUERIES
    assert set(fields) - ask.answered <= UNANSWERED, "no generated request of these fields is one that succeeds"
