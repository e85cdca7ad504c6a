"""Who asks, and what the roles allow: guards, tag scopes. Which jobs a user sees is in ``queries.filters``."""

from dataclasses import dataclass
from enum import IntEnum

from shared.domain.values import ADMIN_SCOPE, GLOBAL_SCOPE

ADMIN, SUPPORT, MANAGER, USER, API = "admin", "support", "manager", "user", "api"
ROLES = (API, USER, MANAGER, SUPPORT, ADMIN)  # by rising privilege


class AuthSource(IntEnum):
    """Who vouches for a user; the numbers of the column ``hpc_user.ldap`` and of ``authSource``."""

    UNKNOWN = -1  # a token of a request; never stored
    LOCAL = 0
    LDAP = 1
    TOKEN = 2
    OIDC = 3


@dataclass(frozen=True, slots=True)
class User:
    """``projects`` are those that a manager supervises."""

    name: str
    roles: frozenset[str]
    projects: frozenset[str] = frozenset()
    real_name: str = ""
    source: AuthSource = AuthSource.UNKNOWN

    @property
    def is_program(self) -> bool:
        """Has the role ``api`` and no other: sees all jobs, may feed and tag them."""
        return self.roles == {API}

    @property
    def may_use_api(self) -> bool:
        return self.is_program or {ADMIN, API} <= self.roles

    @property
    def may_use_userapi(self) -> bool:
        """A program of its own, or one that acts for a person."""
        return API in self.roles and (self.is_program or bool(self.roles & {USER, MANAGER, SUPPORT, ADMIN}))

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    @property
    def sees_all_jobs(self) -> bool:
        return self.is_program or bool(self.roles & {ADMIN, SUPPORT})

    @property
    def sees_nodes(self) -> bool:
        """States of nodes: for the people of the site, and for programs."""
        return self.is_program or bool(self.roles & {ADMIN, SUPPORT})

    @property
    def readable_scopes(self) -> list[str]:
        """``global``, one's own, and for the people of the site ``admin``."""
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


NOBODY = User("", frozenset())  # of routes without a guard
