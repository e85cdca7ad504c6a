"""Importing the users of a real slapd."""

import asyncio
from contextlib import closing

import pytest

from services.gateway.people.auth.ldap.directory import Directory
from services.gateway.people.auth.ldap.settings import LdapSettings
from services.gateway.people.auth.ldap.sync import DirectorySync, SyncResult
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.errors import Unavailable
from tests.gateway.people.signin.directory import AS_READER, Branch
from tests.support.slapd import LIMIT, Slapd
from tests.support.waiting import until


async def sync(settings: LdapSettings, users: UserStore) -> SyncResult:
    with closing(Directory(settings)) as directory:
        return await DirectorySync(directory, users).run()


async def names(users: UserStore) -> list[str]:
    return [account.name for account in await users.all()]


async def test_users_are_added_renamed_and_removed(branch: Branch, users_of_both: UserStore) -> None:
    users = users_of_both
    branch.person("anna", gecos="Anna")
    branch.person("bert", gecos="Bert")
    await users.add(Account("local", AuthSource.LOCAL, ("admin",)))
    await users.add(Account("gone", AuthSource.LDAP, ("user",)))
    await users.set_setting("gone", "key", "1")
    first = await sync(branch.settings(), users)
    assert (first.added, first.removed, await names(users)) == (["anna", "bert"], [], ["anna", "bert", "gone", "local"])
    assert await users.find("anna") == Account("anna", AuthSource.LDAP, ("user",), (), "Anna")
    branch.rename("bert", "Albert")
    second = await sync(branch.settings(sync_del_old_users=True), users)
    assert (second.added, second.removed, second.renamed) == ([], ["gone"], ["bert"])
    assert await names(users) == ["anna", "bert", "local"]
    assert await users.settings_of("gone") == {}
    third = await sync(branch.settings(sync_del_old_users=True), users)
    assert (third.added, third.removed, third.renamed) == ([], [], [])


async def test_names_are_not_updated_when_the_setting_is_off(branch: Branch, users: UserStore) -> None:
    branch.person("anna", gecos="Anna")
    await users.add(Account("anna", AuthSource.LDAP, ("admin",), (), "Chosen"))
    await sync(branch.settings(sync_update_names=False), users)
    assert await users.find("anna") == Account("anna", AuthSource.LDAP, ("admin",), (), "Chosen")


async def test_an_account_of_another_source_is_never_touched(branch: Branch, users: UserStore) -> None:
    account = Account("anna", AuthSource.LOCAL, ("admin",), (), "Local Anna", "", "$2b$04$hash")
    branch.person("anna", gecos="Directory Anna")
    await users.add(account)
    await sync(branch.settings(sync_del_old_users=True), users)
    branch.remove("anna")
    branch.person("other")
    await sync(branch.settings(sync_del_old_users=True), users)
    assert await users.find("anna") == account


async def test_all_pages_are_read(branch: Branch, users: UserStore) -> None:
    for number in range(LIMIT):
        branch.person(f"u{number:02}")
    assert len((await sync(branch.settings(page_size=3), users)).added) == LIMIT


async def test_an_incomplete_answer_adds_users_but_removes_none(branch: Branch, users: UserStore) -> None:
    for number in range(LIMIT + 5):
        branch.person(f"u{number:02}")
    await users.add(Account("gone", AuthSource.LDAP, ("user",)))
    for page_size in (7, 500):
        result = await sync(branch.settings(sync_del_old_users=True, page_size=page_size, **AS_READER), users)
        assert result.removal_skipped == "the answer of the directory was not complete"
    assert "gone" in await names(users)
    assert len(await users.all()) > LIMIT // 2


async def test_an_empty_answer_removes_no_user(branch: Branch, users: UserStore) -> None:
    await users.add(Account("gone", AuthSource.LDAP, ("user",)))
    result = await sync(branch.settings(sync_del_old_users=True), users)
    assert (result.removal_skipped, await names(users)) == ("the directory has no valid user", ["gone"])


async def test_a_base_that_does_not_exist_is_an_error(branch: Branch, users: UserStore) -> None:
    await users.add(Account("gone", AuthSource.LDAP, ("user",)))
    with pytest.raises(Unavailable, match="refuses the search"):
        await sync(branch.settings(user_base=f"ou=nowhere,{branch.base}", sync_del_old_users=True), users)
    assert await names(users) == ["gone"]


async def test_entries_that_cannot_be_users_are_skipped(branch: Branch, users: UserStore) -> None:
    branch.person("anna")
    branch.nameless("nobody")
    branch.person("x" * 101)
    result = await sync(branch.settings(user_filter="(objectClass=inetOrgPerson)"), users)
    assert result.added == ["anna"]
    assert sorted(dn.split(",")[0][:6] for dn in result.skipped) == ["cn=nob", "uid=xx"]


async def test_entries_whose_names_can_be_mistaken_for_others_are_skipped_and_named(branch: Branch, users: UserStore) -> None:
    await users.add(Account("Anna", AuthSource.LOCAL, ("admin",)))
    branch.person("anna")
    branch.person("bert")
    result = await sync(branch.settings(), users)
    assert (result.added, result.skipped) == (["bert"], ["anna (too similar to a name in use)"])


async def test_two_replicas_may_sync_at_once(branch: Branch, users_of_both: UserStore) -> None:
    for number in range(10):
        branch.person(f"u{number}")
    settings = branch.settings()
    results = await asyncio.gather(*(sync(settings, users_of_both) for _ in range(3)))
    assert sorted(name for result in results for name in result.added) == [f"u{number}" for number in range(10)]


async def test_synchronization_continues_after_the_directory_was_unavailable(
    branch: Branch, private_slapd: Slapd, users: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.people.auth.ldap.sync.FIRST_S", 0.01)
    monkeypatch.setattr("services.gateway.people.auth.ldap.sync.RETRY_S", 0.01)
    branch.person("anna")
    private_slapd.stop()
    away, here = branch.settings(url=private_slapd.url, sync_interval_s=3600), branch.settings()
    stop = asyncio.Event()
    with closing(Directory(away)) as directory:
        loop = asyncio.ensure_future(DirectorySync(directory, users).keep(stop))
        failures = 0
        original = directory.everyone

        async def counted() -> object:
            nonlocal failures
            failures += 1
            if failures == 3:
                directory.settings = here
            return await original()

        directory.everyone = counted  # type: ignore[method-assign,assignment]
        await until(lambda: names(users))
        stop.set()
        await asyncio.wait_for(loop, 30)
    assert await names(users) == ["anna"]


async def test_a_hanging_directory_does_not_delay_the_stop(
    branch: Branch, private_slapd: Slapd, users: UserStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.people.auth.ldap.sync.FIRST_S", 0.01)
    private_slapd.pause()
    stop = asyncio.Event()
    with closing(Directory(branch.settings(url=private_slapd.url, sync_interval_s=3600))) as directory:
        loop = asyncio.ensure_future(DirectorySync(directory, users).keep(stop))
        await until(lambda: directory.is_busy)
        stop.set()
        await asyncio.wait_for(loop, 30)
    assert not directory.is_busy
