"""Sign-in against a real slapd."""

from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from services.gateway.errors import RequestError
from services.gateway.people.addresses import Origin
from services.gateway.people.auth.ldap.connection import dn_of
from services.gateway.people.auth.ldap.directory import Directory
from services.gateway.people.auth.ldap.login import LdapLogin
from services.gateway.people.auth.ldap.settings import LdapSettings
from services.gateway.people.auth.login import Attempt
from services.gateway.people.identity import AuthSource, User
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.errors import Unavailable, UserError
from shared.settings import load
from tests.gateway.people.signin.directory import AS_READER, FILTER, Branch
from tests.support.slapd import ADMIN_DN, ADMIN_PASSWORD, Slapd
from tests.support.tls import Authority

PASSWORD = "open sesame"
ORIGIN = Origin("10.0.0.1/32", "10.0.0.0/24")


async def sign_in(settings: LdapSettings, users: UserStore, name: str, password: str = PASSWORD) -> User | None:
    """None when LDAP does not claim the attempt. Raises RequestError, Unavailable."""
    with closing(Directory(settings)) as directory:
        method = LdapLogin(directory, users)
        attempt = Attempt(ORIGIN, name=name, password=password, account=await users.find(name) if name else None)
        return await method.login(attempt) if await method.claims(attempt) else None


async def refused(settings: LdapSettings, users: UserStore, name: str, password: str = PASSWORD) -> bool:
    """Whether the attempt ends with 401, or is not claimed at all."""
    try:
        return await sign_in(settings, users, name, password) is None
    except RequestError as e:
        return e.status == HTTPStatus.UNAUTHORIZED


def ldap_user(name: str, *roles: str, real_name: str = "") -> Account:
    return Account(name, AuthSource.LDAP, roles or ("user",), (), real_name)


WAYS = [Branch.settings, Branch.binding]


@pytest.mark.parametrize("way", WAYS, ids=["search and bind", "bind by pattern"])
async def test_a_known_user_signs_in_with_the_roles_of_the_database(
    way: Callable[..., LdapSettings], branch: Branch, users: UserStore
) -> None:
    branch.person("erika", gecos="Erika Muster")
    await users.add(ldap_user("erika", "user", "support"))
    user = await sign_in(way(branch), users, "erika")
    assert user is not None
    assert user == User("erika", frozenset({"user", "support"}), source=AuthSource.LDAP)


@pytest.mark.parametrize("way", WAYS, ids=["search and bind", "bind by pattern"])
async def test_wrong_and_empty_passwords_are_refused(way: Callable[..., LdapSettings], branch: Branch, users: UserStore) -> None:
    branch.person("erika")
    await users.add(ldap_user("erika"))
    for password in ("wrong", "", " ", "open sesame ", "OPEN SESAME", "x" * 5000, "\0"):
        assert await refused(way(branch), users, "erika", password), password


@pytest.mark.parametrize("way", WAYS, ids=["search and bind", "bind by pattern"])
async def test_an_unknown_user_is_added_only_after_the_password_was_right(
    way: Callable[..., LdapSettings], branch: Branch, users: UserStore
) -> None:
    branch.person("newcomer", gecos="New Comer")
    settings = way(branch, sync_user_on_login=True)
    assert await refused(settings, users, "newcomer", "wrong")
    assert await users.find("newcomer") is None
    user = await sign_in(settings, users, "newcomer")
    assert user is not None
    assert await users.find("newcomer") == Account("newcomer", AuthSource.LDAP, ("user",), (), "New Comer")


async def test_an_unknown_user_is_not_claimed_without_the_setting(branch: Branch, users: UserStore) -> None:
    branch.person("newcomer")
    assert await sign_in(branch.settings(), users, "newcomer") is None
    assert await users.all() == []


async def test_users_of_other_sources_are_left_to_their_methods(branch: Branch, users: UserStore) -> None:
    branch.person("root")
    await users.add(Account("root", AuthSource.LOCAL, ("admin",)))
    assert await sign_in(branch.settings(sync_user_on_login=True), users, "root") is None


async def test_a_name_in_another_case_is_the_same_directory_user(branch: Branch, users: UserStore) -> None:
    branch.person("erika")
    settings = branch.settings(sync_user_on_login=True)
    user = await sign_in(settings, users, "ERIKA")
    assert user is not None
    assert user.name == "erika"
    assert [account.name for account in await users.all()] == ["erika"]


async def test_a_name_in_another_case_does_not_take_over_an_account_of_another_source(branch: Branch, users: UserStore) -> None:
    branch.person("root")
    await users.add(Account("root", AuthSource.LOCAL, ("admin",)))
    assert await refused(branch.settings(sync_user_on_login=True), users, "Root")


