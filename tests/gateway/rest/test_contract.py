"""The recorded exchanges of cc-backend: the same statuses and bodies, except for the listed differences."""

import contextlib
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from pydantic import SecretStr

from services.gateway.rest.models import JobList, JobObject, JobWithAllMetrics
from shared.metricdata import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.accounts import SEED_KEY, add_people, auth_settings, store_of
from tests.gateway.conftest import until_ready
from tests.gateway.differences import DIFFERENCES, NOT_ASKED, ONE_SIDED
from tests.gateway.graphql.replay import comparable as graphql_comparable
from tests.gateway.metrics.alike import ROUNDING
from tests.gateway.metrics.alike import comparable as metrics_comparable
from tests.gateway.metrics.ground import WINDOW_DAYS, configured_store
from tests.gateway.recorded import Recording, Reply, comparable, differing, exchanges, import_sample_jobs, token_as_recorded
from tests.gateway.stack import archiver, gateway, jobstore
from tests.support.metric_store import serving
from tests.support.waiting import until

CONFIGURATIONS = {"rest-jobs.jsonl": "A", "rest-other.jsonl": "ACDEFG"}
# Metric data are sent to the metric store; these requests are also sent to the gateway, which does not accept them.
_METRIC_DATA = ("write-data", "write-health", "feed-write")
# Sent once the archiver has finished.
_ARCHIVED = re.compile(r"get-archived-data|metrics-archived-|userapi-get-.*-5003")


def asked(file: str, config: str) -> list[dict[str, Any]]:
    return [exchange for exchange in exchanges(file) if exchange["config"] == config and exchange["name"] not in NOT_ASKED]


def _findings(exchange: dict[str, Any], reply: Reply) -> list[str]:
    name, recorded = exchange["name"], exchange["response"]
    expected = DIFFERENCES.get(name, recorded["status"])
    if reply.status != expected:
        return [f"{name}: {recorded['status']} there, {expected} expected, {reply.status} here: {reply.text[:200]}"]
    if reply.status != recorded["status"]:
        return []
    found = list(_differing(exchange, reply))
    if name in DIFFERENCES:
        return [] if found else [f"{name} does not differ any more"]
    return [f"{name}: {finding}" for finding in found]


def _differing(exchange: dict[str, Any], reply: Reply) -> Iterator[str]:
    """Only headers are compared for pages, and for three answers of which only a digest was recorded."""
    recorded = exchange["response"]
    for name, values in _headers(recorded).items():
        if not values <= reply.headers.get(name.lower(), frozenset()) and name != "Access-Control-Allow-Headers":
            yield f"header {name}: {sorted(values)} there, {reply.headers.get(name.lower())} here"
    if "Set-Cookie" in (recorded.get("headers") or {}) and "set-cookie" not in reply.headers:
        yield "no cookie here"
    if not recorded.keys() & {"html", "digest"} and reply.status != HTTPStatus.FORBIDDEN:  # a text in the recording
        yield from differing(_comparable(recorded["body"] or "", exchange), _comparable(reply.text, exchange), rounding=ROUNDING)


def _comparable(text: str, exchange: dict[str, Any]) -> Any:
    if exchange["request"]["path"] == "/query":
        return graphql_comparable(text, exchange)
    is_archived = _ARCHIVED.match(exchange["name"]) is not None
    return metrics_comparable(
        comparable(token_as_recorded(exchange["response"]["body"] or "", text), but=ONE_SIDED, is_archived=is_archived)
    )


def _headers(recorded: dict[str, Any]) -> dict[str, frozenset[str]]:
    """Headers without the doubled content types of errors, which are a quirk, and cookies, which have their own tests."""
    given = {name: values for name, values in (recorded.get("headers") or {}).items() if name not in ("Content-Type", "Set-Cookie")}
    return {name: frozenset(", ".join(values if isinstance(values, list) else [values]).split(", ")) for name, values in given.items()}


def _matches_its_model(exchange: dict[str, Any], reply: Reply) -> None:
    """Validate the answer against the model in the API description. Raises pydantic.ValidationError."""
    path, text = exchange["request"]["path"].partition("?")[0], reply.text
    if reply.status != 200 or not text.startswith("{"):
        return
    if path == "/api/jobs/":
        JobList.model_validate_json(text)
    elif "Meta" in text[:10] and exchange["request"]["method"] == "GET":
        JobWithAllMetrics.model_validate_json(text)
    elif any(word in path for word in ("stop_job", "tag_job", "edit_meta")):
        JobObject.model_validate_json(text)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("file", "config"), [(file, config) for file, configs in CONFIGURATIONS.items() for config in configs])
async def test_recorded_exchanges_are_answered_identically(
    site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings, file: str, config: str
) -> None:
    now = 0.0
    found: list[str] = []
    await import_sample_jobs(site, archive_settings)
    async with store_of(database) as people:
        await add_people(people, but="nobody")
    auth = auth_settings(min_password_characters=1, jwt_validate_user=config == "C", jwt_max_age_hours=0 if config == "G" else 2000)
    settings: dict[str, Any] = {
        "jwt_private_key": SecretStr(SEED_KEY),
        "machine_state_dir": None if config in "FG" else archive_settings.path.parent / "machines",
        "allowed_ips": ["10.1.2.3", "127.0.0.9"] if config == "D" else [],
    }
    store = configured_store()
    async with serving(store) as url:
        metrics = MetricsSettings(kind="cc-metric-store", url=url, max_window_days=WINDOW_DAYS)
        async with (
            jobstore(site, database),
            archiver(site, database, archive_settings, metrics, node_health_s=0.2, footprints_s=0, advice=False),
            gateway(site, database, archive_settings, clock=lambda: now, auth=auth, metrics=metrics, **settings) as client,
        ):
            if config != "D":
                await until_ready(client)
            recording = Recording(client)
            for exchange in asked(file, config):
                now, store.now = exchange["at"] + 0.5, exchange["at"]
                if exchange["name"] in _METRIC_DATA:
                    store.write(exchange["request"]["body"])
                if "archived" in exchange.get("before", ()):
                    await until(recording.all_archived, 30)
                if exchange.get("ids"):
                    await recording.learn()
                found += await _asked_again(recording, exchange)
    assert not found, "\n".join(found)


async def _asked_again(recording: Recording, exchange: dict[str, Any]) -> list[str]:
    """The differences. Nodes are requested until their health was checked, which takes a moment here."""
    findings: list[str] = []

    async def alike() -> bool:
        reply = await recording.ask(exchange)
        _matches_its_model(exchange, reply)
        findings[:] = _findings(exchange, reply)
        return not findings

    if exchange["name"].startswith("nodes-"):
        with contextlib.suppress(AssertionError):
            await until(alike)
    else:
        await alike()
    return findings


def test_every_difference_names_a_recorded_exchange() -> None:
    names = {exchange["name"] for file in ("rest-jobs.jsonl", "rest-other.jsonl") for exchange in exchanges(file)}
    assert set(DIFFERENCES) | NOT_ASKED.keys() <= names
