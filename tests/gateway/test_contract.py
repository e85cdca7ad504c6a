"""The recorded exchanges of cc-backend: the same statuses and bodies, but for the listed differences."""

from typing import Any

import pytest
from pydantic import SecretStr

from services.gateway.models import JobList, JobObject, JobWithAllMetrics
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.differences import DIFFERENCES, NOT_ASKED, ONE_SIDED, WITHOUT_METRIC_STORE
from tests.gateway.people import SEED_KEY, add_people, auth_settings, store_of
from tests.gateway.recorded import Recording, Reply, comparable, differing, exchanges, import_sample_jobs, token_as_recorded
from tests.gateway.stack import gateway, jobstore

_PREFIXES = ("/api", "/userapi", "/config/", "/frontend", "/login", "/jwt-login", "/logout")
# Parts that are not of the gateway: metric data goes into the metric store.
_ELSEWHERE = (
    "/jobs/metrics/",
    "/api/write",
    "/api/free",
    "/api/debug",
    "/api/healthcheck",
)


def _asked(exchange: dict[str, Any], config: str) -> bool:
    path = exchange["request"]["path"]
    return (
        exchange["config"] == config
        and path.startswith(_PREFIXES)
        and not any(part in path for part in _ELSEWHERE)
        and exchange["name"] not in NOT_ASKED | WITHOUT_METRIC_STORE
    )


def _findings(exchange: dict[str, Any], reply: Reply) -> list[str]:
    recorded = exchange["response"]
    expected = DIFFERENCES.get(exchange["name"], recorded["status"])
    if reply.status != expected:
        return [f"{exchange['name']}: {recorded['status']} there, {expected} expected, {reply.status} here: {reply.text[:200]}"]
    found = [
        f"header {name}: {sorted(values)} there, {reply.headers.get(name.lower())} here"
        for name, values in _headers(recorded).items()
        if not values <= reply.headers.get(name.lower(), frozenset())
        and name != "Access-Control-Allow-Headers"
        and not (name == "Location" and exchange["name"] in DIFFERENCES)
    ]
    if "Set-Cookie" in (recorded.get("headers") or {}) and "set-cookie" not in reply.headers:
        found.append("no cookie here")
    if recorded["body"] and exchange["name"] not in DIFFERENCES and reply.status != 403:
        found += differing(
            comparable(recorded["body"], but=ONE_SIDED), comparable(token_as_recorded(recorded["body"], reply.text), but=ONE_SIDED)
        )
    return [f"{exchange['name']}: {finding}" for finding in found]


def _headers(recorded: dict[str, Any]) -> dict[str, frozenset[str]]:
    """But for the doubled content types of errors, which are a quirk, and cookies, which have tests of their own."""
    given = {name: values for name, values in (recorded.get("headers") or {}).items() if name not in ("Content-Type", "Set-Cookie")}
    return {name: frozenset(", ".join(values if isinstance(values, list) else [values]).split(", ")) for name, values in given.items()}


def _matches_its_model(exchange: dict[str, Any], reply: Reply) -> None:
    """Answers are what the API description says. Raises pydantic.ValidationError."""
    path, text = exchange["request"]["path"].partition("?")[0], reply.text
    if reply.status != 200 or not text.startswith("{"):
        return
    if path == "/api/jobs/":
        JobList.model_validate_json(text)
    elif "Meta" in text[:10] and exchange["request"]["method"] == "GET":
        JobWithAllMetrics.model_validate_json(text)
    elif any(word in path for word in ("stop_job", "tag_job", "edit_meta")):
        JobObject.model_validate_json(text)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("file", "config", "settings"),
    [
        ("rest-jobs.jsonl", "A", {}),
        ("rest-other.jsonl", "A", {}),
        ("rest-other.jsonl", "C", {}),
        ("rest-other.jsonl", "D", {"allowed_ips": ["10.1.2.3", "127.0.0.9"]}),
        ("rest-other.jsonl", "G", {}),
    ],
)
async def test_recorded_exchanges_are_answered_alike(
    site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings, file: str, config: str, settings: dict[str, Any]
) -> None:
    now, found, asked = 0.0, [], 0
    await import_sample_jobs(site, archive_settings)
    async with store_of(database) as store:
        await add_people(store, but="nobody")
    auth = auth_settings(jwt_validate_user=config == "C", jwt_max_age_hours=0 if config == "G" else 2000)
    settings |= {
        "jwt_private_key": SecretStr(SEED_KEY),
        "machine_state_dir": None if config == "G" else archive_settings.path.parent / "machines",
    }
    async with jobstore(site, database), gateway(site, database, archive_settings, clock=lambda: now, auth=auth, **settings) as client:
        if config in "AC":
            await until_ready(client)
        recording = Recording(client)
        for exchange in exchanges(file):
            if not _asked(exchange, config):
                continue
            now = exchange["at"] + 0.5
            if exchange.get("ids"):
                await recording.learn()
            reply = await recording.ask(exchange)
            _matches_its_model(exchange, reply)
            found += _findings(exchange, reply)
            asked += 1
    assert not found, "\n".join(found)
    assert asked >= {"A": 50, "C": 15, "D": 5, "G": 2}[config]


def test_every_difference_names_a_recorded_exchange() -> None:
    names = {exchange["name"] for file in ("rest-jobs.jsonl", "rest-other.jsonl") for exchange in exchanges(file)}
    assert set(DIFFERENCES) | NOT_ASKED | WITHOUT_METRIC_STORE <= names
