"""Rows of ``hpc_user`` as accounts and back, and the lock under which they change."""

from typing import Any

import orjson
from sqlalchemy import CursorResult, Row, Select, false, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from shared.database.dialects import dialect_of
from shared.database.tables import hpc_user

Json = Any


async def lock(connection: AsyncConnection) -> None:
    """Serialize changes of users, so that two admins cannot remove each other."""
    await dialect_of(connection).lock_users(connection)


def select_one(name: str) -> Select[Any]:
    # PostgreSQL rejects a null character even in a comparison.
    return select(hpc_user).where(false() if "\0" in name else hpc_user.c.username == name)


def account_in(rows: CursorResult[Any]) -> Account | None:
    row = rows.one_or_none()
    return None if row is None else account_of(row)


async def find_account(connection: AsyncConnection, name: str) -> Account | None:
    return account_in(await connection.execute(select_one(name)))


def account_of(row: Row[Any]) -> Account:
    try:
        source = AuthSource(row.ldap)
    except ValueError:
        source = AuthSource.UNKNOWN
    return Account(row.username, source, names_in(row.roles), names_in(row.projects), row.name or "", row.email or "", row.password or None)


def row_of(account: Account) -> dict[str, object]:
    return {
        "username": account.name,
        "password": account.password,
        "ldap": int(account.source),
        "name": account.real_name,
        "roles": names_as_json(account.roles),
        "email": account.email,
        "projects": names_as_json(account.projects),
    }


def names_as_json(names: tuple[str, ...]) -> str:
    return orjson.dumps(names).decode()


def names_in(stored: str | bytes | None) -> tuple[str, ...]:
    """Decode a JSON list of names as cc-backend writes it: text or BLOB, possibly null, possibly with an empty name."""
    value = parsed(stored)
    return tuple(dict.fromkeys(name for name in value if isinstance(name, str) and name)) if isinstance(value, list) else ()


def parsed(stored: str | bytes | None) -> Json:
    """None if the text is not JSON."""
    try:
        return None if stored is None else orjson.loads(stored)
    except orjson.JSONDecodeError:
        return None
