"""OpenID Connect sign-in, from the first click to the session, with a provider that signs real tokens and can misbehave."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from yarl import URL

from services.gateway.errors import RequestError
from services.gateway.people.auth.oidc.claims import account_of
from services.gateway.people.auth.oidc.settings import OidcSettings
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.errors import UserError
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings, load
from tests.gateway.stack import gateway
from tests.support import oidc
from tests.support.oidc import CLIENT, SECRET, Misbehaviour, Provider, SigningKey, new_key, provider

NO_BROKER = NatsSettings(url="nats://127.0.0.1:9")  # sign-in does not use it
JSON = {"Accept": "application/json"}


@dataclass
class Clock:
    """Real time plus an offset set by the test."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Browser:
    """Follows redirects explicitly, and stores cookies by name."""

    session: aiohttp.ClientSession
    home: str
    cookies: dict[str, str] = field(default_factory=dict)
    last: SimpleCookie = field(default_factory=SimpleCookie)

    async def go(self, url: str, headers: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Returns status, redirect location and text."""
        given = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        target = URL(url, encoded=True) if url.startswith("http") else URL(f"{self.home}{url}", encoded=True)
        async with self.session.get(target, headers=given | (headers or {}), allow_redirects=False) as response:
            self.last = response.cookies
            for name, morsel in response.cookies.items():
                self.cookies[name] = morsel.value
                if not morsel.value or morsel["max-age"] == "0":
                    del self.cookies[name]
            return response.status, response.headers.get("Location", ""), await response.text()

    async def to_callback(self, path: str = "/oidc-login") -> str:
        """Go up to the address to which the provider redirects the browser."""
        status, at_provider, text = await self.go(path)
        assert status == 302, text
        status, callback, text = await self.go(at_provider)
        assert status == 302, text
        return callback

    async def sign_in(self, path: str = "/oidc-login") -> tuple[int, str, str]:
        return await self.go(await self.to_callback(path), JSON)

    async def may(self) -> str:
        """The permission of the session's user, by the answer to a page for admins."""
        status, _, _ = await self.go("/config/taggers/", JSON)
        return {200: "administer", 403: "use", 401: "nothing"}[status]


class Setup:
    """One gateway and one provider."""

    def __init__(self, stack: AsyncExitStack, of: Provider, browser: Browser, users: UserStore, clock: Clock) -> None:
        self._stack = stack
        self.provider = of
        self.browser = browser
        self.users = users
        self.clock = clock

    def another_browser(self) -> Browser:
        return Browser(self.browser.session, self.browser.home)


Opened = Callable[..., Any]


@pytest.fixture
async def open_setup(sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings, users: UserStore) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        async def open_it(algorithm: str = "ES256", **settings: Any) -> Setup:
            of = await stack.enter_async_context(provider(algorithm))
            clock = Clock()
            values = {"provider": of.issuer, "client_id": CLIENT, "client_secret": SECRET} | settings
            server = await stack.enter_async_context(
                gateway(NO_BROKER, sqlite_database, archive_settings, clock=clock, oidc=OidcSettings(**values))
            )
            session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
            return Setup(stack, of, Browser(session, f"http://{server.address}"), users, clock)

        yield open_it


async def test_sign_in_works_with_every_supported_kind_of_key(open_setup: Opened) -> None:
    for algorithm in ("RS256", "ES256", "EdDSA", "Ed25519"):
        setup = await open_setup(algorithm)
        status, _, text = await setup.browser.sign_in()
        assert (status, text.strip()) == (200, '{"user":{"username":"erika","name":"Erika Muster","roles":["user"]}}')
        assert await setup.browser.may() == "use"
        assert setup.browser.cookies.keys() == {"session"}
        assert await setup.users.all() == []


UNUSABLE_KEYS: list[Any] = [
    "no object",
    {},
    {"kty": ["RSA"]},
    {"kty": "oct", "k": "c2VjcmV0"},
    {"kty": "RSA", "n": 7, "e": "AQAB"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
    {"kty": "OKP", "crv": "Ed25519"},
]


async def test_keys_that_cannot_verify_are_skipped(open_setup: Opened) -> None:
    setup = await open_setup("RS256")
    setup.provider.other_keys = UNUSABLE_KEYS
    assert (await setup.browser.sign_in())[0] == 200


async def test_a_signature_by_a_key_that_is_too_weak_or_of_another_curve_or_use_is_refused(open_setup: Opened) -> None:
    for algorithm, private, fields in (
        ("RS256", rsa.generate_private_key(65537, 1024), {}),
        ("ES256", ec.generate_private_key(ec.SECP384R1()), {}),
        ("RS256", rsa.generate_private_key(65537, 2048), {"use": "enc"}),
        ("RS256", rsa.generate_private_key(65537, 2048), {"alg": "PS256"}),
    ):
        setup = await open_setup(algorithm)
        key = SigningKey(private)
        setup.provider.key, setup.provider.published = key, []
        setup.provider.other_keys = [key.published(**fields)]
        if isinstance(private, ec.EllipticCurvePrivateKey):
            setup.provider.wrong.sign = lambda claims, of: of.signed(claims, new_key("ES256"), kid=of.key.kid)
        assert (await setup.browser.sign_in())[0] == 502


async def test_the_authorization_request_is_complete_and_unique(open_setup: Opened) -> None:
    setup = await open_setup()
    await setup.browser.to_callback()
    first = setup.provider.authorization
    assert first["scope"] == "openid profile roles"
    assert first["redirect_uri"] == f"{setup.browser.home}/oidc-callback"
    assert min(len(first[name]) for name in ("state", "nonce", "code_challenge")) >= 32
    await setup.browser.to_callback()
    assert not {first[name] for name in ("state", "nonce", "code_challenge")} & set(setup.provider.authorization.values())


async def test_the_sign_in_cookie_is_http_only_and_limited_to_the_callback(open_setup: Opened) -> None:
    setup = await open_setup()
    await setup.browser.go("/oidc-login")
    morsel = setup.browser.last["oidc"]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["max-age"]) == (True, "Lax", "/oidc-callback", "600")


async def test_after_sign_in_the_browser_is_redirected_within_this_server_only(open_setup: Opened) -> None:
    setup = await open_setup()
    for wanted, target in [
        ("/monitoring/jobs?x=1", "/monitoring/jobs?x=1"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil", "/"),
    ]:
        callback = await setup.browser.to_callback(str(URL("/oidc-login").with_query(redirect=wanted)))
        status, location, _ = await setup.browser.go(callback)
        assert (status, location) == (302, target)


async def test_the_redirect_uri_uses_the_base_url_of_the_setting(open_setup: Opened) -> None:
    setup = await open_setup(redirect_base_url="https://jobs.site.example/monitor/")
    _, at_provider, _ = await setup.browser.go("/oidc-login")
    assert URL(at_provider).query["redirect_uri"] == "https://jobs.site.example/monitor/oidc-callback"
    assert setup.browser.last["oidc"]["path"] == "/monitor/oidc-callback"


async def test_a_malformed_host_header_is_refused(open_setup: Opened) -> None:
    setup = await open_setup()
    status, _, text = await setup.browser.go("/oidc-login", {"Host": "evil@x/y"})
    assert status == 400
    assert setup.provider.asked == {}, text


ROLES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"realm_access": {"roles": ["admin", "offline_access"]}}, {}, ["admin"]),
    ({"resource_access": {CLIENT: {"roles": ["support"]}}}, {}, ["support"]),
    ({"resource_access": {"other": {"roles": ["admin"]}}}, {}, ["user"]),
    ({"resource_access": {"other": {"roles": ["admin"]}, CLIENT: {"roles": ["manager"]}}}, {}, ["manager"]),
    ({"resource_access": {"other": {"roles": ["admin"]}}}, {"roles_clients": ["other"]}, ["admin"]),
    ({"resource_access": {"third": {"roles": ["admin"]}}}, {"roles_clients": ["*"]}, ["admin"]),
    ({"realm_access": {"roles": ["api", "Admin", "ADMIN", 7, None]}}, {}, ["user"]),
    ({"realm_access": {"roles": "admin"}, "resource_access": ["admin"]}, {}, ["user"]),
    ({"realm_access": ["admin"], "resource_access": {CLIENT: "admin"}}, {}, ["user"]),
]


