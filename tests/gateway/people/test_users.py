"""Users, roles, personal settings and texts of the site: tables on both databases, rules, routes."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import bcrypt
import pytest
import pytest_asyncio
from sqlalchemy import insert, text

from services.gateway.errors import RequestError
from services.gateway.people.addresses import Origin
from services.gateway.people.auth.hashes import hash_password, password_fits
from services.gateway.people.auth.passwords import AT_ONCE, Passwords
from services.gateway.people.auth.queue import MAX_WAITING, TrustedAddresses
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rows import row_of
from services.gateway.people.users.rules import BadField, RuleBroken, new_account, synced, with_role, without_role
from services.gateway.people.users.store import DirectoryChanges, SettingsLimits, UserStore, UserUnknown
from services.gateway.rest.systemlog import JournalQuery, LogUnreadable, journal
from shared.database.engine import opened, transaction
from shared.database.tables import hpc_user
from shared.errors import Unavailable
from shared.settings import DatabaseSettings
from tests.gateway.accounts import FORM, HASH, PASSWORD, People, cookie_of, people, store_of
from tests.gateway.stack import token
from tests.support.databases import SqliteTemplate

MODULE = pytest.mark.asyncio(loop_scope="module")
ADMIN_TOKEN = token("admin", "api", user="opsapi")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(sqlite_template: SqliteTemplate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("users")
    async with people(sqlite_template.fresh(folder), folder, machine_state_dir=folder / "machines") as given:
        yield given


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin(site: People) -> str:
    return await site.sign_in("adm")


@pytest.fixture
async def store(database: DatabaseSettings) -> AsyncIterator[UserStore]:
    async with store_of(database) as given:
        yield given


# The table


async def test_the_store_works_on_both_databases(store: UserStore) -> None:
    await store.add(Account("erika", AuthSource.LOCAL, ("admin", "api"), ("p",), "Erika", "e@x", "hash"))
    with pytest.raises(RuleBroken, match="exists"):
        await store.add(Account("erika"))
    assert await store.find("erika") == Account("erika", AuthSource.LOCAL, ("admin", "api"), ("p",), "Erika", "e@x", "hash")
    assert [await store.find(name) for name in ("' OR 1=1 --", "erika\0")] == [None, None]
    await store.add(Account("bo", AuthSource.LDAP, ("user",)))
    assert [account.name for account in await store.all()] == ["bo", "erika"]
    with pytest.raises(RuleBroken, match="last admin"):
        await store.change("erika", without_role("admin"))
    with pytest.raises(UserUnknown):
        await store.change("ghost", with_role("user"))
    await store.set_setting("erika", "key", "1")
    await store.set_setting("erika", "key", "[2]")
    await store.set_setting("no row", "key", '"x"')
    assert (await store.settings_of("erika"), await store.settings_of("no row")) == ({"key": [2]}, {"key": "x"})
    with pytest.raises(RuleBroken, match="last admin"):
        await store.remove("erika")
    await store.change("bo", with_role("admin"))
    await store.remove("erika")
    assert (await store.find("erika"), await store.settings_of("erika")) == (None, {})
    await store.set_site_text("notice", "Monday")
    await store.set_site_text("notice", "Tuesday")
    assert (await store.site_text("notice"), await store.site_text("other")) == ("Tuesday", "")


async def test_a_sign_in_from_another_source_neither_changes_nor_returns_the_account(store: UserStore) -> None:
    admin = Account("root", AuthSource.LOCAL, ("admin",), password="hash")
    await store.add(admin)
    for inserts, updates in ((False, False), (True, False), (False, True), (True, True)):
        assert await store.sync_at_login(Account("root", AuthSource.OIDC, ("user",)), inserts=inserts, updates=updates) is None
    assert await store.find("root") == admin


async def test_the_settings_of_one_user_are_bounded_in_number_and_size(any_database: DatabaseSettings) -> None:
    async with opened(any_database, durable=True) as engine:
        store = UserStore(engine, engine, SettingsLimits(number=2, characters=30))
        for key in ("a", "b", "a"):
            await store.set_setting("erika", key, "1")
        with pytest.raises(RuleBroken, match="max_settings"):
            await store.set_setting("erika", "c", "1")
        with pytest.raises(RuleBroken, match="max_settings_characters"):
            await store.set_setting("erika", "b", '"' + "x" * 26 + '"')
        await store.set_setting("erika", "b", '"' + "x" * 25 + '"')
        await store.set_setting("bo", "c", "1")
        smaller = UserStore(engine, engine, SettingsLimits(number=1, characters=10))
        await smaller.set_setting("erika", "b", '"' + "x" * 20 + '"')  # above the lowered limit, but smaller than before
        assert await store.settings_of("erika") == {"a": 1, "b": "x" * 20}


@pytest.mark.parametrize(("key", "value"), [("", "1"), ("k" * 256, "1"), ("a\0", "1"), ("a", "no JSON"), ("a", '"' + "x" * 65_536)])
async def test_a_setting_that_is_malformed_is_refused(store: UserStore, key: str, value: str) -> None:
    with pytest.raises(BadField, match=r"key|value"):
        await store.set_setting("erika", key, value)
    assert await store.settings_of("erika") == {}


async def test_ended_sessions_are_remembered_until_their_cookie_expires(store: UserStore) -> None:
    await store.end_session("a", 100, now=50)
    await store.end_session("a", 100, now=50)
    assert [(await store.in_session("x", name))[1] for name in ("a", "b")] == [True, False]
    await store.end_session("b", 300, now=101)
    assert [(await store.in_session("x", name))[1] for name in ("a", "b")] == [False, True]


async def test_two_admins_cannot_remove_each_other(store: UserStore) -> None:
    for name in ("a", "b"):
        await store.add(Account(name, AuthSource.LOCAL, ("admin",)))
    done = await asyncio.gather(store.remove("a"), store.remove("b"), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["NoneType", "RuleBroken"]
    assert len(await store.all()) == 1


async def test_a_directory_replaces_its_own_accounts_only(store: UserStore) -> None:
    for name, source in (("local", AuthSource.LOCAL), ("gone", AuthSource.LDAP), ("stays", AuthSource.LDAP)):
        await store.add(Account(name, source, ("user",), real_name="before"))
    found = [Account(name, AuthSource.LDAP, ("user",)) for name in ("local", "stays", "new")]
    assert await store.sync_directory(AuthSource.LDAP, found, removes=False) == DirectoryChanges(added=["new"])
    assert await store.sync_directory(AuthSource.LDAP, found, removes=True) == DirectoryChanges(removed=["gone"])
    assert {account.name: (account.source, account.real_name) for account in await store.all()} == {
        "local": (AuthSource.LOCAL, "before"),
        "stays": (AuthSource.LDAP, "before"),
        "new": (AuthSource.LDAP, ""),
    }


SIMILAR = ["ADAM", "Adam", "\uff41dam", "a\u1d48am"]  # upper case, full width, a raised d


@pytest.mark.parametrize("name", SIMILAR)
async def test_a_new_name_that_can_be_mistaken_for_one_in_use_is_refused(store: UserStore, name: str) -> None:
    adam = Account("adam", AuthSource.LOCAL, ("user",))
    await store.add(adam)
    with pytest.raises(RuleBroken, match="too similar to adam"):
        await store.add(Account(name, AuthSource.LOCAL, ("user",)))
    with pytest.raises(RuleBroken, match="too similar to adam"):
        await store.sync_at_login(Account(name, AuthSource.OIDC, ("user",)), inserts=True, updates=True)
    assert await store.sync_directory(AuthSource.LDAP, [Account(name, AuthSource.LDAP)], removes=True) == DirectoryChanges(similar=[name])
    assert await store.all() == [adam]
    assert (await store.similar(name), await store.similar("adam"), await store.similar("eve")) == ("adam", None, None)


async def test_similar_names_from_before_keep_working(any_database: DatabaseSettings) -> None:
    accounts = [Account(name, AuthSource.LDAP, ("user",)) for name in ("ADAM", "adam")]
    async with opened(any_database) as engine, transaction(engine) as connection:
        await connection.execute(insert(hpc_user), [row_of(account) for account in accounts])
    async with store_of(any_database) as store:
        assert await store.all() == accounts
        assert (await store.change("ADAM", with_role("support"))).roles == ("user", "support")
        assert await store.sync_directory(AuthSource.LDAP, accounts, removes=True) == DirectoryChanges()


async def test_a_directory_that_respells_a_name_replaces_the_account(store: UserStore) -> None:
    await store.add(Account("Adam", AuthSource.LDAP, ("user",)))
    found = [Account(name, AuthSource.LDAP, ("user",)) for name in ("adam", "EVE", "eve")]
    assert await store.sync_directory(AuthSource.LDAP, found, removes=True) == DirectoryChanges(["EVE", "adam"], ["Adam"], ["eve"])


TAKEN_OVER: list[tuple[Any, Any, tuple[str, ...], tuple[str, ...]]] = [
    ('["user"]', "[]", ("user",), ()),
    ('["user","manager"]', '["p1","p2"]', ("user", "manager"), ("p1", "p2")),
    ("null", '[""]', (), ()),
    ("[]", "null", (), ()),
    ("no json", '{"a":1}', (), ()),
]


async def test_a_table_of_cc_backend_can_be_taken_over(any_database: DatabaseSettings) -> None:
    hashed = "$2a$10$" + bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()[7:]
    async with opened(any_database) as engine, transaction(engine) as connection:
        for number, (roles, projects, _, _) in enumerate(TAKEN_OVER):
            row = {"username": f"u{number}", "password": None, "ldap": 9, "name": None, "roles": roles, "projects": projects, "email": None}
            await connection.execute(insert(hpc_user).values(row))
        if connection.dialect.name == "sqlite":  # SQLite stores a later change of roles as bytes
            await connection.execute(
                text("INSERT INTO hpc_user (username, ldap, roles, projects, password) VALUES ('blob', 0, :r, :p, :h)"),
                {"r": b'["admin"]', "p": b"null", "h": hashed},
            )
    async with store_of(any_database) as store:
        found = {account.name: account for account in await store.all()}
        for number, (_, _, roles, projects) in enumerate(TAKEN_OVER):
            account = found[f"u{number}"]
            assert (account.roles, account.projects, account.source, account.real_name) == (roles, projects, AuthSource.UNKNOWN, "")
        if "blob" in found:
            assert (found["blob"].roles, found["blob"].projects, found["blob"].password) == (("admin",), (), hashed)


# Passwords and rules


def test_hashes_are_written_as_cc_backend_writes_them() -> None:
    hashed = hash_password("s3cret", 6, cost=4)
    assert hashed.startswith("$2a$04$")
    assert password_fits("s3cret", hashed)
    assert not password_fits("s3cret ", hashed)
    assert password_fits("s3cret", "$2y" + hashed[3:])
    for no_hash in ("", "plain", "$2a$04$short"):
        assert not password_fits("plain", no_hash)
    for refused in ("", "x" * 73, "ü" * 37, "a\0b"):
        with pytest.raises(RuleBroken):
            hash_password(refused, 1)


async def test_the_passwords_that_wait_are_bounded() -> None:
    passwords = Passwords(10, TrustedAddresses(), cost=4)
    origin = Origin("10.0.0.1/32", "10.0.0.0/24")
    asked = MAX_WAITING + AT_ONCE + 3
    try:
        done = await asyncio.gather(*(passwords.fits("x", None, origin) for _ in range(asked)), return_exceptions=True)
    finally:
        passwords.close()
    assert sum(isinstance(each, Unavailable) for each in done) == 3
    assert sum(each is False for each in done) == MAX_WAITING + AT_ONCE


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "username"),
        ({"name": " a"}, "username"),
        ({"name": "a\nb"}, "username"),
        ({"name": "ü" * 51}, "username"),
        ({"name": "adam\u200b"}, "username"),
        ({"name": "\u202emada"}, "username"),
        ({"name": "\ud800"}, "username"),
        ({"roles": []}, "role"),
        ({"roles": ["root"]}, "role"),
        ({"roles": ["anonymous"]}, "role"),
        ({"has_password": False}, "password"),
        ({"roles": ["api", "user"], "has_password": False}, "password"),
        ({"projects": ["p"]}, "project"),
        ({"roles": ["manager"]}, "project"),
        ({"roles": ["manager"], "projects": [" "]}, "project"),
        ({"email": "x" * 300}, "email"),
        ({"real_name": "a\0"}, "name"),
    ],
)
def test_a_malformed_account_is_refused_with_the_name_of_the_field(fields: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"name": "erika", "roles": ["user"], "has_password": True} | fields
    with pytest.raises(RuleBroken, match=f"^{said}:"):
        new_account(given.pop("name"), given.pop("roles"), **given)


@pytest.mark.parametrize(
    ("was", "given", "roles", "projects"),
    [
        ((("user",), ("old",)), (("user",), ("new",)), ("user",), ("old",)),
        ((("manager",), ("old",)), (("manager",), ("new",)), ("manager",), ("new",)),
        ((("user",), ()), (("user", "manager"), ("new",)), ("user", "manager"), ("new",)),
        ((("user",), ("old",)), (("admin", "manager"), ("new",)), ("admin", "manager"), ("old",)),
        ((("manager",), ("old",)), (("user",), ("new",)), ("user",), ()),
        ((("manager",), ("old",)), (("admin",), ("new",)), ("admin",), ("old",)),
        ((("user", "api"), ()), (("api", "user"), ()), ("user", "api"), ()),
        ((("admin",), ()), ((), ()), (), ()),
    ],
)
def test_sign_in_updates_roles_and_projects_by_the_given_ones(was: Any, given: Any, roles: Any, projects: Any) -> None:
    account = Account("x", AuthSource.OIDC, was[0], was[1], "before", "mail", "hash")
    changed = synced(account, Account("x", AuthSource.OIDC, given[0], given[1], "after"))
    assert (changed.roles, changed.projects, changed.real_name) == (roles, projects, "after")
    assert (changed.email, changed.password) == ("mail", "hash")


# The routes; further statuses and shapes are tested by the recorded exchanges


@MODULE
async def test_the_last_admin_cannot_be_removed(site: People, admin: str) -> None:
    assert (await site.client.post("/api/user/opsapi", {"remove-role": "admin"}, auth=ADMIN_TOKEN))[0] == 200
    status, answer = await site.form("/config/user/adm", admin, **{"remove-role": "admin"})
    assert (status, answer["error"]) == (422, "adm is the last admin")
    assert (await site.form("/config/users/", admin, "DELETE", username="adm"))[0] == 422
    assert (await site.client.post("/api/user/opsapi", {"add-role": "ADMIN"}, auth=ADMIN_TOKEN))[0] == 200


@MODULE
async def test_a_created_user_can_sign_in_until_deleted(site: People, admin: str) -> None:
    status, said = await site.form("/config/users/", admin, username="nora", password="pass words", role="User", name="N <b>", email="n@x")
    assert (status, said) == (200, "User nora successfully created!\n")
    _, listed = await site.ask("GET", "/config/users/?not-just-user=true", admin)
    assert "nora" not in {user["username"] for user in listed}
    _, listed = await site.client.get("/api/users/", auth=ADMIN_TOKEN)
    (nora,) = (user for user in listed if user["username"] == "nora")
    assert nora == {
        "username": "nora", "name": "N <b>", "roles": ["user"], "email": "n@x", "projects": [], "authType": 0, "authSource": 0
    }  # fmt: skip
    cookie = await site.sign_in("nora", "pass words")
    assert cookie
    assert (await site.form("/frontend/configuration/", cookie, key="a", value="{}"))[0] == 200
    assert (await site.ask("DELETE", "/config/users/?username=nora", admin))[0] == 200
    assert not await site.sign_in("nora", "pass words")
    assert await site.store.settings_of("nora") == {}


@MODULE
async def test_a_password_shorter_than_the_setting_cannot_be_set_but_still_signs_in(site: People, admin: str) -> None:
    status, answer = await site.form("/config/users/", admin, username="nils", password="ninechars", role="user")
    assert (status, answer["error"]) == (422, "password: shorter than 10 characters")
    hashed = bcrypt.hashpw(b"ninechars", bcrypt.gensalt(4, b"2a")).decode()
    await site.store.add(Account("nils", AuthSource.LOCAL, ("user",), password=hashed))
    assert await site.sign_in("nils", "ninechars")


@MODULE
async def test_a_changed_password_ends_the_other_sessions_and_wrong_ones_are_limited(site: People, admin: str) -> None:
    for name in ("paul", "petra"):
        await site.store.add(Account(name, AuthSource.LOCAL, ("user",), password=HASH))
    here, there = await site.sign_in("paul"), await site.sign_in("paul")
    change = {"current": PASSWORD, "password": "a better password"}
    for wrong, status, said in (
        ({"current": "x"}, 400, "current: this is not the present password"),
        ({"password": "short"}, 422, "password: shorter than 10 characters"),
    ):
        answered, answer = await site.form("/frontend/password/", here, **(change | wrong))
        assert (answered, answer["error"]) == (status, said)
    response = await site.client.raw(
        "POST", "/frontend/password/", auth="", data=urlencode(change).encode(),
        headers={"Cookie": f"session={here}", "X-Requested-With": "test", "Content-Type": FORM},
    )  # fmt: skip
    assert response.status == 200
    for cookie, status in ((here, 401), (there, 401), (cookie_of(response), 200)):
        assert (await site.ask("GET", "/frontend/session/", cookie))[0] == status
    assert not await site.sign_in("paul")
    assert await site.sign_in("paul", "a better password")

    petra = await site.sign_in("petra")
    statuses = [(await site.form("/frontend/password/", petra, **(change | {"current": "x"})))[0] for _ in range(20)]
    assert statuses[0] == 400
    assert statuses[-1] == 429
    assert (await site.form("/config/user/petra/password/", admin, password="set by an admin"))[0] == 200
    assert (await site.ask("GET", "/frontend/session/", petra))[0] == 401
    assert (await site.form("/config/user/nobody-here/password/", admin, password="set by an admin"))[0] == 404
    await site.store.add(Account("lisa", AuthSource.LDAP, ("user",)))
    status, answer = await site.form("/config/user/lisa/password/", admin, password="set by an admin")
    assert (status, answer["error"]) == (422, "lisa does not sign in by a local password, but by LDAP")


@MODULE
async def test_forms_are_bounded_and_must_be_forms(site: People, admin: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    big = b"new-content=" + b"x" * 300_000
    assert (await site.ask("POST", "/config/notice/", admin, data=big, headers=form))[0] == 413
    for content_type, body in (
        ("multipart/form-data", b"no boundary"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="new-content"; filename="f"\r\n\r\na\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\nno header\r\n\r\na\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\na\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: no\r\n\r\na\r\n--x--\r\n",
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=a\r\nContent-Encoding: deflate\r\n\r\nnone\r\n--x--\r\n",
        ),
        ("multipart/form-data; boundary=" + "x" * 100, b"--x"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="new-content"\r\nContent-Transfer-Encoding: none\r\n\r\na\r\n--x--\r\n',
        ),
        ("application/x-www-form-urlencoded; charset=nonsense", b"new-content=a"),
        ("application/x-www-form-urlencoded", b"new-content=%ff%fe"),
    ):
        status, _ = await site.ask("POST", "/config/notice/", admin, data=body, headers={"Content-Type": content_type})
        assert status in (200, 400), content_type
    assert (await site.form("/config/notice/", admin, **{"new-content": "é" * 10_000}))[0] == 200  # the limit is in characters, not bytes
    assert await site.store.site_text("notice") == "é" * 10_000


@MODULE
async def test_a_machine_state_is_stored_whole_or_not_at_all(site: People, tmp_path: Path) -> None:
    path = "/api/machine_state/fritz/f0101"
    assert (await site.client.get(path))[0] == 404
    assert (await site.client.call("PUT", path, data=b'{"a": 1.50}'))[0] == 201
    for bad in (b"", b"hello", b"{", b"\xff"):
        assert (await site.client.call("PUT", path, data=bad))[0] == 400
    assert (await site.client.call("PUT", path, data=b"[" + b"1," * 3_000_000 + b"1]"))[0] == 413
    response = await site.client.raw("GET", path, headers={"Range": "bytes=0-4"})
    assert (response.status, await response.text(), response.content_type) == (206, '{"a":', "application/json")
    response = await site.client.raw("GET", path)
    assert (await response.text(), "Last-Modified" in response.headers) == ('{"a": 1.50}', True)
    for bad_path in (
        "..%2f..%2fetc/x",
        "fritz/..",
        "fritz/a..b",
        "fritz/a%5Cb",
        "fritz/a%2Fb",
        "fritz/.hidden",
        "fritz/a%00",
        "%2e%2e/x",
        "a/-b",
    ):
        for method in ("PUT", "GET"):
            status, _ = await site.client.call(method, f"/api/machine_state/{bad_path}", data=b"1" if method == "PUT" else None)
            assert status in (400, 404), (method, bad_path)


# The journal


def program(folder: Path, script: str) -> str:
    path = folder / "journalctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


async def test_the_journal_is_read_with_the_wanted_options(tmp_path: Path) -> None:
    lines = [
        '{"__REALTIME_TIMESTAMP":"1","PRIORITY":"3","MESSAGE":"\'"$*"\'","_SYSTEMD_UNIT":"u.service"}',
        '{"__REALTIME_TIMESTAMP":"2","MESSAGE":[1,2]}',
        "not json",
    ]
    script = "\n".join(f"echo '{line}'" for line in lines)
    entries = await journal("u.service", JournalQuery("1 hour ago", 5, 4, "a b"), program(tmp_path, script))
    options = "--no-pager --output=json --unit=u.service --since=1 hour ago --lines=5 --priority=4 --grep=a b"
    assert entries == [
        {"timestamp": "1", "priority": 3, "message": options, "unit": "u.service"},
        {"timestamp": "2", "priority": 6, "message": "", "unit": "u.service"},
    ]


async def test_a_journal_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = JournalQuery("now", 5, None, "")
    with pytest.raises(LogUnreadable, match="started"):
        await journal("u", wanted, str(tmp_path / "missing"))
    with pytest.raises(LogUnreadable, match="no permission"):
        await journal("u", wanted, program(tmp_path, "echo no permission >&2; exit 1"))
    with pytest.raises(RequestError, match="since"):
        await journal("u", wanted, program(tmp_path, "echo Failed to parse timestamp: now >&2; exit 1"))
    assert await journal("u", wanted, program(tmp_path, "exit 1")) == []  # nothing matches
    monkeypatch.setattr("services.gateway.rest.systemlog.DEADLINE_S", 0.2)
    with pytest.raises(LogUnreadable, match="longer"):
        await journal("u", wanted, program(tmp_path, "exec sleep 60"))
    monkeypatch.setattr("services.gateway.rest.systemlog.DEADLINE_S", 20)
    monkeypatch.setattr("services.gateway.rest.systemlog.MAX_BYTES", 1000)
    endless = 'i=0; while [ $i -lt 3000 ]; do echo \'{"MESSAGE":"x"}\'; i=$((i+1)); done'
    assert 0 < len(await journal("u", JournalQuery("now", 1000, None, ""), program(tmp_path, endless))) < 1000
