"""LDAP sign-in end to end: the form, the session and its permissions, and the command that synchronizes users."""

import pytest

from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.cli.sites import jobtide
from tests.gateway.accounts import Clock, People, auth_settings
from tests.gateway.people.signin.directory import FILTER, Branch
from tests.gateway.stack import gateway
from tests.support.processes import REPOSITORY
from tests.support.slapd import ADMIN_DN, ADMIN_PASSWORD, Slapd
from tests.support.waiting import until

NO_BROKER = NatsSettings(url="nats://127.0.0.1:9")  # sign-in does not use it


async def test_a_person_of_the_directory_gets_a_session_with_the_roles_of_the_database(
    branch: Branch, users: UserStore, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    branch.person("erika", "open sesame")
    branch.person("newcomer", "their own")
    await users.add(Account("erika", AuthSource.LDAP, ("user", "admin")))
    await users.add(Account("root", AuthSource.LOCAL, ("admin",)))
    ldap = branch.settings(sync_user_on_login=True)
    async with gateway(NO_BROKER, sqlite_database, archive_settings, auth=auth_settings(), ldap=ldap) as client:
        people = People(client, users, Clock())
        assert await people.sign_in("erika", "wrong") == ""
        assert await people.sign_in("erika", "") == ""
        assert await people.sign_in("*", "open sesame") == ""
        cookie = await people.sign_in("erika", "open sesame")
        assert (await people.ask("GET", "/config/taggers/", cookie))[0] == 200
        other = await people.sign_in("newcomer", "their own")
        assert (await people.ask("GET", "/config/taggers/", other))[0] == 403
        await users.remove("erika")
        assert (await people.ask("GET", "/config/taggers/", cookie))[0] == 401


async def test_an_unavailable_directory_is_503_and_does_not_count_as_an_attempt(
    private_slapd: Slapd, branch: Branch, users: UserStore, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    await users.add(Account("erika", AuthSource.LDAP, ("user",)))
    private_slapd.stop()
    ldap = branch.binding(url=private_slapd.url)
    async with gateway(NO_BROKER, sqlite_database, archive_settings, auth=auth_settings(login_attempts=1), ldap=ldap) as client:
        people = People(client, users, Clock())
        for _ in range(3):
            response = await people.login(username="erika", password="x")
            assert response.status == 503
            assert str(private_slapd.port) not in await response.text()


async def test_the_gateway_synchronizes_users_at_its_start(
    branch: Branch, users: UserStore, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch.person("anna")
    monkeypatch.setattr("services.gateway.people.auth.ldap.sync.FIRST_S", 0.01)
    async with gateway(NO_BROKER, sqlite_database, archive_settings, ldap=branch.settings(sync_interval_s=3600)):
        await until(lambda: users.find("anna"))


async def test_a_command_synchronizes_users(branch: Branch, slapd: Slapd, sqlite_database: DatabaseSettings, users: UserStore) -> None:
    branch.person("anna")
    branch.person("x" * 101)
    await users.add(Account("gone", AuthSource.LDAP, ("user",)))
    variables = {
        "JOBTIDE_DATABASE_URL": sqlite_database.url.get_secret_value(),
        "JOBTIDE_LDAP_URL": slapd.url,
        "JOBTIDE_LDAP_USER_BASE": branch.base,
        "JOBTIDE_LDAP_SEARCH_DN": ADMIN_DN,
        "LDAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "JOBTIDE_LDAP_USER_FILTER": FILTER,
        "JOBTIDE_LDAP_SYNC_DEL_OLD_USERS": "true",
    }
    done = jobtide("user", "sync-ldap", text=b"", cwd=REPOSITORY, **variables)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "1 users in the directory: 1 added, 0 renamed, 1 removed"), done.stderr
    assert "1 entries without a usable name" in done.stdout
    assert [account.name for account in await users.all()] == ["anna"]
    off = jobtide("user", "sync-ldap", JOBTIDE_DATABASE_URL=variables["JOBTIDE_DATABASE_URL"])
    assert (off.returncode, "JOBTIDE_LDAP_URL" in off.stderr) == (2, True)