@pytest.mark.parametrize(("claims", "settings", "roles"), ROLES)
def test_roles_are_those_of_the_realm_and_of_the_clients_that_count(
    claims: dict[str, Any], settings: dict[str, Any], roles: list[str]
) -> None:
    account = account_of({"preferred_username": "erika"} | claims, {}, CLIENT, settings.get("roles_clients", []))
    assert list(account.roles) == roles


def test_projects_are_used_for_managers_only() -> None:
    said = {"preferred_username": "erika", "projects": ["p1", "p2", "p1", "", 7, " p"]}
    assert account_of(said, {}, CLIENT, []).projects == ()
    assert account_of(said | {"realm_access": {"roles": ["manager"]}}, {}, CLIENT, []).projects == ("p1", "p2")


@pytest.mark.parametrize("name", [None, "", " erika", "x" * 101, "a\0b", "a\nb", 7, ["erika"]])
def test_a_malformed_user_name_is_refused(name: object) -> None:
    with pytest.raises(RequestError, match="no user name") as raised:
        account_of({"preferred_username": name}, {}, CLIENT, [])
    assert raised.value.status == 400


WRONG_TOKENS: dict[str, tuple[Misbehaviour, int]] = {
    "nonce of another sign-in": (Misbehaviour(claims={"nonce": "another"}), 400),
    "no nonce": (Misbehaviour(claims={"nonce": None}), 400),
    "another audience": (Misbehaviour(claims={"aud": "another"}), 502),
    "no audience": (Misbehaviour(claims={"aud": None}), 502),
    "several audiences, not said for whom": (Misbehaviour(claims={"aud": [CLIENT, "another"]}), 502),
    "made for another client": (Misbehaviour(claims={"aud": [CLIENT, "another"], "azp": "another"}), 502),
    "another issuer": (Misbehaviour(claims={"iss": "https://evil.example"}), 502),
    "expired": (Misbehaviour(claims={"exp": int(time.time()) - 60}), 502),
    "no expiry": (Misbehaviour(claims={"exp": None}), 502),
    "expiry as text": (Misbehaviour(claims={"exp": "9999999999"}), 502),
    "issued in the future": (Misbehaviour(claims={"iat": int(time.time()) + 3600}), 502),
    "no time of issue": (Misbehaviour(claims={"iat": None}), 502),
    "not valid yet": (Misbehaviour(claims={"nbf": int(time.time()) + 3600}), 502),
    "no subject": (Misbehaviour(sign=lambda claims, of: of.signed({k: v for k, v in claims.items() if k != "sub"}, of.key)), 502),
    "alg none": (Misbehaviour(sign=oidc.unsigned), 502),
    "public key as a shared secret": (Misbehaviour(sign=oidc.signed_with_the_public_key), 502),
    "client secret as a key": (Misbehaviour(sign=oidc.signed_with_the_secret), 502),
    "a stranger's key under the provider's id": (Misbehaviour(sign=oidc.signed_by_a_stranger), 502),
    "a stranger's key that it brings itself": (Misbehaviour(sign=oidc.signed_by_an_enclosed_key), 502),
    "changed after signing": (Misbehaviour(sign=oidc.changed_after_signing), 502),
    "no token at all": (Misbehaviour(sign=lambda *_: "x"), 502),
    "very long": (Misbehaviour(claims={"x": "y" * 70_000}), 502),
    "user information of somebody else": (Misbehaviour(userinfo={"sub": "0002"}), 502),
    "no name": (Misbehaviour(userinfo={"preferred_username": ""}), 400),
}


