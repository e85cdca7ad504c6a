"""Synchronizes users from the directory: once, or at an interval."""

import asyncio
import random
from dataclasses import dataclass, replace

import structlog

from services.gateway.people.auth.ldap.directory import Directory
from services.gateway.people.auth.ldap.login import account_of
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import AccountChange, is_user_name
from services.gateway.people.users.store import UserStore, UserUnknown
from shared.backoff import sleep_unless
from shared.errors import Unavailable
from shared.loops import end

log = structlog.get_logger()

FIRST_S = 5.0  # delay of the first run, so that the gateway serves first
RETRY_S = 60.0
_MAX_NAMED = 20  # skipped entries named in one log line


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Names of users. ``removal_skipped`` is the reason why missing users were not removed despite the setting; empty otherwise."""

    found: int
    added: list[str]
    removed: list[str]
    renamed: list[str]
    skipped: list[str]
    removal_skipped: str = ""


class DirectorySync:
    """All replicas may run it, also at the same time: a run finds the changes of another one done."""

    def __init__(self, directory: Directory, users: UserStore) -> None:
        self._directory = directory
        self._settings = directory.settings
        self._users = users

    async def run(self) -> SyncResult:
        """Raises Unavailable; then nothing was changed, or a part that the next run completes."""
        people = await self._directory.everyone()
        accounts: dict[str, Account] = {}
        skipped = list(people.skipped)
        for person in people.found:
            if is_user_name(person.uid):
                accounts.setdefault(person.uid, account_of(person))
            else:
                skipped.append(person.dn[:200])
        removal_skipped = self._reason_to_skip_removal(accounts, is_complete=people.is_complete)
        removes = self._settings.sync_del_old_users and not removal_skipped
        changes = await self._users.sync_directory(AuthSource.LDAP, accounts.values(), removes=removes)
        skipped += (f"{name} (too similar to a name in use)" for name in changes.similar)
        renamed = await self._rename(accounts) if self._settings.sync_update_names else []
        result = SyncResult(len(accounts), changes.added, changes.removed, renamed, skipped, removal_skipped)
        _report(result)
        return result

    async def keep(self, stop: asyncio.Event) -> None:
        """Run soon after the start and then at each interval, with jitter so that replicas do not run together."""
        interval_s = self._settings.sync_interval_s
        pause_s = min(FIRST_S, interval_s)
        while not await sleep_unless(stop, pause_s * random.uniform(0.8, 1.2)):
            try:
                await self._run_unless(stop)
                pause_s = interval_s
            except Unavailable as e:
                log.warning("ldap_sync_failed", why=str(e))
                pause_s = min(RETRY_S, interval_s)

    async def _run_unless(self, stop: asyncio.Event) -> None:
        """Run once, but end with the stop even if the directory is slow."""
        running, stopping = asyncio.ensure_future(self.run()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            stopping.cancel()
            await end([running])

    def _reason_to_skip_removal(self, accounts: dict[str, Account], *, is_complete: bool) -> str:
        """A directory that returns no user, or an incomplete answer, is more likely broken than empty."""
        if not self._settings.sync_del_old_users:
            return ""
        if not is_complete:
            return "the answer of the directory was not complete"
        return "" if accounts else "the directory has no valid user"

    async def _rename(self, accounts: dict[str, Account]) -> list[str]:
        renamed = []
        for known in await self._users.all():
            given = accounts.get(known.name)
            if given is not None and known.source is AuthSource.LDAP and given.real_name not in ("", known.real_name):
                try:
                    await self._users.change(known.name, _to_name(given.real_name))
                except UserUnknown:
                    continue  # removed meanwhile
                renamed.append(known.name)
        return renamed


def _to_name(real_name: str) -> AccountChange:
    def change(account: Account, _: int) -> Account:
        return replace(account, real_name=real_name) if account.source is AuthSource.LDAP else account

    return change


def _report(result: SyncResult) -> None:
    log.info(
        "ldap_synced",
        found=result.found,
        added=len(result.added),
        removed=len(result.removed),
        renamed=len(result.renamed),
        removal_skipped=result.removal_skipped,
    )
    if result.skipped:
        log.warning("ldap_entries_skipped", entries=len(result.skipped), first=result.skipped[:_MAX_NAMED])
