"""Settings for tokens: issuer, audience, expiry, users of the database; and sign-in with the token of a portal or in a cookie."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from services.gateway.people.auth.settings import AuthSettings
from services.gateway.people.auth.tokens import Tokens
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import RuleBroken, with_password, with_project, with_role, without_project, without_role
from services.gateway.people.users.tokens import IssuedToken, TokenStore
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.accounts import People, auth_settings, changed, cookie_of, people, store_of
from tests.gateway.stack import KEY, public_key_text, token
from tests.support.databases import SqliteTemplate

PORTAL_KEY = bytes(range(200, 248))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LIST = "/api/jobs/"
NOW = 1_770_000_000
Given = Callable[..., AbstractAsyncContextManager[People]]


@pytest.fixture
def given(sqlite_template: SqliteTemplate, tmp_path: Path) -> Given:
    """A function that opens a site with the given sign-in settings."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[People]:
        async with people(sqlite_template.fresh(tmp_path), tmp_path, auth=auth_settings(**settings)) as site:
            yield site

    return start


async def statuses(site: People, *tokens: str, path: str = LIST) -> list[int]:
    return [(await site.client.get(path, auth=each))[0] for each in tokens]


async def test_issuer_audience_and_expiry_are_checked_when_configured(given: Given) -> None:
    required = {"jwt_issuer": "https://site.example", "jwt_audience": "jobtide", "jwt_require_expiry": True}
    good: dict[str, Any] = {"iss": "https://site.example", "aud": "jobtide", "exp": NOW + 60}
    async with given(**required, jwt_max_age_hours=0) as site:
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
        assert await statuses(site, own) == [401]  # issued without expiry, which is required


async def test_token_times_are_compared_with_the_clock_of_the_gateway(given: Given) -> None:
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


async def test_an_issued_token_works_until_it_expires(given: Given) -> None:
    async with given(jwt_max_age_hours=1, jwt_issuer="me", jwt_audience="us", jwt_require_expiry=True) as site:
        issued_token = await issued(site, await site.sign_in("feeder"), "feeder")
        claims = jwt.decode(
            issued_token, KEY.public_key(), algorithms=["EdDSA"], audience="us", options={"verify_exp": False, "verify_iat": False}
        )
        assert claims.pop("jti") == id_of(issued_token)
        assert claims == {"sub": "feeder", "roles": ["api"], "iat": NOW, "exp": NOW + 3600, "iss": "me", "aud": "us"}
        assert await statuses(site, issued_token) == [200]
        site.clock.now += 3600
        assert await statuses(site, issued_token) == [401]


async def test_with_validation_the_roles_of_the_database_count(given: Given) -> None:
    async with given(jwt_validate_user=True) as site:
        assert await statuses(site, token(user="feeder"), token("api", user="ghost"), token("api", "admin", user="ulla")) == [200, 401, 403]
        await site.store.remove("feeder")
        assert await statuses(site, token("api", user="feeder")) == [401]


async def test_without_validation_the_projects_of_a_manager_come_from_the_table(given: Given) -> None:
    async with given() as site:
        await site.store.change("mapi", with_project("chem-b"))
        user = await _user(site, token("manager", "api", user="mapi", projects=["phys-a"]))
        assert user == {"chem-b"}  # not the projects in the token
        assert await _user(site, token("manager", "api", user="stranger", projects=["phys-a"])) == set()


async def _user(site: People, text: str) -> set[str]:
    """The projects of a token's user, as the gateway would read them."""
    # Tokens without an id of ours are not looked up, so the store of issued tokens needs no database.
    nowhere: Any = None
    return set((await Tokens(public_key_text(), "", AuthSettings(), site.store, nowhere, site.clock).user(text)).projects)


# Issued tokens


async def issued(site: People, cookie: str, name: str, **query: str) -> str:
    status, text = await site.ask("GET", f"/frontend/jwt/?{urlencode({'username': name} | query)}", cookie)
    assert status == 200, text
    return str(text)


