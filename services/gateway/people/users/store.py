"""The tables of people: ``hpc_user`` as cc-backend keeps it, settings of each, sessions that were ended, texts of the site.

They are no projection of the log: written here directly, in short transactions that are durable when they return.
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson
from sqlalchemy import CursorResult, Row, Select, delete, exists, false, func, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.gateway.people.identity import ADMIN, AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import MAX_SETTINGS, Change, RuleBroken, require_another_admin, synced
from shared.database.engine import transaction
from shared.database.reading import read
from shared.database.tables import configuration, ended_session, hpc_user, site_text
from shared.errors import JobtideError

Json = Any


class UserUnknown(JobtideError):
    """There is no such row."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no user {name[:100]}")


def of_source(source: AuthSource, account: Account | None) -> Account | None:
    """The account when it is of this source: names alone do not tell people of different sources apart."""
    return account if account is not None and account.source is source else None


class UserStore:
    """Reads go through the gateway's reading engine, writes through one of their own. Everything raises Unavailable."""

    def __init__(self, reading: AsyncEngine, writing: AsyncEngine) -> None:
        self._reading = reading
        self._writing = writing

    async def find(self, name: str) -> Account | None:
        return await read(self._reading, lambda connection: _found(connection.execute(_one(name))))

    async def all(self) -> list[Account]:
        """By name."""
        statement = select(hpc_user).order_by(hpc_user.c.username)
        return await read(self._reading, lambda connection: [_account(row) for row in connection.execute(statement)])

    async def in_session(self, name: str, session: str) -> tuple[Account | None, bool]:
        """The account, and whether the session was ended: one statement, for every request with a cookie."""
        one = select(literal(1).label("one")).subquery()
        ended = exists(select(ended_session.c.id).where(ended_session.c.id == session))
        statement = select(ended.label("ended"), hpc_user).select_from(one.outerjoin(hpc_user, hpc_user.c.username == name))
        row = await read(self._reading, lambda connection: connection.execute(statement).one())
        return (None if row.username is None else _account(row)), bool(row.ended)

    async def add(self, account: Account) -> None:
        """Raises RuleBroken when the name is taken."""
        try:
            async with transaction(self._writing) as connection:
                await connection.execute(insert(hpc_user).values(_row(account)))
        except IntegrityError as e:
            raise RuleBroken(f"the user {account.name} exists already") from e

    async def change(self, name: str, change: Change) -> Account:
        """The account after the change. Raises UserUnknown, RuleBroken."""
        async with transaction(self._writing) as connection:
            await _lock(connection)
            account = await _find(connection, name)
            if account is None:
                raise UserUnknown(name)
            changed = change(account, await _admins_beside(connection, name) if ADMIN in account.roles else 0)
            if changed != account:
                await connection.execute(update(hpc_user).where(hpc_user.c.username == name).values(_row(changed)))
            return changed

    async def remove(self, name: str) -> None:
        """With the user's settings. Raises UserUnknown; RuleBroken for the last admin."""
        async with transaction(self._writing) as connection:
            await _lock(connection)
            account = await _find(connection, name)
            if account is None:
                raise UserUnknown(name)
            if ADMIN in account.roles:
                require_another_admin(account, await _admins_beside(connection, name))
            await connection.execute(delete(configuration).where(configuration.c.username == name))
            await connection.execute(delete(hpc_user).where(hpc_user.c.username == name))

    async def sync_at_login(self, given: Account, *, inserts: bool, updates: bool) -> Account | None:
        """Take over what a directory, provider or token said; returns the row as it is now, None when there is none of this source.

        A row of another source stays as it is: it is another person's, whatever the name.
        """
        if not inserts and not updates:
            return of_source(given.source, await self.find(given.name))
        async with transaction(self._writing) as connection:
            await _lock(connection)
            account = await _find(connection, given.name)
            if account is None:
                if not inserts:
                    return None
                await connection.execute(insert(hpc_user).values(_row(given)))
                return given
            if account.source is not given.source:
                return None
            changed = synced(account, given) if updates else account
            if changed != account:
                await connection.execute(update(hpc_user).where(hpc_user.c.username == given.name).values(_row(changed)))
            return changed

    async def sync_directory(self, source: AuthSource, found: Iterable[Account], *, removes: bool) -> tuple[list[str], list[str]]:
        """Make the accounts of one source those of a directory: names that were added and removed.

        Known ones stay as they are, and so do accounts of the same name from another source.
        """
        by_name = {account.name: account for account in found}
        async with transaction(self._writing) as connection:
            await _lock(connection)
            known = {row.username: row.ldap for row in await connection.execute(select(hpc_user.c.username, hpc_user.c.ldap))}
            added = sorted(by_name.keys() - known.keys())
            gone = sorted(name for name, of in known.items() if of == source and name not in by_name) if removes else []
            if added:
                await connection.execute(insert(hpc_user), [_row(by_name[name]) for name in added])
            for name in gone:
                await connection.execute(delete(configuration).where(configuration.c.username == name))
                await connection.execute(delete(hpc_user).where(hpc_user.c.username == name))
        return added, gone

    async def settings_of(self, name: str) -> dict[str, Json]:
        """Key to value; what is not JSON in the table is left out."""
        statement = select(configuration.c.confkey, configuration.c.value).where(configuration.c.username == name)
        rows = await read(self._reading, lambda connection: connection.execute(statement).all())
        return {row.confkey: value for row in rows if (value := _json(row.value)) is not None}

    async def set_setting(self, name: str, key: str, value: str) -> None:
        """``value`` is JSON text. Users without a row have settings too. Raises RuleBroken when there are too many."""
        async with transaction(self._writing) as connection:
            others = select(func.count()).where(configuration.c.username == name, configuration.c.confkey != key)
            if (await connection.scalar(others) or 0) >= MAX_SETTINGS:
                raise RuleBroken(f"more than {MAX_SETTINGS} settings of one user")
            await connection.execute(_upsert(connection, configuration, {"username": name, "confkey": key}, {"value": value}))

    async def end_session(self, session: str, expires: int, now: int) -> None:
        """``expires`` is when its cookie is too old anyway; rows past that are deleted."""
        async with transaction(self._writing) as connection:
            await connection.execute(delete(ended_session).where(ended_session.c.expires < now))
            await connection.execute(_upsert(connection, ended_session, {"id": session}, {"expires": expires}))

    async def site_text(self, name: str) -> str:
        statement = select(site_text.c.value).where(site_text.c.name == name)
        return str(await read(self._reading, lambda connection: connection.scalar(statement)) or "")

    async def set_site_text(self, name: str, value: str) -> None:
        async with transaction(self._writing) as connection:
            await connection.execute(_upsert(connection, site_text, {"name": name}, {"value": value}))