async def test_every_wrong_token_is_refused_and_no_session_begins(open_setup: Opened) -> None:
    setup = await open_setup(sync_user_on_login=True)
    found = {}
    for what, (wrong, _) in WRONG_TOKENS.items():
        setup.provider.wrong = wrong
        browser = setup.another_browser()
        status, _, text = await browser.sign_in()
        found[what] = status
        assert "session" not in browser.cookies, what
        assert len(text) < 200, what
    assert found == {what: status for what, (_, status) in WRONG_TOKENS.items()}
    assert await setup.users.all() == []
    setup.provider.wrong = Misbehaviour(claims={"aud": [CLIENT, "another"], "azp": CLIENT})
    assert (await setup.browser.sign_in())[0] == 200


async def test_a_callback_without_a_matching_sign_in_is_refused(open_setup: Opened) -> None:
    setup = await open_setup()
    callback = await setup.browser.to_callback()
    stranger = setup.another_browser()
    assert (await stranger.go(callback, JSON))[0] == 400, "no cookie"
    other = setup.another_browser()
    await other.to_callback()
    assert (await other.go(callback, JSON))[0] == 400, "the state of another browser"
    begun = dict(setup.browser.cookies)
    for cookie in ("", "x", begun["oidc"][:-2] + "AA", begun["oidc"].split(".")[0] + "..", "é"):
        stranger.cookies = {"oidc": cookie}
        assert (await stranger.go(callback, JSON))[0] == 400, cookie
    for path in ("/oidc-callback", "/oidc-callback?code=x", callback.replace("state=", "state=x")):
        setup.browser.cookies = dict(begun)
        assert (await setup.browser.go(path, JSON))[0] == 400, path
    assert "/token" not in setup.provider.asked
    setup.browser.cookies = dict(begun)
    assert (await setup.browser.go(callback, JSON))[0] == 200


