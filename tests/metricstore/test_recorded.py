"""The exchanges recorded from cc-metric-store against this store: the same answers, except for the listed differences."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.metricstore.settings import MetricStoreSettings
from shared.broker.cursor import log_state
from shared.settings import NatsSettings
from tests.metricstore.differences import DIFFERENCES
from tests.metricstore.recorded import body, clusters, exchanges, feed, headers
from tests.metricstore.site import PUBLIC_KEY, Answer, StoreClient, add, running, token
from tests.support.nats import client_of, provision_blocking
from tests.support.waiting import until

HOLDS_ALL = 3650  # days; the recordings are of October 2025
LINES_PER_BODY = 40_000


@pytest.fixture
def metric_site(nats_settings: NatsSettings) -> NatsSettings:
    """A subject for each of two clusters, with that cluster as the default."""
    subjects = [f"{nats_settings.prefix}.m.{cluster}" for cluster in ("fritz", "alex")]
    settings = nats_settings.model_copy(update={"metric_subjects": subjects, "metrics_max_gib": 0.2})
    provision_blocking(settings)
    return settings


@pytest.fixture
async def store(metric_site: NatsSettings) -> AsyncIterator[StoreClient]:
    await add(metric_site, *clusters())
    settings = MetricStoreSettings(
        health="127.0.0.1:0",
        http="127.0.0.1:0",
        retention_days=HOLDS_ALL,
        jwt_public_key=PUBLIC_KEY,
        subject_clusters={subject: subject.rpartition(".")[2] for subject in metric_site.metric_subjects},
    )
    async with running(metric_site, settings) as client:
        lines = list(feed())
        for first in range(0, len(lines), LINES_PER_BODY):
            text = "\n".join(lines[first : first + LINES_PER_BODY]).encode()
            answer = await client.send("POST", "/api/write", text, {"Authorization": f"Bearer {token()}"})
            assert answer.status == 200, answer
        yield client


@pytest.mark.slow
async def test_every_exchange_is_answered_as_recorded_but_for_the_listed_differences(metric_site: NatsSettings, store: StoreClient) -> None:
    differing = set()
    async with client_of(metric_site) as client:
        for name, exchange in exchanges().items():
            request = exchange["request"]
            if request["method"] == "NATS PUB":
                await client.publish(f"{metric_site.prefix}.m.{request['path'].partition('.')[0]}", body(exchange) or b"")
                await client.flush()
                end = (await log_state(client, metric_site.stream("METRICS"))).last_sequence

                async def is_read(end: int = end) -> bool:
                    return (await store.numbers())["jobtide_metricstore_position"] >= end

                await until(is_read)
                continue
            answer = await store.send(request["method"], request["path"], body(exchange), headers(exchange), request["query"])
            if not _is_same(answer, exchange["response"], request["method"]):
                differing.add(name)
    listed = {name for names in DIFFERENCES.values() for name in names}
    assert differing - listed == set(), "not listed in tests/metricstore/differences.py and docs/compatibility.md"
    assert listed - differing == set(), "listed, but no longer different"


def _is_same(answer: Answer, recorded: dict[str, Any], method: str) -> bool:
    if answer.status != recorded["status"]:
        return False
    if answer.status != 200 or method == "HEAD":
        return True  # the text of a refusal differs
    try:
        expected = json.loads(recorded["body"])
    except json.JSONDecodeError:
        return answer.text == str(recorded["body"])
    return _equal(_without_words(json.loads(answer.text)), _without_words(expected))


def _without_words(answer: Any) -> Any:
    """Drop error messages and sort the generated queries, whose order is random in the recorded store."""
    if not isinstance(answer, dict) or "results" not in answer:
        return answer
    for element in (element for elements in answer["results"] for element in elements):
        if "error" in element:
            element["error"] = ""
    if queries := answer.get("queries"):
        explicit = len(answer["results"]) - len(queries)
        pairs = sorted(zip(queries, answer["results"][explicit:], strict=True), key=lambda pair: (pair[0]["host"], pair[0]["metric"]))
        answer["queries"] = [query for query, _ in pairs]
        answer["results"] = answer["results"][:explicit] + [result for _, result in pairs]
    return answer


def _equal(one: Any, other: Any) -> bool:
    """Whether numbers are equal within the rounding of the recorded store: 3 decimals for samples, 2 for statistics."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= 0.0051 + 1e-6 * abs(other)
    return bool(one == other)
