"""Access to the API: tokens, addresses, users."""

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.gateway.frame.settings import GatewaySettings
from services.gateway.people.identity import User
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.stack import KEY, Client, gateway, public_key_text, token

OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LIST = "/api/jobs/"


@pytest.fixture
async def reads(nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """A gateway without other services."""
    async with gateway(nats_settings, sqlite_database, archive_settings) as client:
        yield client


def hand_made(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"x" * 64) -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


NOW = int(time.time())  # at collection, which may be up to an hour before a test runs
API = {"sub": "feeder", "roles": ["api"]}
BAD_TOKENS = {
    "expired": token("api", exp=NOW - 1),
    "not yet valid": token("api", nbf=NOW + 86_400),
    "expiry is text": token("api", exp="soon"),
    "expiry is a number as text": token("api", exp=str(NOW + 86_400)),
    "expiry is a list": hand_made({"alg": "EdDSA", "typ": "JWT"}, API | {"exp": [1]}),
    "another key": token("api", key=OTHER_KEY),
    "no algorithm": jwt.encode(API, "", algorithm="none"),
    "no algorithm, other spelling": hand_made({"alg": "nOnE", "typ": "JWT"}, API, b""),
    "HS256 with the public key as secret": jwt.encode(API, KEY.public_key().public_bytes_raw(), algorithm="HS256"),
    "HS256 with the public key's text as secret": jwt.encode(API, public_key_text(), algorithm="HS256"),
    "algorithm missing": hand_made({"typ": "JWT"}, API),
    "its own key in the header": jwt.encode(
        API, OTHER_KEY, algorithm="EdDSA", headers={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": public_key_text(OTHER_KEY)}}
    ),
    "no subject": jwt.encode({"roles": ["api"]}, KEY, algorithm="EdDSA"),
    "empty subject": token("api", user=""),
    "claims of another token under a good signature": ".".join(
        [token("user").split(".")[0], token("admin", "api").split(".")[1], token("user").split(".")[2]]
    ),
    "not a token": "hello",
    "two parts": "a.b",
    "not base64": "ä.ö.ü",
    "very long": "a" * 8000 + ".b.c",
}


async def test_a_bad_token_is_401(reads: Client) -> None:
    statuses = {}
    for name, bad in BAD_TOKENS.items():
        status, answer = await reads.get(LIST, auth="", headers={"X-Auth-Token": bad.encode("utf-8").decode("latin-1")})
        statuses[name] = (status, answer["status"])
    assert statuses == dict.fromkeys(BAD_TOKENS, (401, "Unauthorized"))


async def test_without_a_token_header_the_answer_is_401_despite_a_cookie_or_query_parameter(reads: Client) -> None:
    for path, headers in ((LIST, {}), (LIST, {"Cookie": f"session={token('api')}"}), (f"{LIST}?access_token={token('api')}", {})):
        assert (await reads.get(path, auth="", headers=headers))[0] == 401


GOOD_HEADERS = [
    {"X-Auth-Token": token("api")},
    {"Authorization": f"Bearer {token('api')}"},
    {"Authorization": token("api")},
    {"X-Auth-Token": "", "Authorization": f"Bearer {token('api')}"},
    {"X-Auth-Token": token("admin", "api")},
    {"X-Auth-Token": token("api", "admin", "user")},
    {"X-Auth-Token": token("api", iat=NOW + 86_400, aud="other", iss="other", exp=NOW + 86_400)},
]


async def test_a_good_token_is_accepted_in_either_header(reads: Client) -> None:
    assert [(await reads.get(LIST, auth="", headers=headers))[0] for headers in GOOD_HEADERS] == [200] * len(GOOD_HEADERS)


async def test_x_auth_token_wins_over_authorization(reads: Client) -> None:
    assert (await reads.get(LIST, auth="", headers={"X-Auth-Token": "x.y.z", "Authorization": f"Bearer {token('api')}"}))[0] == 401


MISSING_ROLES = [(), ("user",), ("admin",), ("support",), ("manager",), ("user", "api"), ("manager", "api"), ("API",), ("admin", "admin")]


async def test_a_missing_role_is_403(reads: Client) -> None:
    answers = {roles: await reads.get(LIST, auth=token(*roles)) for roles in MISSING_ROLES}
    assert {roles: (status, answer["status"]) for roles, (status, answer) in answers.items()} == dict.fromkeys(
        MISSING_ROLES, (403, "Forbidden")
    )


async def test_unknown_paths_and_methods_need_no_token(reads: Client) -> None:
    assert (await reads.get("/api/nothing", auth=""))[0] == 404
    assert (await reads.call("DELETE", LIST, auth=""))[0] == 405


async def test_tokens_of_two_keys_are_accepted_while_keys_are_changed(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    both = f"{public_key_text(OTHER_KEY)}, {public_key_text()}"
    async with gateway(nats_settings, sqlite_database, archive_settings, key=both) as client:
        for key in (KEY, OTHER_KEY):
            assert (await client.get(LIST, auth=token("api", key=key)))[0] == 200
        assert (await client.get(LIST, auth=token("api", key=Ed25519PrivateKey.generate())))[0] == 401


@pytest.mark.parametrize(
    ("allowed", "proxies", "headers", "status"),
    [
        (["127.0.0.0/8"], [], {}, 200),
        (["10.1.2.3"], [], {}, 403),
        (["*"], [], {}, 200),
        (["10.1.2.3"], [], {"X-Real-Ip": "10.1.2.3", "X-Forwarded-For": "10.1.2.3"}, 403),
        (["10.1.2.3"], ["127.0.0.1"], {"X-Forwarded-For": "10.1.2.3"}, 200),
        (["10.1.2.3"], ["127.0.0.1"], {"X-Real-Ip": "10.1.2.3"}, 200),
        (["10.1.2.3"], ["127.0.0.1", "10.9.0.0/16"], {"X-Forwarded-For": "10.1.2.3, 10.9.9.9"}, 200),
        (["10.1.2.3"], ["127.0.0.1"], {"X-Forwarded-For": "10.1.2.3, 10.9.9.9"}, 403),
        (["10.1.2.3"], ["127.0.0.1"], {"X-Forwarded-For": "junk"}, 403),
        (["10.1.2.3"], ["127.0.0.1"], {"X-Forwarded-For": "10.9.9.9", "X-Real-Ip": "10.1.2.3"}, 403),
    ],
)
async def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    nats_settings: NatsSettings,
    sqlite_database: DatabaseSettings,
    archive_settings: ArchiveSettings,
    allowed: list[str],
    proxies: list[str],
    headers: dict[str, str],
    status: int,
) -> None:
    async with gateway(nats_settings, sqlite_database, archive_settings, allowed_ips=allowed, trusted_proxies=proxies) as client:
        assert (await client.get(LIST, headers=headers))[0] == status
        assert (await client.get("/healthz", auth=""))[0] == 200


@pytest.mark.parametrize("text", ["x", base64.b64encode(b"short").decode(), f"{public_key_text()},%"])
def test_a_malformed_key_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|base64"):
        GatewaySettings(jwt_public_key=text)


def test_the_key_variable_of_a_cc_backend_installation_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_PUBLIC_KEY", public_key_text())
    assert GatewaySettings().jwt_public_key == public_key_text()
    monkeypatch.setenv("JOBTIDE_GATEWAY_JWT_PUBLIC_KEY", public_key_text(OTHER_KEY))
    assert GatewaySettings().jwt_public_key == public_key_text(OTHER_KEY)


@pytest.mark.parametrize(
    ("roles", "readable", "writable"),
    [
        (("api",), {"global", "x"}, {"global", "admin", "x"}),
        (("admin", "api"), {"global", "admin", "x"}, {"global", "admin", "x"}),
        (("support",), {"global", "admin", "x"}, {"global", "x"}),
        (("user",), {"global", "x"}, {"x"}),
        (("api", "user"), {"global", "x"}, {"x"}),
    ],
)
def test_tag_scopes_by_role(roles: tuple[str, ...], readable: set[str], writable: set[str]) -> None:
    user = User("x", frozenset(roles))
    assert set(user.readable_scopes) == readable
    assert {scope for scope in ("global", "admin", "x", "other") if user.may_write_scope(scope)} == writable
