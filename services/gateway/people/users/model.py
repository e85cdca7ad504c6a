"""Users as stored in the database."""

from dataclasses import dataclass

from services.gateway.people.identity import AuthSource, User


@dataclass(frozen=True, slots=True)
class Account:
    """A row of ``hpc_user``. ``password`` is a bcrypt hash, None without a local password; roles and projects are ordered."""

    name: str
    source: AuthSource = AuthSource.LOCAL
    roles: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    real_name: str = ""
    email: str = ""
    password: str | None = None

    @property
    def user(self) -> User:
        return User(self.name, frozenset(self.roles), frozenset(self.projects), self.real_name, self.source)