async def test_session_and_sign_in_cookies_are_not_interchangeable(open_setup: Opened) -> None:
    setup = await open_setup()
    callback = await setup.browser.to_callback()
    begun = setup.browser.cookies["oidc"]
    stranger = setup.another_browser()
    stranger.cookies = {"session": begun}
    assert await stranger.may() == "nothing"
    await setup.browser.go(callback, JSON)
    stranger.cookies = {"oidc": setup.browser.cookies["session"]}
    assert (await stranger.go(callback, JSON))[0] == 400


async def test_a_code_works_once(open_setup: Opened) -> None:
    setup = await open_setup()
    callback = await setup.browser.to_callback()
    begun = dict(setup.browser.cookies)
    assert (await setup.browser.go(callback, JSON))[0] == 200
    assert "oidc" not in setup.browser.cookies
    thief = setup.another_browser()
    thief.cookies = begun
    status, _, text = await thief.go(callback, JSON)
    assert (status, "session" in thief.cookies) == (400, False)
    assert "used up" in text


async def test_a_sign_in_that_took_too_long_is_refused(open_setup: Opened) -> None:
    setup = await open_setup()
    callback = await setup.browser.to_callback()
    setup.clock.ahead_s = 601
    assert (await setup.browser.go(callback, JSON))[0] == 400


async def test_a_refusal_by_the_provider_is_reported_without_its_text(open_setup: Opened) -> None:
    setup = await open_setup()
    for error, said in [("access_denied", "access_denied"), ("<script>alert(1)</script>", "no known reason")]:
        state = URL(await setup.browser.to_callback()).query["state"]
        status, _, text = await setup.browser.go(str(URL("/oidc-callback").with_query(error=error, state=state)))
        assert status == 400
        assert said in text
        assert "<script>" not in text


async def test_a_callback_from_another_issuer_is_refused(open_setup: Opened) -> None:
    setup = await open_setup()
    callback = await setup.browser.to_callback()
    assert (await setup.browser.go(f"{callback}&iss=https%3A%2F%2Fevil.example", JSON))[0] == 400
    setup.provider.metadata = {"authorization_response_iss_parameter_supported": True}
    setup.clock.ahead_s = 4000  # the cached configuration has expired
    callback = await setup.browser.to_callback()
    assert (await setup.browser.go(callback, JSON))[0] == 400, "the issuer is missing"
    callback = await setup.browser.to_callback()
    issuer = str(URL("/").with_query(iss=setup.provider.issuer)).removeprefix("/?")
    setup.provider.wrong.claims = {"exp": int(time.time()) + 9999, "iat": int(time.time()) + 4000}
    assert (await setup.browser.go(f"{callback}&{issuer}", JSON))[0] == 200


async def test_new_keys_are_fetched_but_made_up_key_ids_do_not_fetch_each_time(open_setup: Opened) -> None:
    setup = await open_setup()
    assert (await setup.browser.sign_in())[0] == 200
    setup.provider.rotate()
    setup.clock.ahead_s = 15
    assert (await setup.browser.sign_in())[0] == 200
    assert setup.provider.asked["/keys"] == 2
    setup.provider.wrong.sign = lambda claims, of: of.signed(claims, of.key, kid="made up")
    for _ in range(3):
        assert (await setup.browser.sign_in())[0] == 502
    assert setup.provider.asked["/keys"] == 2
    setup.clock.ahead_s = 30
    assert (await setup.browser.sign_in())[0] == 502
    assert setup.provider.asked["/keys"] == 3


