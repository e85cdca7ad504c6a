"""Accounts for a first look at the pages of the demo, one for each kind of person."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from cli.embedded.folder import DataFolder, write_whole
from shared.settings import DatabaseSettings

PASSWORD_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    role: str
    projects: tuple[str, ...] = ()


PEOPLE = (
    Person("admin", "admin"),
    Person("support", "support"),
    Person("lead", "manager", ("k104de", "p2chpd")),
    Person("k104de11", "user"),
)


async def add_people(folder: DataFolder, database: DatabaseSettings) -> None:
    """Add those of ``PEOPLE`` that are missing, unless somebody else added the first users.

    All have the password of ``password_of``, which is made here. Raises Unavailable, OSError.
    """
    from services.gateway.people.auth.hashes import hash_password
    from services.gateway.people.users.rules import new_account
    from services.gateway.people.users.store import UserStore
    from shared.database.engine import opened

    async with opened(database, durable=True, connections=1) as engine:
        store = UserStore(engine, engine)
        present = {account.name for account in await store.all()}
        if password_of(folder) is None:
            if present:
                return
            write_whole(_file(folder), secrets.token_hex(PASSWORD_CHARACTERS // 2).encode() + b"\n")
        hashed = hash_password(password_of(folder) or "", PASSWORD_CHARACTERS)
        for person in (person for person in PEOPLE if person.name not in present):
            account = new_account(person.name, [person.role], projects=person.projects, has_password=True)
            await store.add(replace(account, password=hashed))


def password_of(folder: DataFolder) -> str | None:
    """None where somebody else added the first users."""
    try:
        return _file(folder).read_text().strip()
    except FileNotFoundError:
        return None


def sign_in_line(folder: DataFolder, http: str | None) -> str:
    password = password_of(folder)
    if password is None:
        return f"to sign in at {http}, add a user: jobtide user add NAME --role admin --data {folder.root}"
    people = ", ".join(f"{person.name} ({person.role})" for person in PEOPLE)
    return f"sign in at {http} with the password {password} as {people}"


def _file(folder: DataFolder) -> Path:
    return folder.root / "demo-password"