def _upsert(connection: AsyncConnection, table: Any, key: dict[str, object], values: dict[str, object]) -> Any:
    make: Callable[[Any], Any] = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(table).values(key | values).on_conflict_do_update(index_elements=list(key), set_=values)


async def _lock(connection: AsyncConnection) -> None:
    """Changes of people one after the other, so that two admins cannot remove each other. On SQLite a writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE hpc_user IN SHARE ROW EXCLUSIVE MODE"))


def _one(name: str) -> Select[Any]:
    # PostgreSQL refuses what it could not hold, even in a comparison.
    return select(hpc_user).where(false() if "\0" in name else hpc_user.c.username == name)


def _found(rows: CursorResult[Any]) -> Account | None:
    row = rows.one_or_none()
    return None if row is None else _account(row)


async def _find(connection: AsyncConnection, name: str) -> Account | None:
    return _found(await connection.execute(_one(name)))


async def _admins_beside(connection: AsyncConnection, name: str) -> int:
    rows = await connection.execute(select(hpc_user.c.roles).where(hpc_user.c.username != name))
    return sum(ADMIN in _names(row.roles) for row in rows)


def _account(row: Row[Any]) -> Account:
    try:
        source = AuthSource(row.ldap)
    except ValueError:
        source = AuthSource.UNKNOWN
    return Account(row.username, source, _names(row.roles), _names(row.projects), row.name or "", row.email or "", row.password or None)


def _row(account: Account) -> dict[str, object]:
    return {
        "username": account.name,
        "password": account.password,
        "ldap": int(account.source),
        "name": account.real_name,
        "roles": orjson.dumps(account.roles).decode(),
        "email": account.email,
        "projects": orjson.dumps(account.projects).decode(),
    }


def _names(stored: str | bytes | None) -> tuple[str, ...]:
    """A JSON list of names as cc-backend writes it: text or BLOB, possibly null, possibly with an empty name."""
    value = _json(stored)
    return tuple(dict.fromkeys(name for name in value if isinstance(name, str) and name)) if isinstance(value, list) else ()


def _json(stored: str | bytes | None) -> Json:
    try:
        return None if stored is None else orjson.loads(stored)
    except orjson.JSONDecodeError:
        return None