INJECTIONS = [
    "*",
    "e*",
    "*)(uid=*",
    "erika)(uid=*",
    "erika)(|(uid=*",
    "*))(|(uid=*",
    "erika\\",
    "\\2a",
    "erika\0",
    "(erika)",
    "erika,ou=x",
    "erika+cn=x",
    "#erika",
    " erika",
    "erika ",
    "",
    "x" * 101,
    "erika\r\n",
]


@pytest.mark.parametrize("way", WAYS, ids=["search and bind", "bind by pattern"])
async def test_special_characters_of_filters_and_dns_in_names_are_escaped(
    way: Callable[..., LdapSettings], branch: Branch, users: UserStore
) -> None:
    branch.person("erika")
    settings = way(branch, sync_user_on_login=True)
    for name in INJECTIONS:
        assert await refused(settings, users, name), name
    assert await users.all() == []


ODD_NAMES = [
    "o'hara",
    "a,b",
    "a+b",
    'quo"te',
    "semi;colon",
    "less<more>",
    "back\\slash",
    "eq=ual",
    "#hash",
    "per*cent",
    "par(en)",
    "ünïcode",
]


@pytest.mark.parametrize("way", WAYS, ids=["search and bind", "bind by pattern"])
async def test_odd_names_are_found_and_bound_as_they_are(way: Callable[..., LdapSettings], branch: Branch, users: UserStore) -> None:
    settings = way(branch, sync_user_on_login=True)
    for number, name in enumerate(ODD_NAMES):
        branch.person(name, f"password {number}")
    for number, name in enumerate(ODD_NAMES):
        user = await sign_in(settings, users, name, f"password {number}")
        assert user is not None, name
        assert user.name == name
        assert await refused(settings, users, name, f"password {number + 1}"), name


def test_a_name_stays_one_value_of_the_dn() -> None:
    assert dn_of("uid={username},ou=p", "a,ou=q") == "uid=a\\2cou\\3dq,ou=p"
    assert dn_of("uid={username},ou=p", "{username}") == "uid={username},ou=p"


async def test_an_entry_with_two_names_signs_in_only_by_the_first(branch: Branch, users: UserStore) -> None:
    branch.person("erika", others=("alias",))
    assert await refused(branch.settings(sync_user_on_login=True), users, "alias")


async def test_a_name_with_two_entries_does_not_sign_in(tree: Any, users: UserStore) -> None:
    branch = tree.branch()
    branch.person("erika")
    tree.add(f"ou=more,{branch.base}", ["organizationalUnit"], {})
    below = Branch(tree, f"ou=more,{branch.base}")
    below.person("erika")
    assert await refused(branch.settings(sync_user_on_login=True), users, "erika")


async def test_an_entry_outside_the_filter_is_refused(branch: Branch, users: UserStore) -> None:
    branch.person("erika")
    settings = branch.settings(user_filter="(&(objectClass=posixAccount)(gecos=*))", sync_user_on_login=True)
    assert await refused(settings, users, "erika")
    branch.rename("erika", "Erika")
    assert not await refused(settings, users, "erika")


async def test_the_setting_updates_the_shown_name_from_the_directory(branch: Branch, users: UserStore) -> None:
    branch.person("erika", gecos="Erika Muster")
    await users.add(ldap_user("erika", "user", "admin", real_name="Old"))
    await sign_in(branch.binding(), users, "erika")
    assert (await users.find("erika")) == ldap_user("erika", "user", "admin", real_name="Old")
    await sign_in(branch.binding(update_user_on_login=True), users, "erika")
    assert (await users.find("erika")) == ldap_user("erika", "user", "admin", real_name="Erika Muster")


async def test_an_unavailable_directory_is_not_reported_as_a_wrong_password(branch: Branch, private_slapd: Slapd, users: UserStore) -> None:
    await users.add(ldap_user("erika"))
    private_slapd.stop()
    for settings in (branch.settings(url=private_slapd.url), branch.binding(url=private_slapd.url)):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sign_in(settings, users, "erika")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await sign_in(branch.settings(url=private_slapd.url, sync_user_on_login=True), users, "stranger")


async def test_a_sign_in_fails_at_the_deadline_of_a_silent_directory(branch: Branch, private_slapd: Slapd, users: UserStore) -> None:
    await users.add(ldap_user("erika"))
    private_slapd.pause()
    try:
        with pytest.raises(Unavailable, match=r"did not answer in 0\.3 s"):
            await sign_in(branch.binding(url=private_slapd.url, timeout_s=0.3), users, "erika")
    finally:
        private_slapd.go_on()


async def test_a_refused_search_account_is_not_reported_as_a_wrong_password(branch: Branch, users: UserStore) -> None:
    branch.person("erika")
    await users.add(ldap_user("erika"))
    with pytest.raises(Unavailable, match="refuses the account that searches"):
        await sign_in(branch.settings(search_password="not it"), users, "erika")


