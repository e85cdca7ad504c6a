"""Requests generated from the committed API description: whatever they are, no answer is a 5xx."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from services.gateway.swagger import document
from shared.settings import DatabaseSettings
from tests.gateway.people import Clock, People, add_people, store_of
from tests.gateway.stack import Client, token

EXAMPLES = 5  # of each operation, with good and with bad values; always the same ones
DEADLINE_S = 10.0
# A hostile value must not be an answer's status either; 503 would mean that something behind the gateway went away.
SERVER_FAULT = 500


def cases_of(operation: Any, mode: GenerationMode, examples: int, send: Callable[[Case[Any]], None]) -> None:
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

    try:
        run()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # an operation without parameters, in which nothing can be wrong


def send_all(operations: Iterable[Any], address: str, headers: dict[str, str]) -> tuple[int, list[str]]:
    """The number of requests, and those that were answered with a 5xx."""
    sent, faults = 0, []

    def send(case: Case[Any]) -> None:
        nonlocal sent
        response = case.call(base_url=f"http://{address}", headers=headers, timeout=DEADLINE_S, allow_redirects=False)
        sent += 1
        if response.status_code >= SERVER_FAULT:
            faults.append(
                f"{case.method} {case.formatted_path} {case.query} {case.body!r:.300}: {response.status_code} {response.text:.300}"
            )

    for result in operations:
        assert isinstance(result, Ok), result
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases_of(operation, mode, EXAMPLES, send)
    return sent, faults


@pytest.mark.timeout(180)
async def test_no_generated_rest_request_is_a_server_fault(sqlite_api: Client, sqlite_database: DatabaseSettings) -> None:
    """With the credentials of an admin: a token where one counts, a session elsewhere."""
    async with store_of(sqlite_database) as store:
        await add_people(store)
    session = await People(sqlite_api, store, Clock()).sign_in("adm")
    headers = {"X-Auth-Token": token("admin", "api"), "Cookie": f"session={session}", "X-Requested-With": "test"}
    # The answer of the first never ends, that of the second depends on the machine.
    described = schemathesis.openapi.from_dict(document()).exclude(path="/api/events/").exclude(path="/frontend/logs/")
    operations = list(described.get_all_operations())
    sent, faults = await asyncio.to_thread(send_all, operations, sqlite_api.address, headers)
    assert not faults, "\n".join(faults)
    assert sent >= len(operations) * EXAMPLES
