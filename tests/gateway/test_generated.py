"""Requests generated from the committed API description: whatever they are, no answer is a 5xx."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from services.gateway.swagger import document
from tests.gateway.stack import Client, token

EXAMPLES = 8  # of each operation, with good and with bad values; always the same ones
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

    run()


def send_all(operations: Iterable[Any], address: str, credentials: str) -> tuple[int, list[str]]:
    """The number of requests, and those that were answered with a 5xx."""
    sent, faults = 0, []

    def send(case: Case[Any]) -> None:
        nonlocal sent
        headers = {"X-Auth-Token": credentials}
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
async def test_no_generated_rest_request_is_a_server_fault(sqlite_api: Client) -> None:
    described = schemathesis.openapi.from_dict(document())
    operations = list(described.get_all_operations())
    sent, faults = await asyncio.to_thread(send_all, operations, sqlite_api.address, token("admin", "api"))
    assert not faults, "\n".join(faults)
    assert sent >= len(operations) * EXAMPLES
