"""Replays the recorded GraphQL exchanges with our ids in place of the recorded ones, and normalizes answers for comparison."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import Event, JobArchived, NodeHealth, NodesChecked
from shared.settings import NatsSettings
from tests.gateway.accounts import FORM, PASSWORD, cookie_of
from tests.gateway.recorded import ACTORS, mint
from tests.gateway.stack import Client, token
from tests.support.nats import client_of

Json = dict[str, Any]

ENDED = frozenset("completed failed cancelled timeout out_of_memory node_fail preempted boot_fail deadline".split())
_IMPORTED = {1403244, 1404397}
# The footprint that the archiver writes for a job without metric data, by cluster.
_ZEROS = {
    "fritz": {"cpu_load_avg": 0.0, "flops_any_avg": 0.0, "mem_bw_avg": 0.0, "mem_used_max": 0.0},
    "alex": {"acc_utilization_avg": 0.0, "cpu_load_avg": 0.0, "flops_any_avg": 0.0, "mem_bw_avg": 0.0, "mem_used_max": 0.0},
}


async def sessions_of(client: Client) -> dict[str, str]:
    """Cookies by their names in the recordings."""
    return {name: await _sign_in(client, user) for name, user in (("admin", "adm"), ("manager", "mgr"))}


async def _sign_in(client: Client, user: str) -> str:
    body = urlencode({"username": user, "password": PASSWORD}).encode()
    return cookie_of(await client.raw("POST", "/login", auth="", data=body, headers={"Content-Type": FORM}))


def archived_facts(exchanges: list[Json]) -> dict[int, Json]:
    """Footprint and energy of each job in the recorded answers, by the scheduler's job id."""
    facts: dict[int, Json] = {}

    def look(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            if "jobId" in value and value.get("monitoringStatus", 3) == 3:
                known = facts.setdefault(value["jobId"], {})
                for part in value.get("footprint") or ():
                    if "name" in part and "stat" in part:
                        known.setdefault("footprint", {})[f"{part['name']}_{part['stat']}"] = part["value"]
                for part in value.get("energyFootprint") or ():
                    if "metric" in part:
                        known.setdefault("energy_footprint", {})[part["metric"]] = part["value"]
                if "energy" in value:
                    known["energy"] = value["energy"]
            for item in value.values():
                look(item)

    for exchange in exchanges:
        body = exchange["response"].get("body") or ""
        if exchange["config"] == "A" and body.startswith("{"):
            look(json.loads(body))
    return facts


async def archive(client: Client, nats: NatsSettings, facts: dict[int, Json]) -> None:
    """Publish the events that the archiver would have published for the finished jobs."""
    _, listed = await client.get("/api/jobs/?items-per-page=1000")
    events: list[Event] = []
    for job in listed["jobs"]:
        if job["jobState"] in ENDED and job["jobId"] not in _IMPORTED and job.get("monitoringStatus"):
            known = facts.get(job["jobId"], {})
            footprint = known.get("footprint") or _ZEROS.get(job["cluster"], {})
            energy = known.get("energy_footprint") or {}
            events.append(
                JobArchived(
                    id=job["id"], cluster=job["cluster"], footprint=footprint, energy=known.get("energy", 0.0), energy_footprint=energy
                )
            )
    await _publish(nats, events)


async def check_nodes(nats: NatsSettings, exchanges: list[Json]) -> None:
    """Publish the results of the node checks that the archiver would have published."""
    recorded = next(e for e in exchanges if e["name"] == "nodes-with-meta")
    nodes = json.loads(recorded["response"]["body"])["data"]["nodesWithMeta"]["items"]
    events: list[Event] = []
    for cluster, found in groupby(sorted(nodes, key=lambda n: n["cluster"]), lambda n: n["cluster"]):
        healths = [
            NodeHealth(
                hostname=n["hostname"], health=n["healthState"], **{key: n["healthData"].get(key, []) for key in ("missing", "degraded")}
            )
            for n in found
        ]
        events.append(NodesChecked(cluster=cluster, nodes=healths))
    await _publish(nats, events)


async def _publish(nats: NatsSettings, events: list[Event]) -> None:
    async with client_of(nats) as client:
        envelopes = [Envelope(event, f"replay:{number}:{event.name}", "test", datetime.now(UTC)) for number, event in enumerate(events)]
        await Publisher(client, nats.prefix).publish(envelopes)


@dataclass
class Replay:
    """Sends recorded exchanges. Our ids are looked up by keys such as ``job:cluster/jobId/startTime``."""

    client: Client
    sessions: dict[str, str]
    ours: dict[str, int] = field(default_factory=dict)

    async def learn(self) -> None:
        _, listed = await self.client.get("/api/jobs/?items-per-page=1000")
        for job in listed["jobs"]:
            self.ours[f"job:{job['cluster']}/{job['jobId']}/{job['startTime']}"] = job["id"]

    async def learn_tags(self) -> None:
        for name in ("adm", "ulla", "mgr", "sup", "feeder"):
            found = await self.query("{ tags { id type name scope } }", token("admin", user=name))
            for tag in found["data"]["tags"]:
                self.ours[f"tag:{tag['type']}/{tag['name']}/{tag['scope']}"] = tag["id"]

    async def learn_nodes(self) -> None:
        found = await self.query("{ nodes { items { id cluster hostname } } }", token("admin", user="adm"))
        for node in found["data"]["nodes"]["items"]:
            self.ours[f"node:{node['cluster']}/{node['hostname']}"] = int(node["id"])

    async def query(self, text: str, auth: str, **variables: Any) -> Json:
        _, answer = await self.client.post("/query", {"query": text, "variables": variables}, auth=auth)
        found: Json = answer
        return found

    async def ask(self, exchange: Json) -> tuple[int, str, str]:
        """Returns status, content type and text."""
        request = exchange["request"]
        body = request["body"]
        if body is not None and exchange.get("ids"):
            body = self._with_our_ids(body, exchange["ids"], request["path"])
        path = request["path"]
        for name, meaning in exchange.get("ids", {}).items():
            kind, _, number = name.partition(":")
            if kind == "job" and path.startswith("/api"):
                path = re.sub(rf"/{number}(?=$|\?)", f"/{self.ours[f'job:{meaning}']}", path)
        response = await self.client.raw(
            request["method"], path, auth="", headers=self._headers(exchange), data=None if body is None else body.encode()
        )
        return response.status, response.content_type, await response.text()

    def _headers(self, exchange: Json) -> dict[str, str]:
        minted = mint(exchange["token"], exchange["at"]) if exchange.get("token") else ""
        tokens = ACTORS | {"user2": token("user", user="udo")}
        headers = {"Accept-Encoding": "identity"}
        for name, value in exchange["request"]["headers"].items():
            value = re.sub(r"<token of ([^>]+)>", lambda found: tokens[found[1]], value)
            value = re.sub(r"<session of ([^>]+)>", lambda found: self.sessions[found[1]], value)
            headers[name] = value.replace("<minted token>", minted)
        if "Cookie" in headers:
            headers["X-Requested-With"] = "test"
        return headers

    def _with_our_ids(self, body: str, ids: dict[str, str], path: str) -> str:
        if path != "/query":
            return body
        sent = json.loads(body)
        by_kind: dict[str, dict[str, int]] = {}
        for name, meaning in ids.items():
            kind, _, number = name.partition(":")
            by_kind.setdefault(kind, {})[number] = self.ours.get(f"{kind}:{meaning}", 999_999_999)
        first = "node" if "node(" in sent["query"] else "job"
        kinds = {"t": "tag", "tags": "tag", "dbId": "job"} | dict.fromkeys("ijab", first)
        if "deleteTag" in sent["query"]:
            kinds["i"] = "tag"

        def replaced(value: Any, kind: str | None) -> Any:
            if isinstance(value, dict):
                return {key: replaced(item, kinds.get(key)) for key, item in value.items()}
            if isinstance(value, list):
                return [replaced(item, kind) for item in value]
            known = by_kind.get(kind or "", {})
            return type(value)(known[str(value)]) if isinstance(value, int | str) and str(value) in known else value

        if sent.get("variables"):
            sent["variables"] = replaced(sent["variables"], None)
        for kind in ("job", "node"):
            for number, ours in by_kind.get(kind, {}).items():
                sent["query"] = re.sub(rf'(\bid: ?"?){number}\b', rf"\g<1>{ours}", sent["query"])
        return json.dumps(sent)


# Fields of nodes that cc-backend stores and always answers as 0.
_NEVER_READ = ("jobsRunning", "cpusAllocated", "memoryAllocated", "gpusAllocated")


def comparable(text: str, exchange: Json) -> Any:
    """An answer without error messages, ids, and values that depend on time or chance."""
    if not text.startswith("{"):
        return None  # an error message in plain text
    answer = without_chance(json.loads(text), exchange)
    result = {"data": _plain(answer.get("data"))}
    if answer.get("errors"):
        result["errors"] = sorted({json.dumps([(error.get("path") or [None])[:1], _code(error)]) for error in answer["errors"]})
    return result


def without_chance(answer: Any, exchange: Json) -> Any:
    """Drop the values that differed between recordings, and sort unordered lists."""
    for path in exchange.get("volatile", ()):
        _drop(answer, _steps(path))
    for path in exchange.get("unordered", ()):
        _change(answer, _steps(path), _sorted)
    if exchange.get("ties"):
        _sort_ties(answer, _steps(exchange["ties"]))
    return answer


def _code(error: Json) -> str | None:
    """The error code, if both servers have it."""
    code: str = (error.get("extensions") or {}).get("code", "")
    return code if code.startswith("GRAPHQL_") or code == "COMPLEXITY_LIMIT_EXCEEDED" else None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        # A cluster that the recorded server did not have.
        return [_plain(item) for item in value if not (isinstance(item, dict) and "slurmlab" in (item.get("name"), item.get("cluster")))]
    if not isinstance(value, dict):
        return value
    result: Json = {}
    for key, item in value.items():
        if key == "id" and (isinstance(item, int) or (isinstance(item, str) and item.isdigit())):
            result[key] = type(item).__name__
        elif key == "removeTagFromList":
            result[key] = item and len(item)
        elif key == "times":
            result[key] = None
        elif key == "counts":
            # The numbers differ (docs/compatibility.md) and depend on the second of each report; test_node_history.py has them.
            result[key] = max(item) > 0
        elif key in ("nodeStatesTimed", "globalMetrics", "tags", "partitions"):
            result[key] = _sorted([one for one in _plain(item) if one != ""])  # an empty name is not a partition
        elif key == "concurrentJobs" and isinstance(item, dict):
            result[key] = sorted(link["jobId"] for link in item["items"] if link["jobId"] != value["jobId"])  # without the job itself
        elif key not in _NEVER_READ:
            result[key] = _plain(item)
    return result


def _sorted(value: Any) -> Any:
    return sorted(value, key=lambda item: json.dumps(item, sort_keys=True)) if isinstance(value, list) else value


def _steps(path: str) -> list[str | int]:
    """``data.jobs.items[*].id`` as keys, numbers and ``*``."""
    steps: list[str | int] = []
    for name, index in re.findall(r"([^.\[\]]+)|\[(\*|\d+)\]", path):
        steps.append(name or (index if index == "*" else int(index)))
    return steps


def _places(value: Any, steps: list[str | int]) -> Iterator[tuple[Any, Any]]:
    """Container and key of every value that matches the steps."""
    if not steps:
        return
    first, rest = steps[0], steps[1:]
    keys: list[Any] = []
    if isinstance(value, list):
        keys = list(range(len(value))) if first == "*" else [first] if isinstance(first, int) and first < len(value) else []
    elif isinstance(value, dict) and first in value:
        keys = [first]
    for key in keys:
        if rest:
            yield from _places(value[key], rest)
        else:
            yield value, key


def _drop(value: Any, steps: list[str | int]) -> None:
    for container, key in list(_places(value, steps)):
        container[key] = "volatile"


def _change(value: Any, steps: list[str | int], change: Any) -> None:
    for container, key in list(_places(value, steps)):
        container[key] = change(container[key])


def _sort_ties(answer: Json, steps: list[str | int]) -> None:
    """Sort elements with equal sort keys, whose order is undefined."""
    at = max(number for number, step in enumerate(steps) if step == "*")
    name = steps[-1]
    for container, key in list(_places(answer, steps[:at])):
        runs = [list(run) for _, run in groupby(container[key], lambda item: item.get(name))]
        container[key] = [item for run in runs for item in _sorted(run)]
