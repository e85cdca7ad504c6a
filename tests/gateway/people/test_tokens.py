"""Tokens by settings: issuer, audience, expiry, users of the database; and sign-in by the token of a portal or in a cookie."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from services.gateway.people.auth.settings import AuthSettings
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.rules import with_project
from tests.gateway.accounts import People, auth_settings, cookie_of, people
from tests.gateway.stack import KEY, public_key_text, token
from tests.support.databases import SqliteTemplate

PORTAL_KEY = bytes(range(200, 248))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LIST = "/api/jobs/"
NOW = 1_770_000_000
Given = Callable[..., AbstractAsyncContextManager[People]]


@pytest.fixture
def given(sqlite_template: SqliteTemplate, tmp_path: Path) -> Given:
    """A site with these settings of signing in."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[People]:
        async with people(sqlite_template.fresh(tmp_path), tmp_path, auth=auth_settings(**settings)) as site:
            yield site

    return start


async def statuses(site: People, *tokens: str, path: str = LIST) -> list[int]:
    return [(await site.client.get(path, auth=each))[0] for each in tokens]


async def test_issuer_audience_and_expiry_are_checked_when_configured(given: Given) -> None:
    good: dict[str, Any] = {"iss": "https://site.example", "aud": "jobtide", "exp": NOW + 60}
    async with given(jwt_issuer="https://site.example", jwt_audience="jobtide", jwt_require_expiry=True) as site:
        assert await statuses(site, token("api", **good), token("api", **good | {"aud": ["other", "jobtide"]})) == [200, 200]
        bad: list[dict[str, Any]] = [
            {"iss": "other"},
            {"aud": "other"},
            {"aud": ["other"]},
            {"aud": ["jobtide2"]},
            {"exp": NOW},
        ]
        assert await statuses(site, *(token("api", **{**good, **wrong}) for wrong in bad)) == [401] * len(bad)
        for missing in ("iss", "aud", "exp"):
            assert await statuses(site, token("api", **{key: value for key, value in good.items() if key != missing})) == [401]
        cookie = await site.sign_in("feeder")
        _, own = await site.ask("GET", "/frontend/jwt/?username=feeder", cookie)
        assert await statuses(site, own) == [401]  # without max-age it does not expire, and that is required


async def test_times_in_tokens_are_those_of_the_site(given: Given) -> None:
    async with given() as site:
        short, later = token("api", exp=NOW + 10), token("api", nbf=NOW + 40)
        assert await statuses(site, short, later) == [200, 401]
        site.clock.now += 10
        assert await statuses(site, short, later) == [401, 200]


async def test_a_token_from_a_clock_that_runs_30_seconds_ahead_is_valid(given: Given) -> None:
    async with given() as site:
        ahead = [token("api", nbf=NOW + seconds, iat=NOW + seconds) for seconds in (2, 30, 31)]
        assert await statuses(site, *ahead) == [200, 200, 401]


async def test_a_token_whose_subject_is_not_unicode_is_401(given: Given) -> None:
    for settings in ({}, {"jwt_validate_user": True}):
        async with given(**settings) as site:
            assert await statuses(site, token("api", user="a\ud800"), token("manager", "api", user="\udfff")) == [401, 401]


async def test_an_issued_token_works_until_its_age(given: Given) -> None:
    async with given(jwt_max_age_hours=1, jwt_issuer="me", jwt_audience="us", jwt_require_expiry=True) as site:
        _, issued = await site.ask("GET", "/frontend/jwt/?username=feeder", await site.sign_in("feeder"))
        claims = jwt.decode(
            issued, KEY.public_key(), algorithms=["EdDSA"], audience="us", options={"verify_exp": False, "verify_iat": False}
        )
        assert claims == {"sub": "feeder", "roles": ["api"], "iat": NOW, "exp": NOW + 3600, "iss": "me", "aud": "us"}
        assert await statuses(site, issued) == [200]
        site.clock.now += 3600
        assert await statuses(site, issued) == [401]


async def test_with_validation_the_database_says_who_it_is(given: Given) -> None:
    async with given(jwt_validate_user=True) as site:
        assert await statuses(site, token(user="feeder"), token("api", user="ghost"), token("api", "admin", user="ulla")) == [200, 401, 403]
        await site.store.remove("feeder")
        assert await statuses(site, token("api", user="feeder")) == [401]


