"""Accounts beside what belongs to them: names and addresses to show."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from services.gateway.queries.rows import rows
from shared.database.tables import hpc_user

_NAMES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Person:
    username: str
    name: str
    email: str


def accounts(connection: Connection, names: Collection[str]) -> dict[str, Person]:
    """By name; users without an account are absent."""
    columns = hpc_user.c
    found = {}
    wanted = sorted(name for name in names if "\0" not in name)
    for first in range(0, len(wanted), _NAMES_AT_ONCE):
        part = wanted[first : first + _NAMES_AT_ONCE]
        statement = select(columns.username, columns.name, columns.email).where(columns.username.in_(part))
        for username, name, email in rows(connection, statement):
            found[username] = Person(username, name or "", email or "")
    return found
