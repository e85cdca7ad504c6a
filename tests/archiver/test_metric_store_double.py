"""The simulated metric store answers like the recorded one."""

import json
import re

import pytest

from tests.archiver.feed import recorded_store
from tests.archiver.recordings import exchanges

STORE = recorded_store()


@pytest.mark.parametrize("name", sorted(exchanges()))
def test_answers_as_recorded(name: str) -> None:
    exchange = exchanges()[name]
    answer = STORE.answer(json.loads(exchange["request"]["body"])).decode()
    # The text of a refusal to combine depends on where the sources differ, so only the refusal is compared.
    assert _without_reason(answer) == _without_reason(exchange["response"]["body"])


def _without_reason(answer: str) -> str:
    return re.sub(r"does not align \([^)]*\)", "does not align", answer)
