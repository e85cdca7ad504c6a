"""Exchanges recorded from cc-backend 1.5.4, to be replayed against the gateway."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.archive import JobPath, read_meta
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobFacts, JobImported
from shared.settings import ArchiveSettings, NatsSettings
from tests.gateway.accounts import FORM, PASSWORD, cookie_of
from tests.gateway.stack import KEY, Client, token
from tests.support.nats import client_of

DATA = Path(__file__).parents[1] / "data"
ARCHIVE = DATA / "archive-v1.5"
IMPORTED = [JobPath("emmy", 1403244, 1608923076), JobPath("emmy", 1404397, 1609300556)]
IMPORTED_IDENTITIES = {f"{path.cluster}/{path.job_id}/{path.start_time}" for path in IMPORTED}
ACTORS = {
    "api": token("api", user="feeder"),
    "admin+api": token("admin", "api", user="opsapi"),
    "admin": token("admin", user="adm"),
    "support": token("support", user="sup"),
    "manager": token("manager", user="mgr"),
    "user": token("user", user="ulla"),
    "user+api": token("user", "api", user="uapi"),
    "manager+api": token("manager", "api", user="mapi"),
    "support+api": token("support", "api", user="sapi"),
    "user2": token("user", user="udo"),
}
NAMES = {"admin": "adm", "support": "sup", "user": "ulla"}
WAITS_FOR_ARCHIVE = 1
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
# The ids of deleted jobs differ, and so does the number of jobs that only one of the servers has.
_MESSAGE_ID = re.compile(r"deleted (?:job )?\d+")


def exchanges(file: str) -> list[dict[str, Any]]:
    with (DATA / "recorded" / file).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


async def import_sample_jobs(nats: NatsSettings, archive: ArchiveSettings) -> None:
    """The two jobs of the sample archive, as archive entries and as events."""
    shutil.copytree(ARCHIVE, archive.path)
    facts = {info.alias or name for name, info in JobFacts.model_fields.items()}
    async with client_of(nats) as client:
        for path in IMPORTED:
            meta = read_meta(archive.path, path)
            event = JobImported.model_validate(
                {key: value for key, value in meta.items() if key in facts and key != "tags"}
                | {"jobState": meta["jobState"], "duration": meta["duration"], "monitoringStatus": 3, "footprint": {}}
            )
            envelope = Envelope(event, f"import:{path.relative}", "test", datetime.now(UTC))
            await Publisher(client, nats.prefix).publish([envelope])


@dataclass(frozen=True)
class Reply:
    """Our answer, with the set of values of each header."""

    status: int
    text: str
    headers: dict[str, frozenset[str]]


@dataclass
class Recording:
    """Sends recorded exchanges one by one, and maps recorded ids to ours."""

    client: Client
    sessions: dict[str, str] = field(default_factory=dict)  # cookies by actor
    ours: dict[str, int] = field(default_factory=dict)  # "cluster/jobId/startTime" to our id

    async def learn(self) -> None:
        """Record our ids of all jobs that are listed now; deleted jobs keep theirs."""
        _, listed = await self.client.get("/api/jobs/?items-per-page=100000")
        self.ours |= {identity(job): job["id"] for job in listed["jobs"]}

    async def all_archived(self) -> bool:
        _, listed = await self.client.get("/api/jobs/?items-per-page=100000")
        return all(job["jobState"] == "running" or job.get("monitoringStatus") != WAITS_FOR_ARCHIVE for job in listed["jobs"])

    def path(self, exchange: dict[str, Any]) -> str:
        """The path with our id in place of the recorded one; an id without a counterpart becomes an unknown one."""
        path: str = exchange["request"]["path"]
        for name, meaning in exchange.get("ids", {}).items():
            kind, _, number = name.partition(":")
            if kind == "job":
                path = re.sub(rf"/{number}(?=$|\?)", f"/{self.ours.get(meaning, 999_999_999)}", path)
        return path

    async def ask(self, exchange: dict[str, Any]) -> Reply:
        request = exchange["request"]
        headers = self._headers(exchange)
        for actor in re.findall(r"<session of ([^>]+)>", headers.get("Cookie", "")):
            headers |= {"Cookie": f"session={await self._session(actor)}", "X-Requested-With": "recording"}
        body = _with_password(exchange)
        response = await self.client.raw(
            request["method"], self.path(exchange), auth="", headers=headers, data=None if body is None else body.encode()
        )
        headers_of_reply = {name.lower(): frozenset(", ".join(response.headers.getall(name)).split(", ")) for name in response.headers}
        return Reply(response.status, await response.text(), headers_of_reply)

    async def _session(self, actor: str) -> str:
        """The session of a user with this role, who signs in once."""
        if actor not in self.sessions:
            fields = {"username": NAMES[actor], "password": PASSWORD}
            response = await self.client.raw("POST", "/login", auth="", data=urlencode(fields).encode(), headers={"Content-Type": FORM})
            self.sessions[actor] = cookie_of(response)
        return self.sessions[actor]

    def _headers(self, exchange: dict[str, Any]) -> dict[str, str]:
        minted = mint(exchange["token"], exchange["at"]) if exchange.get("token") else ""
        headers = {}
        for name, value in exchange["request"]["headers"].items():
            value = re.sub(r"<token of ([^>]+)>", lambda found: ACTORS[found[1]], value)
            headers[name] = value.replace("<minted token>", minted)
        headers.setdefault("Accept-Encoding", "identity")
        return headers


def _with_password(exchange: dict[str, Any]) -> str | None:
    """The body with the password of our users in place of the recorded placeholder."""
    body: str | None = exchange["request"]["body"]
    if body is None:
        return None
    password = {"login-wrong-password": "wrong", "login-api-user-without-password": ""}.get(exchange["name"], PASSWORD)
    return re.sub(r"%3Cpassword\+of\+\w+%3E", quote_plus(password), body)


def mint(how: dict[str, Any], at: int) -> str:
    """A token as described by the recording; its times are relative to the request."""
    claims = {
        key: at + int(value) if key in ("exp", "nbf", "iat") and isinstance(value, str) else value for key, value in how["claims"].items()
    }
    algorithm = how.get("alg", "EdDSA")
    if algorithm == "none":
        return jwt.encode(claims, "", algorithm="none")
    if algorithm == "HS256":
        return jwt.encode(claims, "0" * 64, algorithm="HS256")
    key = OTHER_KEY if how.get("bad_signature") else None
    name = claims.pop("sub", None)
    everything = claims if name is None else claims | {"sub": name}
    # The high-level function would refuse an invalid subject.
    return jwt.api_jws.encode(json.dumps(everything).encode(), key or KEY, algorithm="EdDSA", headers={"typ": "JWT"})


def token_as_recorded(recorded: str, text: str) -> str:
    """The placeholder of the recordings for a valid token, anything else unchanged."""
    try:
        claims = jwt.decode(text, KEY.public_key(), algorithms=["EdDSA"], options={"verify_exp": False, "verify_iat": False})
    except jwt.PyJWTError:
        return text
    return "<jwt>" if recorded == "<jwt>" else f"claims {json.dumps(sorted(set(claims) - {'jti'}))}"


def comparable(text: str, *, but: frozenset[str] = frozenset(), is_archived: bool = False) -> Any:
    """An answer without ids, order of tags, error messages, and, unless ``is_archived``, without the fields that archiving adds.

    Jobs in ``but`` (as ``cluster/jobId/startTime``) are left out of lists, which are sorted, because jobs with equal starts have no order.
    """
    if not text.strip().startswith(("{", "[")):
        return _MESSAGE_ID.sub("deleted N", text.strip())
    value = json.loads(text)
    if isinstance(value, dict) and isinstance(value.get("jobs"), list):
        kept = {identity(job): job for job in value["jobs"] if identity(job) not in but}
        value["jobs"] = [kept[key] for key in sorted(kept, key=lambda key: (-kept[key]["startTime"], key))]
    return _normal(value, is_archived)


def identity(job: dict[str, Any]) -> str:
    return f"{job['cluster']}/{job['jobId']}/{job['startTime']}"


def _normal(value: Any, is_archived: bool) -> Any:
    if isinstance(value, list):
        items = [_normal(item, is_archived) for item in value]
        # Users are not sorted.
        return sorted(items, key=lambda item: str(item["username"])) if items and all("username" in str(item) for item in items) else items
    if not isinstance(value, dict):
        return _MESSAGE_ID.sub("deleted N", value) if isinstance(value, str) else value
    if set(value) == {"status", "error"}:
        return {"status": value["status"]}
    result = {key: _normal(item, is_archived) for key, item in value.items()}
    if "authSource" in value:  # cc-backend writes an empty list in three ways
        result |= {key: [name for name in value[key] or [] if name] for key in ("roles", "projects")}
    if "concurrentJobs" in value:
        result.pop("id", None)
        result["tags"] = sorted((t["type"], t["name"], t["scope"]) for t in value.get("tags", []))
        if not is_archived and value["jobState"] != "running" and identity(value) not in IMPORTED_IDENTITIES:
            # When a job is archived varies in both servers.
            for key in ("monitoringStatus", "footprint", "energy", "statistics"):
                result.pop(key, None)
        if is_archived:  # cc-backend has 0 for values that were not measured; here they are absent
            result["footprint"] = {key: number for key, number in (value["footprint"] or {}).items() if number}
        result.pop("energyFootprint", None)
    return result


def differing(recorded: Any, ours: Any, where: str = "", *, rounding: float = 0.0) -> Iterator[str]:
    """Where two comparable answers differ; numbers by more than ``rounding``."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in sorted(recorded.keys() | ours.keys()):
            if key not in recorded or key not in ours:
                yield f"{where}.{key}: {'missing here' if key not in ours else 'only here'}"
            else:
                yield from differing(recorded[key], ours[key], f"{where}.{key}", rounding=rounding)
    elif isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
        for index, (one, other) in enumerate(zip(recorded, ours, strict=True)):
            yield from differing(one, other, f"{where}[{index}]", rounding=rounding)
    elif where == ".jobs" and isinstance(recorded, list) and isinstance(ours, list):
        there, here = {identity(job) for job in recorded}, {identity(job) for job in ours}
        yield f"jobs only there: {sorted(there - here)}, only here: {sorted(here - there)}"
    elif where.endswith(".duration") and isinstance(recorded, int) and isinstance(ours, int):
        is_to_start = ours == 0 and not 0 <= recorded < 2**30  # a negative number in 32 bits in the recording
        if not is_to_start and (ours - recorded + 1) % 2**32 > 2:  # 32 bits in the recording, and our answer may be a second later
            yield f"{where}: {recorded} there, {ours} here"
    elif isinstance(recorded, int | float) and isinstance(ours, int | float) and abs(recorded - ours) <= rounding:
        return
    elif recorded != ours:
        yield f"{where}: {str(recorded)[:150]!r} there, {str(ours)[:150]!r} here"
