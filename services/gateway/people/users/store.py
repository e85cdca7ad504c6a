"""The tables that the gateway owns: ``hpc_user`` with the columns of cc-backend, personal settings, ended sessions, site texts.

They are not projected from the log, but written here in short transactions that are durable on return.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, exists, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.gateway.people.identity import ADMIN, AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rows import Json, account_in, account_of, find_account, lock, names_in, parsed, row_of, select_one
from services.gateway.people.users.rules import (
    AccountChange,
    RuleBroken,
    check_setting,
    ends_tokens,
    folded_name,
    require_another_admin,
    require_distinct,
    synced,
)
from services.gateway.people.users.tokens import end_personal_tokens
from shared.database.dialects import dialect_of
from shared.database.engine import read, repeats_lost, transaction
from shared.database.functions import bytewise, characters
from shared.database.tables import configuration, ended_session, hpc_user, site_text
from shared.errors import JobtideError


class UserUnknown(JobtideError):
    """The user has no row."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no user {name[:100]}")


@dataclass(frozen=True, slots=True)
class SettingsLimits:
    """For the personal settings of one user; characters are those of keys and values together."""

    number: int = 1000
    characters: int = 1_000_000


@dataclass(frozen=True, slots=True)
class DirectoryChanges:
    """Names of users. ``similar`` ones were not added, since they can be mistaken for names in use."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    similar: list[str] = field(default_factory=list)


def of_source(source: AuthSource, account: Account | None) -> Account | None:
    """The account if it has this source. The same name from another source may be another person."""
    return account if account is not None and account.source is source else None


class UserStore:
    """Reads use the gateway's reading engine, writes the writing engine. Every method raises Unavailable."""

    def __init__(self, reading: AsyncEngine, writing: AsyncEngine, limits: SettingsLimits = SettingsLimits()) -> None:
        self._reading = reading
        self._writing = writing
        self._limits = limits

    async def find(self, name: str) -> Account | None:
        return await read(self._reading, lambda connection: account_in(connection.execute(select_one(name))))

    async def all(self) -> list[Account]:
        """All accounts, ordered by name."""
        statement = select(hpc_user).order_by(bytewise(hpc_user.c.username))
        return await read(self._reading, lambda connection: [account_of(row) for row in connection.execute(statement)])

    async def names_of(self, part: str, most: int) -> list[str]:
        """The names of users whose real names contain ``part``, without regard to case; the first ``most`` by name."""
        if "\0" in part:  # PostgreSQL rejects it
            return []
        holds = hpc_user.c.name.icontains(part, autoescape=True)
        statement = select(hpc_user.c.username).where(holds).order_by(bytewise(hpc_user.c.username)).limit(most)
        return await read(self._reading, lambda connection: list(connection.scalars(statement)))

    async def in_session(self, name: str, session: str) -> tuple[Account | None, bool]:
        """The account, and whether the session was ended. One statement, since every request with a cookie needs both."""
        one = select(literal(1).label("one")).subquery()
        ended = exists(select(ended_session.c.id).where(ended_session.c.id == session))
        statement = select(ended.label("ended"), hpc_user).select_from(one.outerjoin(hpc_user, hpc_user.c.username == name))
        row = await read(self._reading, lambda connection: connection.execute(statement).one())
        return (None if row.username is None else account_of(row)), bool(row.ended)

    @repeats_lost
    async def add(self, account: Account) -> None:
        """Raises RuleBroken when the name is taken, or too similar to one in use."""
        async with transaction(self._writing) as connection:
            await lock(connection)
            await _insert(connection, account)

    async def similar(self, name: str) -> str | None:
        """The name of a user that differs from ``name`` but can be mistaken for it."""
        statement = select(hpc_user.c.username).where(hpc_user.c.username != name)
        names = await read(self._reading, lambda connection: connection.scalars(statement).all())
        folded = folded_name(name)
        return next((other for other in names if folded_name(other) == folded), None)

    @repeats_lost
    async def change(self, name: str, change: AccountChange) -> Account:
        """The account after the change. Raises UserUnknown, RuleBroken."""
        async with transaction(self._writing) as connection:
            await lock(connection)
            account = await find_account(connection, name)
            if account is None:
                raise UserUnknown(name)
            changed = change(account, await _admins_beside(connection, name) if ADMIN in account.roles else 0)
            await _write(connection, account, changed)
            return changed

    @repeats_lost
    async def remove(self, name: str) -> None:
        """Also removes the user's settings and personal tokens. Raises UserUnknown; RuleBroken for the last admin."""
        async with transaction(self._writing) as connection:
            await lock(connection)
            account = await find_account(connection, name)
            if account is None:
                raise UserUnknown(name)
            if ADMIN in account.roles:
                require_another_admin(account, await _admins_beside(connection, name))
            await _delete(connection, name)

    @repeats_lost
    async def sync_at_login(self, given: Account, *, inserts: bool, updates: bool) -> Account | None:
        """Add or update the user that a directory, provider or token gave; returns the stored account, None without one.

        A row of the same name from another source belongs to another person and stays unchanged. Raises RuleBroken when a
        new name is too similar to one in use.
        """
        if not inserts and not updates:
            return of_source(given.source, await self.find(given.name))
        async with transaction(self._writing) as connection:
            await lock(connection)
            account = await find_account(connection, given.name)
            if account is None:
                if not inserts:
                    return None
                await _insert(connection, given)
                return given
            if account.source is not given.source:
                return None
            changed = synced(account, given) if updates else account
            await _write(connection, account, changed)
            return changed

    @repeats_lost
    async def sync_directory(self, source: AuthSource, found: Collection[Account], *, removes: bool) -> DirectoryChanges:
        """Add the accounts of a directory, and with ``removes`` remove those of its source that it no longer has.

        Accounts that exist stay unchanged, also those of the same name from another source.
        """
        by_name = {account.name: account for account in found}
        async with transaction(self._writing) as connection:
            await lock(connection)
            known = {row.username: row.ldap for row in await connection.execute(select(hpc_user.c.username, hpc_user.c.ldap))}
            gone = sorted(name for name, of in known.items() if of == source and name not in by_name) if removes else []
            for name in gone:
                await _delete(connection, name)
            in_use = {folded_name(name) for name in known.keys() - set(gone)}
            changes = DirectoryChanges(removed=gone)
            for name in sorted(by_name.keys() - known.keys()):
                if folded_name(name) in in_use:
                    changes.similar.append(name)
                    continue
                in_use.add(folded_name(name))
                changes.added.append(name)
            if changes.added:
                await connection.execute(insert(hpc_user), [row_of(by_name[name]) for name in changes.added])
        return changes

    async def settings_of(self, name: str) -> dict[str, Json]:
        """Values by key; rows that are not JSON are omitted."""
        statement = select(configuration.c.confkey, configuration.c.value).where(configuration.c.username == name)
        rows = await read(self._reading, lambda connection: connection.execute(statement).all())
        return {row.confkey: value for row in rows if (value := parsed(row.value)) is not None}

    @repeats_lost
    async def set_setting(self, name: str, key: str, value: str) -> None:
        """``value`` is JSON text. Users without a row have settings too. Raises BadField; RuleBroken above the limits."""
        check_setting(key, value)
        own, size = configuration.c.username == name, characters(configuration.c.confkey) + characters(configuration.c.value)
        async with transaction(self._writing) as connection:
            others = select(func.count(), func.coalesce(func.sum(size), 0)).where(own, configuration.c.confkey != key)
            number, stored = (await connection.execute(others)).one()
            before = await connection.scalar(select(size).where(own, configuration.c.confkey == key))
            added = len(key) + len(value)
            if before is None and number >= self._limits.number:
                raise RuleBroken(f"{name} has {number} settings, the maximum (gateway.max_settings)")
            if stored + added > self._limits.characters and added > (before or 0):
                raise RuleBroken(f"the settings of {name} exceed {self._limits.characters} characters (gateway.max_settings_characters)")
            await connection.execute(_upsert(connection, configuration, {"username": name, "confkey": key}, {"value": value}))

    @repeats_lost
    async def end_session(self, session: str, expires: int, now: int) -> None:
        """``expires`` is when the cookie expires anyway; rows that expired before ``now`` are deleted."""
        async with transaction(self._writing) as connection:
            await connection.execute(delete(ended_session).where(ended_session.c.expires < now))
            await connection.execute(_upsert(connection, ended_session, {"id": session}, {"expires": expires}))

    async def site_text(self, name: str) -> str:
        statement = select(site_text.c.value).where(site_text.c.name == name)
        return str(await read(self._reading, lambda connection: connection.scalar(statement)) or "")

    @repeats_lost
    async def set_site_text(self, name: str, value: str) -> None:
        async with transaction(self._writing) as connection:
            await connection.execute(_upsert(connection, site_text, {"name": name}, {"value": value}))


def _upsert(connection: AsyncConnection, table: Any, key: dict[str, object], values: dict[str, object]) -> Any:
    return dialect_of(connection).upsert(table, key, values)


async def _insert(connection: AsyncConnection, account: Account) -> None:
    """Raises RuleBroken."""
    require_distinct(account.name, (await connection.scalars(select(hpc_user.c.username))).all())
    await connection.execute(insert(hpc_user).values(row_of(account)))


async def _write(connection: AsyncConnection, account: Account, changed: Account) -> None:
    if changed == account:
        return
    await connection.execute(update(hpc_user).where(hpc_user.c.username == account.name).values(row_of(changed)))
    if ends_tokens(account, changed):
        await end_personal_tokens(connection, account.name)


async def _delete(connection: AsyncConnection, name: str) -> None:
    await end_personal_tokens(connection, name)
    await connection.execute(delete(configuration).where(configuration.c.username == name))
    await connection.execute(delete(hpc_user).where(hpc_user.c.username == name))


async def _admins_beside(connection: AsyncConnection, name: str) -> int:
    rows = await connection.execute(select(hpc_user.c.roles).where(hpc_user.c.username != name))
    return sum(ADMIN in names_in(row.roles) for row in rows)
