"""Signing in and out, and the permissions of a session."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any

import jwt
import pytest
import pytest_asyncio

from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import with_role
from tests.gateway.accounts import HASH, PASSWORD, SESSION_KEY, People, auth_settings, changed, cookie_of, people
from tests.gateway.stack import token
from tests.support.databases import SqliteTemplate

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINE = "/frontend/jwt/?username=ulla"
JSON = {"Accept": "application/json"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site_of_people(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("signin")
    async with people(sqlite_template.fresh(folder), folder, auth=auth_settings(login_attempts=3, login_pause_s=60)) as given:
        yield given


@pytest.fixture
def site(site_of_people: People) -> People:
    site_of_people.clock.now += 3600  # all attempts are available again
    return site_of_people


async def test_sign_in_with_the_right_password_sets_a_cookie_and_redirects(site: People) -> None:
    response = await site.login(username="ulla", password=PASSWORD, redirect="/monitoring/jobs/?a=1")
    assert (response.status, response.headers["Location"], response.headers["Cache-Control"]) == (302, "/monitoring/jobs/?a=1", "no-store")
    (line,) = response.headers.getall("Set-Cookie")
    morsel = SimpleCookie(line)["session"]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["max-age"]) == (True, "Lax", "/", str(7 * 24 * 3600))
    assert not morsel["secure"]  # plain HTTP on loopback
    assert (await site.ask("GET", MINE, morsel.value))[0] == 200


async def test_the_cookie_is_secure_behind_tls(site: People) -> None:
    response = await site.login({"X-Forwarded-Proto": "https"}, username="ulla", password=PASSWORD)
    assert response.cookies["session"]["secure"]


async def test_a_client_that_accepts_json_gets_json(site: People) -> None:
    response = await site.login(JSON, username="ulla", password=PASSWORD)
    assert (response.status, await response.json()) == (200, {"user": {"username": "ulla", "name": "", "roles": ["user"]}})
    assert cookie_of(response)
    refused = await site.login(JSON, username="ulla", password="wrong")
    assert (refused.status, (await refused.json())["status"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ulla", "wrong"),
        ("ulla", ""),
        ("ulla", PASSWORD + "\0"),
        ("ulla", "x" * 1000),
        ("ULLA", PASSWORD),
        ("nobody-knows", PASSWORD),
        ("", PASSWORD),
        ("", ""),
        ("' OR 1=1 --", PASSWORD),
        ("ulla\0", PASSWORD),
        ("ulla' --", PASSWORD),
        ("ülla\ud7ff", PASSWORD),
    ],
)
async def test_wrong_credentials_are_401_with_the_page_and_without_a_cookie(site: People, name: str, password: str) -> None:
    response = await site.login(username=name, password=password, redirect="/x?<script>")
    text = await response.text()
    assert (response.status, response.content_type, cookie_of(response)) == (401, "text/html", "")
    assert 'name="redirect" value="/x?&lt;script&gt;"' in text  # the target of the redirect is retained, and escaped
    assert "<script" not in text


async def test_only_local_users_have_a_local_password(site: People) -> None:
    for name, source in (("ldapuser", AuthSource.LDAP), ("oidcuser", AuthSource.OIDC), ("tokenuser", AuthSource.TOKEN)):
        await site.store.add(Account(name, source, ("user",), password=HASH))
        assert (await site.login(username=name, password=PASSWORD)).status == 401
    await site.store.add(Account("program", AuthSource.LOCAL, ("api",)))
    assert (await site.login(username="program", password="")).status == 401


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(site: People) -> None:
    """Both verify one hash: the test observes the second verification instead of measuring time."""
    loop = asyncio.get_running_loop()

    async def seconds(name: str) -> float:
        began = loop.time()
        assert (await site.login(username=name, password="wrong")).status == 401
        return loop.time() - began

    assert min([await seconds(f"stranger{number}") for number in range(3)]) > 0.02


async def test_too_many_attempts_are_429_until_time_has_passed(site: People) -> None:
    async def statuses(count: int, password: str = "wrong", name: str = "udo") -> list[int]:
        return [(await site.login(username=name, password=password)).status for _ in range(count)]

    assert await statuses(6, PASSWORD) == [302] * 6  # successful sign-ins do not count
    assert await statuses(4) == [401, 401, 401, 429]
    blocked = await site.login(JSON, username="udo", password=PASSWORD)
    assert (blocked.status, blocked.headers["Retry-After"]) == (429, "60")
    assert await statuses(1, PASSWORD, "ulla") == [302]  # other users are not affected
    site.clock.now += 61
    assert await statuses(2) == [401, 429]
    site.clock.now += 61
    assert await statuses(2, PASSWORD) == [302, 302]


async def test_attempts_are_counted_per_address_behind_a_trusted_proxy(sqlite_template: SqliteTemplate, tmp_path: Any) -> None:
    auth = auth_settings(login_attempts=1)
    async with people(sqlite_template.fresh(tmp_path), tmp_path, auth=auth, trusted_proxies=["127.0.0.1"]) as site:
        wrong = {"username": "ulla", "password": "wrong"}
        assert [(await site.login({"X-Forwarded-For": "10.0.0.1"}, **wrong)).status for _ in range(2)] == [401, 429]
        assert (await site.login({"X-Forwarded-For": "10.0.0.2"}, **wrong)).status == 401
        assert (await site.login({"X-Forwarded-For": "10.0.0.2, 10.0.0.1"}, **wrong)).status == 429  # the client's own entry is ignored


async def test_attempts_are_counted_per_address_for_all_names_together(sqlite_template: SqliteTemplate, tmp_path: Any) -> None:
    auth = auth_settings(login_attempts=2, login_attempts_per_address=3, login_pause_s=60)
    async with people(sqlite_template.fresh(tmp_path), tmp_path, auth=auth) as site:
        assert [(await site.login(username=name, password=PASSWORD)).status for name in ("ulla", "udo")] == [302, 302]  # successful
        assert [(await site.login(username=f"name{n}", password="wrong")).status for n in range(4)] == [401, 401, 401, 429]
        assert (await site.login(username="ulla", password=PASSWORD)).status == 429
        site.clock.now += 40.1  # the address has an attempt again, the name does not
        assert (await site.login(username="ulla", password=PASSWORD)).status == 302


async def test_a_forwarded_address_from_an_untrusted_peer_does_not_reset_the_count(site: People) -> None:
    assert [(await site.login({"X-Forwarded-For": f"10.0.0.{n}"}, username="mgr", password="wrong")).status for n in range(4)] == [
        401,
        401,
        401,
        429,
    ]


async def test_a_redirect_to_another_host_leads_to_the_home_page(site: People) -> None:
    for target in ("//evil.example", "/\\evil.example", "https://evil.example/x"):
        assert (await site.login(username="ulla", password=PASSWORD, redirect=target)).headers["Location"] == "/"


async def test_roles_are_read_at_each_request(site: People) -> None:
    cookie = await site.sign_in("udo")
    assert (await site.ask("GET", "/config/roles/", cookie))[0] == 403
    await site.store.change("udo", with_role("admin"))
    assert (await site.ask("GET", "/config/roles/", cookie)) == (200, ["api", "user", "manager", "support", "admin"])
    await site.store.change("udo", lambda account, _: changed(account, roles=("user",)))
    assert (await site.ask("GET", "/config/roles/", cookie))[0] == 403


async def test_a_user_who_loses_every_role_loses_the_session_and_cannot_sign_in(site: People) -> None:
    cookie = await site.sign_in("udo")
    await site.store.change("udo", lambda account, _: changed(account, roles=()))
    assert (await site.ask("GET", MINE, cookie))[0] == 401
    assert (await site.login(username="udo", password=PASSWORD)).status == 403


async def test_a_session_ends_at_its_maximum_age(site: People) -> None:
    cookie = await site.sign_in("ulla")
    site.clock.now += 7 * 24 * 3600 - 1
    assert (await site.ask("GET", MINE, cookie))[0] == 200
    site.clock.now += 2
    assert (await site.ask("GET", MINE, cookie))[0] == 401


async def test_signing_out_ends_the_session_for_every_copy_of_the_cookie(site: People) -> None:
    one, other = await site.sign_in("ulla"), await site.sign_in("ulla")
    response = await site.client.raw("POST", "/logout", auth="", headers={"Cookie": f"session={one}"})
    assert response.status == 200
    assert (response.cookies["session"].value, response.cookies["session"]["max-age"]) == ("", "0")
    assert (await site.ask("GET", MINE, one))[0] == 401
    assert (await site.ask("GET", MINE, other))[0] == 200
    assert (await site.client.raw("POST", "/logout", auth="")).status == 200
    assert (await site.client.raw("POST", "/logout", auth="", headers={"Cookie": "session=junk"})).status == 200


async def test_a_new_password_or_the_removal_of_the_account_ends_sessions(site: People) -> None:
    cookie = await site.sign_in("sup")
    await site.store.change("sup", lambda account, _: changed(account, password=HASH[::-1]))
    assert (await site.ask("GET", MINE, cookie))[0] == 401
    other = await site.sign_in("sapi")
    await site.store.remove("sapi")
    assert (await site.ask("GET", MINE, other))[0] == 401


def forged(**changes: Any) -> dict[str, Any]:
    claims = {
        "aud": "jobtide:session",
        "sub": "adm",
        "source": 0,
        "id": "x",
        "iat": 1_770_000_000,
        "exp": 1_999_999_999,
        "roles": ["admin"],
    }
    return claims | changes


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), b""]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


FORGED = {
    "another key": jwt.encode(forged(), b"k" * 32, algorithm="HS256"),
    "another purpose": jwt.encode(forged(aud="other"), SESSION_KEY, algorithm="HS256"),
    "no purpose": jwt.encode({key: value for key, value in forged().items() if key != "aud"}, SESSION_KEY, algorithm="HS256"),
    "another algorithm": jwt.encode(forged(), SESSION_KEY + SESSION_KEY, algorithm="HS512"),
    "no algorithm": unsigned(forged(), {"alg": "none", "typ": "JWT"}),
    "an API token": token("admin", user="adm"),
    "expired": jwt.encode(forged(exp=1_770_000_000), SESSION_KEY, algorithm="HS256"),
    "expiry is text": jwt.encode(forged(exp="never"), SESSION_KEY, algorithm="HS256"),
    "row of a user that has none": jwt.encode(forged(sub="ghost", row="00"), SESSION_KEY, algorithm="HS256"),
    "row with another password": jwt.encode(forged(row="00"), SESSION_KEY, algorithm="HS256"),
    "junk": "junk",
    "long": "a" * 7000,
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_cookie_is_ignored_and_deleted(site: People, name: str) -> None:
    response = await site.client.raw("GET", "/config/users/", auth="", headers={"Cookie": f"session={FORGED[name]}"})
    assert (response.status, (await response.json())["status"]) == (401, "Unauthorized")
    assert response.cookies["session"]["max-age"] == "0"


async def test_a_damaged_cookie_is_refused(site: People) -> None:
    cookie = await site.sign_in("adm")
    head, body, signature = cookie.split(".")
    for spoiled in (f"{head}.{body}.{signature[:-2]}", f"{head}.{body[:-4]}AAAA.{signature}", f"{head}.{body}.", f"{head}.{body}"):
        assert (await site.ask("GET", "/config/roles/", spoiled))[0] == 401


async def test_sessions_and_tokens_are_not_interchangeable(site: People) -> None:
    cookie = await site.sign_in("opsapi")
    assert (await site.ask("GET", "/api/users/", cookie))[0] == 401
    assert (await site.ask("GET", "/userapi/jobs/", cookie))[0] == 401
    assert (await site.client.get("/api/users/", auth=cookie))[0] == 401
    assert (await site.client.get("/config/users/", auth=token("admin", user="adm")))[0] == 401
    assert (await site.client.get("/frontend/jwt/?username=adm", auth=token("admin", user="adm")))[0] == 401


CROSS_SITE: list[tuple[dict[str, str], int]] = [
    ({}, 403),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Origin": "http://["}, 403),
    ({"Origin": "https://evil.example", "X-Requested-With": "x"}, 403),
    ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site", "X-Requested-With": "x"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Origin": "http://HOST"}, 200),
    ({"Origin": "https://HOST", "Sec-Fetch-Site": "same-origin"}, 200),
    ({"X-Requested-With": "curl"}, 200),
]


@pytest.mark.parametrize(("headers", "status"), CROSS_SITE)
async def test_writes_from_another_site_are_refused(site: People, headers: dict[str, str], status: int) -> None:
    cookie = await site.sign_in("ulla")
    given = {name: value.replace("HOST", site.client.address) for name, value in headers.items()}
    given |= {"Cookie": f"session={cookie}", "Content-Type": "application/x-www-form-urlencoded"}
    assert (await site.client.call("POST", "/frontend/configuration/", auth="", headers=given, data=b"key=a&value=1"))[0] == status


async def test_reads_from_other_sites_pass_except_web_sockets(site: People) -> None:
    cookie = {"Cookie": f"session={await site.sign_in('ulla')}", "Origin": "https://evil.example"}
    assert (await site.client.get(MINE, auth="", headers=cookie))[0] == 200
    assert (await site.client.get(MINE, auth="", headers=cookie | {"Upgrade": "websocket"}))[0] == 403


async def test_the_home_page_offers_what_fits_the_session(site: People) -> None:
    cookie = await site.sign_in("ulla")

    async def page(value: str) -> str:
        response = await site.client.raw("GET", "/", auth="", headers={"Cookie": f"session={value}"} if value else {})
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
        return await response.text()

    for value in ("", "forged"):
        assert "Sign in</a>" in await page(value)
        assert "Sign out" not in await page(value)
    assert "Signed in as ulla <button>Sign out</button>" in await page(cookie)
    assert "Sign in</a>" not in await page(cookie)
    assert (await site.ask("POST", "/logout", cookie))[0] == 200
    assert "Sign in</a>" in await page(cookie)