async def listed(site: People, cookie: str, path: str = "/frontend/tokens/") -> list[dict[str, Any]]:
    status, tokens = await site.ask("GET", path, cookie)
    assert status == 200, tokens
    return list(tokens)


async def test_an_issued_token_expires_after_90_days_by_default(given: Given) -> None:
    for settings, expires in (({}, NOW + 90 * 86_400), ({"jwt_max_age_hours": 0}, None)):
        async with given(**settings) as site:
            cookie = await site.sign_in("uapi")
            claims = jwt.decode(await issued(site, cookie, "uapi"), options={"verify_signature": False})
            assert claims.get("exp") == expires
            assert [token["expires"] for token in await listed(site, cookie)] == [expires]


ADMIN = Account("adm", AuthSource.LOCAL, ("admin",))
CHANGES: dict[str, Callable[[People], Awaitable[object]]] = {
    "the user is removed": lambda site: site.store.remove("mapi"),
    "a role is taken away": lambda site: site.store.change("mapi", without_role("api")),
    "a project is taken away": lambda site: site.store.change("mapi", without_project("chem-a")),
    "the password is changed": lambda site: site.store.change("mapi", with_password("another hash")),
    "the directory no longer has the user": lambda site: site.store.sync_directory(AuthSource.LOCAL, [ADMIN], removes=True),
    "a sign-in brings fewer roles": lambda site: site.store.sync_at_login(
        Account("mapi", AuthSource.LOCAL, ("user",)), inserts=False, updates=True
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_personal_token_ends_and_a_token_for_a_program_does_not_when(given: Given, change: str) -> None:
    async with given() as site:
        for project in ("chem-a", "chem-b"):
            await site.store.change("mapi", with_project(project))
        admin = await site.sign_in("adm")
        personal, program = await issued(site, admin, "mapi"), await issued(site, admin, "mapi", program="true")
        assert await statuses(site, personal, program, path="/userapi/jobs/") == [200, 200]
        await CHANGES[change](site)
        assert await statuses(site, personal, program, path="/userapi/jobs/") == [401, 200]


async def test_adding_roles_or_projects_does_not_revoke_a_personal_token(given: Given) -> None:
    async with given() as site:
        token_of_user = await issued(site, await site.sign_in("adm"), "uapi")
        await site.store.change("uapi", with_role("manager"))
        await site.store.change("uapi", with_project("chem-a"))
        await site.store.change("uapi", lambda account, _: changed(account, real_name="U", email="u@x"))
        assert await statuses(site, token_of_user, path="/userapi/jobs/") == [200]


async def test_a_removed_user_who_is_added_again_does_not_get_the_old_tokens_back(given: Given) -> None:
    async with given() as site:
        admin = await site.sign_in("adm")
        old = await issued(site, admin, "feeder")
        account = await site.store.find("feeder")
        assert account is not None
        await site.store.remove("feeder")
        await site.store.add(account)
        assert await statuses(site, old, await issued(site, admin, "feeder")) == [401, 200]


async def test_only_admins_issue_tokens_for_programs_and_for_others(given: Given) -> None:
    async with given() as site:
        cookie = await site.sign_in("uapi")
        for query in ("username=uapi&program=true", "username=feeder"):
            assert (await site.ask("GET", f"/frontend/jwt/?{query}", cookie))[0] == 403
        for query in ("username=uapi&program=yes", "username=uapi&label=a%0Ab"):
            assert (await site.ask("GET", f"/frontend/jwt/?{query}", cookie))[0] == 400
        assert await listed(site, cookie) == []


async def test_users_list_and_revoke_their_own_tokens_only(given: Given) -> None:
    async with given() as site:
        mine, admin = await site.sign_in("uapi"), await site.sign_in("adm")
        kept, given_up = await issued(site, mine, "uapi", label="plots"), await issued(site, mine, "uapi")
        foreign = await issued(site, admin, "sapi")
        assert [(each["username"], each["roles"], each["issued"], each["issuedBy"]) for each in await listed(site, mine)] == [
            ("uapi", ["user", "api"], NOW, "uapi")
        ] * 2
        assert {each["label"] for each in await listed(site, mine)} == {"plots", ""}
        number, other = id_of(given_up), id_of(foreign)
        assert (await site.ask("DELETE", f"/frontend/tokens/{number}", mine))[0] == 200
        for unknown in (number, other, "jobtide-%00", "x"):
            assert (await site.ask("DELETE", f"/frontend/tokens/{unknown}", mine))[0] == 404
        assert await statuses(site, kept, given_up, foreign, path="/userapi/jobs/") == [200, 401, 200]
        assert [each["id"] for each in await listed(site, mine)] == [id_of(kept)]


async def test_admins_list_and_revoke_the_tokens_of_all(given: Given) -> None:
    async with given() as site:
        cookie = await site.sign_in("adm")
        tokens = {name: await issued(site, cookie, name) for name in ("sapi", "uapi", "opsapi")}
        assert [each["username"] for each in await listed(site, cookie, "/config/tokens/")] == sorted(tokens)
        assert [each["id"] for each in await listed(site, cookie, "/config/tokens/?username=uapi")] == [id_of(tokens["uapi"])]
        assert (await site.ask("DELETE", f"/config/tokens/{id_of(tokens['uapi'])}", cookie))[0] == 200
        _, found = await site.client.get("/api/tokens/", auth=tokens["opsapi"])
        assert [each["username"] for each in found] == ["opsapi", "sapi"]
        for name in ("sapi", "opsapi"):  # the last request revokes its own token
            status, _ = await site.client.call("DELETE", f"/api/tokens/{id_of(tokens[name])}", auth=tokens["opsapi"])
            assert status == 200
        assert await statuses(site, *tokens.values(), path="/userapi/jobs/") == [401] * 3
        assert await listed(site, cookie, "/config/tokens/") == []
        for method, path in (("GET", "/api/tokens/"), ("DELETE", "/api/tokens/x")):
            assert (await site.client.call(method, path, auth=token("api")))[0] == 403
        user = await site.sign_in("ulla")
        for method, path in (("GET", "/config/tokens/"), ("DELETE", "/config/tokens/x")):
            assert (await site.ask(method, path, user))[0] == 403


async def test_the_tokens_of_one_user_are_bounded_and_expired_ones_make_room(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.people.users.tokens.MAX_TOKENS", 2)
    async with given(jwt_max_age_hours=1) as site:
        cookie = await site.sign_in("uapi")
        for _ in range(2):
            await issued(site, cookie, "uapi")
        status, text = await site.ask("GET", "/frontend/jwt/?username=uapi", cookie)
        assert (status, "revoke" in str(text)) == (422, True)
        site.clock.now += 3600
        await issued(site, cookie, "uapi")
        assert len(await listed(site, cookie)) == 1


async def test_a_page_of_another_site_cannot_have_a_token_issued(given: Given) -> None:
    async with given() as site:
        cookie = await site.sign_in("uapi")
        for origin, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
            headers = {"Sec-Fetch-Site": origin}
            assert (await site.ask("GET", "/frontend/jwt/?username=uapi", cookie, headers=headers))[0] == status


async def test_ids_of_other_issuers_are_not_looked_up(given: Given) -> None:
    async with given() as site:
        unknown = "jobtide-" + "x" * 22
        assert await statuses(site, token("api", jti="run-7"), token("api", jti="jobtide-x"), token("api", jti=unknown)) == [200, 200, 401]


async def test_a_revoked_token_does_not_sign_in_by_cookie(given: Given) -> None:
    async with given(jwt_cookie_name="portal") as site:
        cookie = await site.sign_in("uapi")
        text = await issued(site, cookie, "uapi")

        async def status() -> int:
            return int((await site.client.raw("GET", "/jwt-login", auth="", headers={"Cookie": f"portal={text}"})).status)

        assert await status() == 302
        await site.ask("DELETE", f"/frontend/tokens/{id_of(text)}", cookie)
        assert await status() == 401


async def test_tokens_are_stored_on_both_databases(database: DatabaseSettings) -> None:
    account = Account("erika", AuthSource.LOCAL, ("user", "api"))
    async with store_of(database) as store, opened(database) as engine:
        tokens = TokenStore(engine, engine)
        await store.add(account)
        lasting = IssuedToken("a", "erika", ("user",), issued=1, issued_by="adm", label="feeds", for_program=True)
        short = IssuedToken("b", "erika", ("api",), issued=2, issued_by="erika", expires=9)
        for each in (lasting, short):
            await tokens.add(each, account)
        assert await tokens.all(now=8) == [lasting, short]
        assert (await tokens.all(now=9), await tokens.all(now=8, user="bo")) == ([lasting], [])
        assert [await tokens.is_valid(number) for number in ("a", "c")] == [True, False]
        with pytest.raises(RuleBroken, match="try again"):
            await tokens.add(replace(short, id="c"), replace(account, roles=("admin",)))
        assert [await tokens.revoke("a", "bo"), await tokens.revoke("a", "erika"), await tokens.revoke("a")] == [None, "erika", None]
        await store.remove("erika")
        assert await tokens.all(now=8) == []


def id_of(text: str) -> str:
    return str(jwt.decode(text, options={"verify_signature": False})["jti"])


# Sign-in by token


def portal_token(key: bytes | str = PORTAL_KEY, algorithm: str = "HS512", **claims: Any) -> str:
    return jwt.encode({"sub": "guest", "roles": ["user"]} | claims, key, algorithm=algorithm)


def shared(**settings: Any) -> dict[str, Any]:
    return {"cross_login_hs512_key": SecretStr(base64.b64encode(PORTAL_KEY).decode())} | settings


async def link(site: People, text: str, **headers: str) -> Any:
    return await site.client.raw("GET", f"/jwt-login?login-token={text}&redirect=/x", auth="", headers=headers)


async def test_a_link_with_a_portal_token_signs_in(given: Given) -> None:
    async with given(**shared()) as site:
        for algorithm in ("HS256", "HS512"):
            response = await link(site, portal_token(algorithm=algorithm, exp=NOW + 60))
            assert (response.status, response.headers["Location"]) == (302, "/x")
            assert (await site.ask("POST", "/frontend/configuration/?key=a&value=1", cookie_of(response)))[0] == 200
        by_header = await site.client.raw("POST", "/login", auth="", headers={"Authorization": f"Bearer {portal_token()}"})
        assert by_header.status == 302
        # Signed in without a row: the known roles of the token apply, and no others.
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


async def test_a_link_with_a_bad_token_is_401_and_counts_as_an_attempt(given: Given) -> None:
    async with given(**shared(login_attempts=len(BAD_LINKS))) as site:
        found = {name: await link(site, text) for name, text in BAD_LINKS.items()}
        assert {name: (response.status, cookie_of(response)) for name, response in found.items()} == dict.fromkeys(BAD_LINKS, (401, ""))
        assert (await link(site, portal_token())).status == 429


async def test_a_portal_token_without_expiry_is_refused_when_expiry_is_required(given: Given) -> None:
    async with given(**shared(jwt_require_expiry=True)) as site:
        assert [(await link(site, text)).status for text in (portal_token(), portal_token(exp=NOW + 60))] == [401, 302]


async def test_without_a_secret_no_link_signs_in(given: Given) -> None:
    async with given() as site:
        assert (await link(site, portal_token())).status == 401


async def test_sign_in_by_token_adds_and_updates_the_user_when_configured(given: Given) -> None:
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


async def test_a_portal_cannot_add_a_user_whose_name_can_be_mistaken_for_another(given: Given) -> None:
    async with given(**shared(jwt_sync_user_on_login=True)) as site:
        assert (await link(site, portal_token(sub="ADM"))).status == 403
        assert await site.store.find("ADM") is None


async def test_a_portal_user_named_like_a_local_admin_is_not_that_admin(given: Given) -> None:
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


async def test_a_token_in_a_cookie_signs_in_and_the_cookie_is_deleted(given: Given) -> None:
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