async def test_an_unavailable_provider_stops_neither_the_start_nor_later_sign_ins(open_setup: Opened) -> None:
    setup = await open_setup()
    setup.provider.wrong.answer["/.well-known/openid-configuration"] = lambda: web.Response(status=503)
    status, _, text = await setup.browser.go("/oidc-login", JSON)
    assert (status, "inside" in text) == (503, False)
    assert (await setup.browser.go("/healthz"))[0] == 200
    asked = setup.provider.asked["/.well-known/openid-configuration"]
    assert asked == 3, "asked again, but not for ever"
    assert (await setup.browser.go("/oidc-login", JSON))[0] == 503
    assert setup.provider.asked["/.well-known/openid-configuration"] == asked, "not at once again"
    setup.provider.wrong.answer.clear()
    setup.clock.ahead_s = 2
    assert (await setup.browser.sign_in())[0] == 200


async def test_sign_in_is_503_when_nothing_listens_at_the_provider(open_setup: Opened) -> None:
    setup = await open_setup(provider="http://127.0.0.1:9")
    assert (await setup.browser.go("/oidc-login", JSON))[0] == 503


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys", "/userinfo"])
async def test_sign_in_fails_at_the_deadline_when_the_provider_hangs(open_setup: Opened, path: str) -> None:
    """The provider never answers, so without the deadline the request would not end."""
    setup = await open_setup(timeout_s=0.4)
    setup.provider.wrong.hang = path
    if path.startswith("/."):
        status, _, _ = await setup.browser.go("/oidc-login", JSON)
    else:
        status, _, _ = await setup.browser.sign_in()
    assert status == 503


async def test_sign_ins_above_the_number_at_once_wait_instead_of_failing(open_setup: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.people.auth.oidc.signin.MAX_AT_ONCE", 1)
    setup = await open_setup()
    begun = await asyncio.gather(*(setup.another_browser().go("/oidc-login", JSON) for _ in range(5)))
    assert [status for status, _, _ in begun] == [302] * 5


ODD_ANSWERS: list[tuple[str, Callable[[], web.Response], int]] = [
    ("/token", lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/steal"}), 502),
    ("/token", lambda: web.Response(status=500, text="inner text"), 503),
    ("/token", lambda: web.json_response({"error": "invalid_client"}, status=401), 502),
    ("/token", lambda: web.Response(body=b"x" * (2 * 1024 * 1024)), 502),
    ("/token", lambda: web.Response(text="<html>inner text"), 502),
    ("/token", lambda: web.json_response(["inner text"]), 502),
    ("/token", lambda: web.json_response({"access_token": "x"}), 502),
    ("/userinfo", lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/steal"}), 502),
    ("/userinfo", lambda: web.json_response({"error": "invalid_token"}, status=401), 502),
    ("/userinfo", lambda: web.json_response({}), 502),
    ("/keys", lambda: web.json_response({"keys": "none"}), 502),
    (
        "/keys",
        lambda: web.json_response({"keys": [{"kty": "RSA"}, {"kty": "oct", "k": "AA"}, 7, {"kty": "RSA", "n": "AQ", "e": "AQ"}]}),
        502,
    ),
]


async def test_malformed_answers_of_the_provider_are_refused_without_their_text(open_setup: Opened) -> None:
    setup = await open_setup()
    for number, (path, answer, expected) in enumerate(ODD_ANSWERS):
        setup.clock.ahead_s = 4000.0 * number  # the cached keys have expired
        setup.provider.wrong = Misbehaviour(answer={path: answer})
        now = int(setup.clock())
        setup.provider.wrong.claims = {"iat": now, "exp": now + 60}
        status, _, text = await setup.browser.sign_in()
        assert status == expected, (number, path, text)
        assert "inner text" not in text


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": None},
    ],
)
async def test_a_configuration_that_cannot_be_trusted_is_refused(open_setup: Opened, metadata: dict[str, Any]) -> None:
    setup = await open_setup()
    setup.provider.metadata = metadata
    assert (await setup.browser.go("/oidc-login", JSON))[0] == 502


async def test_the_client_secret_is_sent_as_the_provider_supports_it(open_setup: Opened) -> None:
    setup = await open_setup()
    setup.provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await setup.browser.sign_in())[0] == 200


