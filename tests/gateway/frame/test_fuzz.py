"""No input causes an internal error of the gateway."""

import json
import random
from typing import Any

import pytest

from tests.gateway.rest.test_adapter import calls
from tests.gateway.stack import Client

REQUESTS = 600
SEED = 20261124
ODD_VALUES: list[Any] = [
    None,
    "",
    "x",
    "\0",
    "\ud800",
    0,
    -1,
    1.5,
    2**31,
    2**63,
    1e308,
    True,
    [],
    {},
    [None],
    [[]],
    {"a": None},
    "é" * 5000,
]
ODD_QUERIES = ["state=", "state=running", "page", "page=-1", "items-per-page=3", "cluster=%F0%9F", "start-time=1-", "with-metadata", "a=b", "%00=1", ";", "&&=", "project=' OR 1=1 --"]  # fmt: skip  # noqa: E501
FINE = {200, 201, 400, 404, 405, 409, 413, 422}


def mutated(value: Any, chance: random.Random) -> Any:
    """A copy with about one mutation."""
    if isinstance(value, dict):
        result = {key: mutated(item, chance) if chance.random() < 0.3 else item for key, item in value.items()}
        if result and chance.random() < 0.2:
            result.pop(chance.choice(list(result)))
        if chance.random() < 0.1:
            result[chance.choice(["foo", "ID", "jobid", "Cluster", ""])] = chance.choice(ODD_VALUES)
        return result
    if isinstance(value, list) and value and chance.random() < 0.5:
        return [mutated(item, chance) for item in value]
    return chance.choice(ODD_VALUES)


def broken(text: bytes, chance: random.Random) -> bytes:
    """The text with a part removed, repeated or replaced."""
    at, length = chance.randrange(len(text)), chance.randrange(1, 20)
    return text[:at] + chance.choice([b"", text[at : at + length] * 2, chance.randbytes(length)]) + text[at + length :]


@pytest.mark.timeout(120)
async def test_mutated_requests_never_cause_a_server_error(sqlite_api: Client) -> None:
    chance = random.Random(SEED)
    bodies = [call["body"] for call in calls() if call["body"]]
    paths = [
        ("POST", "/api/jobs/start_job/"),
        ("PUT", "/api/jobs/stop_job/"),
        ("POST", "/api/nodestate/"),
        ("PATCH", "/api/jobs/edit_meta/"),
        ("PATCH", "/api/jobs/edit_meta/1"),
        ("POST", "/api/jobs/tag_job/1"),
        ("DELETE", "/api/jobs/tag_job/1"),
        ("DELETE", "/api/jobs/delete_job/"),
        ("POST", "/api/jobs/1"),
        ("DELETE", "/api/tags/"),
    ]
    await sqlite_api.post("/api/jobs/start_job/", bodies[1])
    unexpected: list[tuple[object, ...]] = []
    for _ in range(REQUESTS):
        method, path = chance.choice(paths)
        value = mutated(chance.choice([*bodies, [{"type": "a", "name": "b", "scope": "global"}], {"key": "a", "value": "b"}]), chance)
        text = json.dumps(value).encode()
        if chance.random() < 0.3:
            text = broken(text, chance)
        status, answer = await sqlite_api.call(method, path, data=text)
        if status not in FINE:
            unexpected.append((method, path, text[:300], status, answer))
        query = "&".join(chance.choices(ODD_QUERIES, k=chance.randrange(1, 4)))
        status, answer = await sqlite_api.get(
            f"/api/{chance.choice(['jobs/', 'rejections', 'clusters/', 'jobs/used_nodes', 'jobs/1'])}?{query}".replace(" ", "+")
        )
        if status not in FINE:
            unexpected.append(("GET", query, status, answer))
    assert unexpected == []
    assert (await sqlite_api.get("/readyz"))[0] == 200