async def test_connections_are_encrypted_and_checked(
    branch: Branch, slapd: Slapd, authority: Authority, users: UserStore, tmp_path: Path
) -> None:
    branch.person("erika")
    await users.add(ldap_user("erika"))
    good = {"ca_file": authority.certificate}
    foreign = {"ca_file": Authority(tmp_path, "Another Authority").certificate}
    for encrypted in ({"url": slapd.tls_url}, {"start_tls": True}):
        assert await sign_in(branch.settings(**encrypted, **good), users, "erika") is not None
        for untrusted in (foreign, {}):
            with pytest.raises(Unavailable, match=r"cannot be reached|does not begin TLS"):
                await sign_in(branch.settings(**encrypted, **untrusted), users, "erika")


async def test_sign_ins_above_the_queue_limit_are_refused(branch: Branch, private_slapd: Slapd, users: UserStore) -> None:
    import asyncio

    await users.add(ldap_user("erika"))
    private_slapd.pause()
    settings = branch.binding(url=private_slapd.url, timeout_s=0.5, connections=1)
    with closing(Directory(settings)) as directory:
        tries = [directory.check("erika", "x", ORIGIN, reads_entry=False) for _ in range(12)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        private_slapd.go_on()
    texts = sorted(str(result) for result in results)
    assert (
        texts
        == ["the directory did not answer in 0.5 s"] * 9 + ["too many sign-ins wait for the directory at the moment; try again soon"] * 3
    )


SEARCH = {"user_base": "dc=x", "search_dn": "cn=x", "search_password": "x", "user_filter": "(uid=*)"}

WRONG_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"url": "http://x"}, r"JOBTIDE_LDAP_URL: not ldap://HOST"),
    ({"url": "ldap://u:p@x", **SEARCH}, r"JOBTIDE_LDAP_URL: not ldap://HOST"),
    ({"url": "ldap://localhost:99999", **SEARCH}, r"JOBTIDE_LDAP_URL"),
    ({"url": "ldap://localhost"}, r"user_base, search_dn, search_password, user_filter needed where user_bind is not set"),
    (
        {"url": "ldap://localhost", "user_bind": "uid={username}", "sync_interval_s": 60.0},
        r"user_base, search_dn, search_password, user_filter needed where sync_interval_s is set",
    ),
    ({"url": "ldap://localhost", **SEARCH, "search_password": ""}, r"search_password needed"),
    ({"url": "ldap://localhost", **SEARCH, "user_bind": "uid=x"}, r"JOBTIDE_LDAP_USER_BIND: must contain \{username\} once"),
    ({"url": "ldap://localhost", **SEARCH, "user_filter": "(uid=*"}, r"JOBTIDE_LDAP_USER_FILTER: not a filter"),
    ({"url": "ldap://localhost", **SEARCH, "user_filter": "uid=*"}, r"JOBTIDE_LDAP_USER_FILTER: not a filter"),
    ({"url": "ldap://directory.example", **SEARCH}, r"unencrypted"),
    ({"url": "ldaps://directory.example", **SEARCH, "start_tls": True}, r"start_tls is for ldap:// only"),
    ({"url": "ldaps://directory.example", **SEARCH, "ca_file": "/nowhere/ca.pem"}, r"ca_file: /nowhere/ca.pem is not a file"),
    ({"url": "ldaps://directory.example", **SEARCH, "uid_attr": "uid=*)("}, r"JOBTIDE_LDAP_UID_ATTR"),
    ({"url": "ldaps://directory.example", **SEARCH, "sync_interval_s": 1}, r"sync_interval_s must be 0 or at least 10"),
    (SEARCH, r"url is needed where search_dn is set"),
]


@pytest.mark.parametrize(("values", "text"), WRONG_SETTINGS)
def test_inconsistent_settings_stop_the_start_with_one_line(values: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text) as raised:
        load(LdapSettings, **values)
    assert "\n" not in str(raised.value)


def test_the_password_variable_of_a_cc_backend_installation_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDAP_ADMIN_PASSWORD", ADMIN_PASSWORD)
    settings = LdapSettings(url="ldap://localhost", user_base="dc=x", search_dn=ADMIN_DN, user_filter=FILTER)
    assert settings.search_password.get_secret_value() == ADMIN_PASSWORD
    assert ADMIN_PASSWORD not in repr(settings)
    assert not LdapSettings().is_on  # the variable alone does not enable LDAP


async def test_a_search_account_with_limits_still_finds_one_user(branch: Branch, users: UserStore) -> None:
    branch.person("erika")
    assert await sign_in(branch.settings(sync_user_on_login=True, **AS_READER), users, "erika") is not None