async def test_without_validation_a_managers_projects_are_those_of_the_table(given: Given) -> None:
    async with given() as site:
        await site.store.change("mapi", with_project("chem-b"))
        user = await _user(site, token("manager", "api", user="mapi", projects=["phys-a"]))
        assert user == {"chem-b"}  # and not what the token says
        assert await _user(site, token("manager", "api", user="stranger", projects=["phys-a"])) == set()


async def _user(site: People, text: str) -> set[str]:
    """The projects of a token's user, as the gateway would read them."""
    from services.gateway.people.auth.tokens import Tokens

    return set((await Tokens(public_key_text(), "", AuthSettings(), site.store, site.clock).user(text)).projects)


# Sign-in by token


def portal_token(key: bytes | str = PORTAL_KEY, algorithm: str = "HS512", **claims: Any) -> str:
    return jwt.encode({"sub": "guest", "roles": ["user"]} | claims, key, algorithm=algorithm)


def shared(**settings: Any) -> dict[str, Any]:
    return {"cross_login_hs512_key": SecretStr(base64.b64encode(PORTAL_KEY).decode())} | settings


async def link(site: People, text: str, **headers: str) -> Any:
    return await site.client.raw("GET", f"/jwt-login?login-token={text}&redirect=/x", auth="", headers=headers)


async def test_a_link_with_the_token_of_a_portal_signs_in(given: Given) -> None:
    async with given(**shared()) as site:
        for algorithm in ("HS256", "HS512"):
            response = await link(site, portal_token(algorithm=algorithm, exp=NOW + 60))
            assert (response.status, response.headers["Location"]) == (302, "/x")
            assert (await site.ask("POST", "/frontend/configuration/?key=a&value=1", cookie_of(response)))[0] == 200
        by_header = await site.client.raw("POST", "/login", auth="", headers={"Authorization": f"Bearer {portal_token()}"})
        assert by_header.status == 302
        # Signed in without a row: the roles of the token count, unknown ones do not, and no more than those.
        admin = cookie_of(await link(site, portal_token(sub="boss", roles=["admin", "root", 7], name={"values": ["Big", "Boss"]})))
        assert (await site.ask("GET", "/config/roles/", admin))[0] == 200
        assert (await site.ask("GET", "/config/roles/", cookie_of(await link(site, portal_token()))))[0] == 403
        assert await site.store.find("boss") is None


BAD_LINKS = {
    "another key": portal_token(b"x" * 64),
    "EdDSA of our own key": token("admin"),
    "no algorithm": jwt.encode({"sub": "adm"}, "", algorithm="none"),
    "HS384": portal_token(algorithm="HS384"),
    "our public key as the secret": portal_token(KEY.public_key().public_bytes_raw(), "HS256"),
    "expired": portal_token(exp=NOW),
    "not yet valid": portal_token(nbf=NOW + 31),
    "a subject that is no name": portal_token(sub="a\0b"),
    "no subject": jwt.encode({"roles": ["admin"]}, PORTAL_KEY, algorithm="HS512"),
    "junk": "a.b.c",
}


async def test_a_bad_link_is_401_and_counts_as_an_attempt(given: Given) -> None:
    async with given(**shared(login_attempts=len(BAD_LINKS))) as site:
        found = {name: await link(site, text) for name, text in BAD_LINKS.items()}
        assert {name: (response.status, cookie_of(response)) for name, response in found.items()} == dict.fromkeys(BAD_LINKS, (401, ""))
        assert (await link(site, portal_token())).status == 429


async def test_a_link_without_expiry_is_refused_where_tokens_need_one(given: Given) -> None:
    async with given(**shared(jwt_require_expiry=True)) as site:
        assert [(await link(site, text)).status for text in (portal_token(), portal_token(exp=NOW + 60))] == [401, 302]


async def test_without_a_secret_no_link_signs_in(given: Given) -> None:
    async with given() as site:
        assert (await link(site, portal_token())).status == 401


async def test_sync_and_update_at_login(given: Given) -> None:
    async with given(**shared(jwt_sync_user_on_login=True, jwt_update_user_on_login=True)) as site:
        await link(site, portal_token(name="Guest One", roles=["user", "manager"], projects=["p1"]))
        added = await site.store.find("guest")
        assert added is not None
        assert (added.source, added.real_name, added.roles, added.projects) == (AuthSource.TOKEN, "Guest One", ("user", "manager"), ("p1",))
        cookie = cookie_of(await link(site, portal_token(name="", roles=["user"], projects=["p2"])))
        changed = await site.store.find("guest")
        assert changed is not None
        assert (changed.real_name, changed.roles, changed.projects) == ("", ("user",), ())
        await site.store.remove("guest")
        assert (await site.ask("GET", "/frontend/jwt/?username=guest", cookie))[0] == 401  # it had a row


