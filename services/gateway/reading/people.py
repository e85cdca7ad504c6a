"""Real names and email addresses of accounts, for display."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Text, bindparam, select

from services.gateway.reading.prepared import Prepared, is_one_of
from shared.database.tables import hpc_user

_PEOPLE = Prepared(
    select(hpc_user.c.username, hpc_user.c.name, hpc_user.c.email).where(is_one_of(hpc_user.c.username, bindparam("names", type_=Text())))
)


@dataclass(frozen=True, slots=True)
class Person:
    username: str
    name: str
    email: str


def accounts(connection: Connection, names: Collection[str]) -> dict[str, Person]:
    """Accounts by user name; users without one are absent."""
    wanted = [name for name in names if "\0" not in name]
    found = _PEOPLE.rows(connection, names=wanted) if wanted else ()
    return {username: Person(username, name or "", email or "") for username, name, email in found}
