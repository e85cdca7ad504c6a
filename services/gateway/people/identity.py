"""Users and what their roles allow: routes and tag scopes. ``reading.filters`` decides which jobs a user sees."""

from dataclasses import dataclass
from enum import IntEnum

from shared.domain.values import ADMIN_SCOPE, GLOBAL_SCOPE

ADMIN, SUPPORT, MANAGER, USER, API = "admin", "support", "manager", "user", "api"
ROLES = (API, USER, MANAGER, SUPPORT, ADMIN)  # by rising privilege


class AuthSource(IntEnum):
    """The origin of an account. The numbers are those of the column ``hpc_user.ldap`` and of ``authSource`` in answers."""

    UNKNOWN = -1  # the user of an API token; never stored
    LOCAL = 0
    LDAP = 1
    TOKEN = 2
    OIDC = 3


@dataclass(frozen=True, slots=True)
class User:
    """``projects`` are the ones that a manager supervises."""

    name: str
    roles: frozenset[str]
    projects: frozenset[str] = frozenset()
    real_name: str = ""
    source: AuthSource = AuthSource.UNKNOWN

    @property
    def is_program(self) -> bool:
        """Has the role ``api`` alone: sees all jobs, may write and tag them."""
        return self.roles == {API}

    @property
    def may_use_api(self) -> bool:
        return self.is_program or {ADMIN, API} <= self.roles

    @property
    def may_use_userapi(self) -> bool:
        """A program, or a program that acts for a person."""
        return API in self.roles and (self.is_program or bool(self.roles & {USER, MANAGER, SUPPORT, ADMIN}))

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    @property
    def is_staff(self) -> bool:
        """Sees how the site is run: rejections and the state of the pipeline."""
        return bool(self.roles & {ADMIN, SUPPORT})

    @property
    def sees_all_jobs(self) -> bool:
        return self.is_program or bool(self.roles & {ADMIN, SUPPORT})

    @property
    def sees_nodes(self) -> bool:
        """Node states are for site staff and programs."""
        return self.is_program or bool(self.roles & {ADMIN, SUPPORT})

    @property
    def sees_rejections(self) -> bool:
        return self.is_program or self.is_staff

    @property
    def sees_all_accounts(self) -> bool:
        """Real names and addresses of all users; one's own is always visible."""
        return bool(self.roles & {ADMIN, SUPPORT, MANAGER})

    def may_see_account(self, name: str) -> bool:
        return name == self.name or self.sees_all_accounts

    @property
    def readable_scopes(self) -> list[str]:
        """``global``, the user's own, and for site staff ``admin``; sorted."""
        scopes = {GLOBAL_SCOPE, self.name} - {ADMIN_SCOPE}
        if self.roles & {ADMIN, SUPPORT}:
            scopes.add(ADMIN_SCOPE)
        return sorted(scopes)

    def may_write_scope(self, scope: str) -> bool:
        if scope == GLOBAL_SCOPE:
            return self.is_program or bool(self.roles & {ADMIN, SUPPORT})
        if scope == ADMIN_SCOPE:
            return self.is_program or ADMIN in self.roles
        return scope == self.name


NOBODY = User("", frozenset())  # the user of routes without a guard