async def test_sign_in_adds_and_updates_users_when_configured(open_setup: Opened) -> None:
    setup = await open_setup(sync_user_on_login=True, update_user_on_login=True)
    await setup.browser.sign_in()
    assert await setup.users.find("erika") == Account("erika", AuthSource.OIDC, ("user",), (), "Erika Muster")
    assert await setup.browser.may() == "use"
    setup.provider.person |= {"name": "Erika Neu", "realm_access": {"roles": ["admin"]}}
    await setup.browser.sign_in()
    assert await setup.users.find("erika") == Account("erika", AuthSource.OIDC, ("admin",), (), "Erika Neu")
    assert await setup.browser.may() == "administer"


async def test_an_account_of_another_source_is_not_taken_over(open_setup: Opened) -> None:
    local = Account("erika", AuthSource.LOCAL, ("admin",), (), "The Admin")
    setup = await open_setup(sync_user_on_login=True, update_user_on_login=True, other_sources=["ldap"])
    await setup.users.add(local)
    await setup.users.add(Account("root", AuthSource.LOCAL, ("admin",)))
    status, _, _ = await setup.browser.sign_in()
    assert (status, "session" in setup.browser.cookies) == (403, False)
    assert await setup.users.find("erika") == local
    await setup.users.remove("erika")
    directory = Account("erika", AuthSource.LDAP, ("support",), (), "From the directory")
    await setup.users.add(directory)
    assert '"roles":["support"]' in (await setup.browser.sign_in())[2]
    assert await setup.users.find("erika") == directory


@pytest.mark.parametrize("settings", [{}, {"sync_user_on_login": True}, {"other_sources": ["local"]}])
async def test_a_name_that_can_be_mistaken_for_another_account_does_not_sign_in(open_setup: Opened, settings: dict[str, Any]) -> None:
    setup = await open_setup(**settings)
    await setup.users.add(Account("ERIKA", AuthSource.LOCAL, ("admin",)))
    status, _, text = await setup.browser.sign_in()
    assert (status, "too similar" in text, "session" in setup.browser.cookies) == (403, True, False)
    assert [account.name for account in await setup.users.all()] == ["ERIKA"]


async def test_a_refused_browser_sees_the_sign_in_page(open_setup: Opened) -> None:
    setup = await open_setup()
    status, _, text = await setup.browser.go("/oidc-callback")
    assert (status, "/oidc-login" in text, "start again" in text) == (400, True, True)
    assert "/oidc-login" in (await setup.browser.go("/login"))[2]


async def test_without_a_provider_the_paths_do_not_exist(sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> None:
    async with gateway(NO_BROKER, sqlite_database, archive_settings) as client:
        assert [(await client.get(path, auth=""))[0] for path in ("/oidc-login", "/oidc-callback")] == [404, 404]
        assert "/oidc-login" not in str((await client.get("/login", auth=""))[1])


GOOD = {"provider": "https://id.example/realms/x", "client_id": "jobtide"}

WRONG_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"provider": "http://id.example", "client_id": "x"}, "JOBTIDE_OIDC_PROVIDER: not https"),
    ({"provider": "https://u:p@id.example", "client_id": "x"}, "JOBTIDE_OIDC_PROVIDER: not https"),
    ({"provider": "https://id.example?x=1", "client_id": "x"}, "JOBTIDE_OIDC_PROVIDER: not https"),
    ({"provider": "https://id.example"}, "client_id is needed"),
    (GOOD | {"scopes": "profile"}, "openid is missing"),
    (GOOD | {"redirect_base_url": "http://jobs.example"}, "JOBTIDE_OIDC_REDIRECT_BASE_URL: not https"),
    (GOOD | {"other_sources": ["oidc"]}, "JOBTIDE_OIDC_OTHER_SOURCES"),
    (GOOD | {"ca_file": "/nowhere.pem"}, "/nowhere.pem is not a file"),
    ({"sync_user_on_login": True}, "provider is needed where sync_user_on_login is set"),
]


@pytest.mark.parametrize(("values", "text"), WRONG_SETTINGS)
def test_inconsistent_settings_stop_the_start_with_one_line(values: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text) as raised:
        load(OidcSettings, **values)
    assert "\n" not in str(raised.value)


def test_the_variables_of_a_cc_backend_installation_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OID_CLIENT_ID", "jobtide")
    monkeypatch.setenv("OID_CLIENT_SECRET", "secret")
    settings = OidcSettings(provider="https://id.example")
    assert (settings.client_id, settings.client_secret.get_secret_value()) == ("jobtide", "secret")
    assert not OidcSettings().is_on