async def test_the_token_of_a_portal_is_not_the_local_admin_of_the_same_name(given: Given) -> None:
    async with given(**shared(jwt_update_user_on_login=True)) as site:
        cookie = cookie_of(await link(site, portal_token(sub="adm", roles=["user"])))
        assert (await site.ask("GET", "/config/roles/", cookie))[0] == 403
        assert (await site.ask("GET", "/frontend/jwt/?username=adm", cookie))[0] == 404  # nor gets the admin's token
        adm = await site.store.find("adm")
        assert adm is not None
        assert adm.roles == ("admin",)


async def test_a_link_with_validation_needs_a_known_user(given: Given) -> None:
    async with given(**shared(jwt_validate_user=True)) as site:
        assert (await link(site, portal_token(sub="ghost"))).status == 401
        cookie = cookie_of(await link(site, portal_token(sub="ulla", roles=["admin"])))
        assert (await site.ask("GET", "/config/roles/", cookie))[0] == 403
        assert (await site.ask("GET", "/frontend/jwt/?username=ulla", cookie))[0] == 200


async def test_a_token_in_a_cookie_signs_in_and_goes(given: Given) -> None:
    settings = {
        "jwt_cookie_name": "portal",
        "trusted_issuer": "https://portal.example",
        "cross_login_public_key": public_key_text(OTHER_KEY),
    }
    foreign = jwt.encode({"sub": "guest", "roles": ["user"], "iss": "https://portal.example"}, OTHER_KEY, algorithm="EdDSA")
    async with given(**settings) as site:
        for good in (foreign, token("user", user="guest")):
            response = await site.client.raw("GET", "/jwt-login", auth="", headers={"Cookie": f"portal={good}"})
            assert response.status == 302
            assert response.cookies["portal"]["max-age"] == "0"
            assert (await site.ask("GET", "/frontend/jwt/?username=guest", cookie_of(response)))[0] == 404  # signed in, without a row
        bad = [
            jwt.encode({"sub": "guest", "iss": "https://portal.example"}, KEY, algorithm="EdDSA"),  # our key, their name
            jwt.encode({"sub": "guest"}, OTHER_KEY, algorithm="EdDSA"),  # their key, no name
            jwt.encode({"sub": "guest", "iss": "https://other.example"}, OTHER_KEY, algorithm="EdDSA"),
            jwt.encode({"sub": "guest", "iss": "https://other.example"}, KEY, algorithm="EdDSA"),
            jwt.encode({"sub": "guest", "iss": ""}, KEY, algorithm="EdDSA"),
            jwt.encode({"sub": "guest"}, public_key_text(OTHER_KEY), algorithm="HS256"),
            ".".join(
                base64.urlsafe_b64encode(part).decode().rstrip("=")
                for part in (b'{"alg":"none"}', json.dumps({"sub": "adm"}).encode(), b"")
            ),
            "junk",
        ]
        for text in bad[:4]:
            assert (await site.client.raw("GET", "/jwt-login", auth="", headers={"Cookie": f"portal={text}"})).status == 401
        site.clock.now += 3600
        for text in bad[4:]:
            assert (await site.client.raw("GET", "/jwt-login", auth="", headers={"Cookie": f"portal={text}"})).status == 401


def test_an_issuer_without_its_key_stops_the_start() -> None:
    with pytest.raises(ValueError, match="belong together"):
        AuthSettings(trusted_issuer="https://portal.example")
    with pytest.raises(ValueError, match="cross_login_hs512_key"):
        AuthSettings(cross_login_hs512_key=SecretStr(base64.b64encode(b"short").decode()))


def test_the_variables_of_a_cc_backend_installation_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    key = base64.b64encode(PORTAL_KEY).decode()
    for variable in ("SESSION_KEY", "CROSS_LOGIN_JWT_HS512_KEY"):
        monkeypatch.setenv(variable, key)
    monkeypatch.setenv("CROSS_LOGIN_JWT_PUBLIC_KEY", public_key_text())
    monkeypatch.setenv("JOBTIDE_AUTH_TRUSTED_ISSUER", "https://portal.example")
    settings = AuthSettings()
    assert (settings.secret("session_key"), settings.secret("cross_login_hs512_key")) == (PORTAL_KEY, PORTAL_KEY)
    assert settings.cross_login_public_key == public_key_text()
