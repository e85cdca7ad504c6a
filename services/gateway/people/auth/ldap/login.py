"""Sign-in with the password of the directory."""

import structlog

from services.gateway.people.auth.ldap.connection import Person
from services.gateway.people.auth.ldap.directory import Directory
from services.gateway.people.auth.login import Attempt, login_failed, stored
from services.gateway.people.identity import USER, AuthSource, User
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import is_user_name, shown_text
from services.gateway.people.users.store import UserStore
from shared.errors import Unavailable

log = structlog.get_logger()


class LdapLogin:
    """Claims LDAP users of the database and, if the setting allows, valid directory users that the database does not have.

    A user is added to the database only after the password was right.
    """

    def __init__(self, directory: Directory, users: UserStore) -> None:
        self._directory = directory
        self._settings = directory.settings
        self._users = users

    async def claims(self, attempt: Attempt) -> bool:
        if attempt.account is not None:
            return attempt.account.source is AuthSource.LDAP
        # Without a password this is a sign-in by token, which must not wait for the directory.
        if not self._settings.sync_user_on_login or not attempt.password or not is_user_name(attempt.name):
            return False
        return await self._directory.find(attempt.name, attempt.origin) is not None

    async def login(self, attempt: Attempt) -> User:
        """Raises RequestError (401), Unavailable."""
        known = attempt.account
        if not attempt.password or not is_user_name(attempt.name):
            raise login_failed()
        reads_entry = known is None or self._settings.update_user_on_login
        is_right, person = await self._directory.check(attempt.name, attempt.password, attempt.origin, reads_entry=reads_entry)
        if not is_right:
            raise login_failed()
        account = await self._added(person) if known is None else await self._refreshed(known, person)
        return account.user

    async def _added(self, person: Person | None) -> Account:
        if person is None or not is_user_name(person.uid):
            raise login_failed()
        # Directories ignore case, and the name is the one of the directory: its row may exist, even from another source.
        account = await stored(self._users, account_of(person), inserts=True, updates=False)
        if account is None:
            raise login_failed()
        log.info("ldap_user_signed_in_first", user=account.name)
        return account

    async def _refreshed(self, known: Account, person: Person | None) -> Account:
        """Update the shown name. A failed write does not refuse a user whose password was right."""
        if not self._settings.update_user_on_login or person is None:
            return known
        given = Account(known.name, AuthSource.LDAP, known.roles, known.projects, shown_text(person.name))
        try:
            return await self._users.sync_at_login(given, inserts=False, updates=True) or known
        except Unavailable as e:
            log.warning("ldap_user_not_updated", user=known.name, why=str(e))
            return known


def account_of(person: Person) -> Account:
    """A new user has the role ``user`` only; roles are not read from the directory."""
    return Account(person.uid, AuthSource.LDAP, (USER,), (), shown_text(person.name))
