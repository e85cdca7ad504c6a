"""Who asks, and what the roles allow: the guard of ``/api``, tag scopes. Which jobs a user sees is in ``queries.filters``."""

from dataclasses import dataclass

from shared.domain.values import ADMIN_SCOPE, GLOBAL_SCOPE

ADMIN, SUPPORT, MANAGER, USER, API = "admin", "support", "manager", "user", "api"


@dataclass(frozen=True, slots=True)
class User:
    """``projects`` are those that a manager supervises."""

    name: str
    roles: frozenset[str]
    projects: frozenset[str] = frozenset()

    @property
    def is_program(self) -> bool:
        """Has the role ``api`` and no other: sees all jobs, may feed and tag them."""
        return self.roles == {API}

    @property
    def may_use_api(self) -> bool:
        return self.is_program or {ADMIN, API} <= self.roles

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
