"""Users and their personal settings, which jobtide does not keep in the log but in tables of the gateway."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cli.takeover.database import Row
from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rows import find_account, lock, names_in, row_of
from services.gateway.people.users.rules import (
    BadField,
    check_setting,
    check_user_name,
    ends_tokens,
    folded_name,
    known_roles,
    shown_text,
    usable_projects,
)
from services.gateway.people.users.tokens import end_personal_tokens
from shared.database.engine import transaction
from shared.database.tables import configuration, hpc_user, taken_over

USER, SETTING = "user", "setting"
_KEY = "username"
_SEPARATOR = "\n"  # between the user and the key of a setting; neither contains one

Setting = tuple[str, str, str]  # user, key, JSON text


@dataclass(slots=True)
class UserTally:
    """Numbers of users, and of settings written. ``kept`` are users that the site had before or has removed since.

    ``failed`` has a line for each that is left out.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    settings: int = 0
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def counted_users(users: Sequence[Row], settings: Sequence[Setting]) -> UserTally:
    """Count what a takeover would add to a site that has no users."""
    tally = UserTally()
    tally.new, tally.settings = len(list(_accounts(users, tally))), len(list(_usable(settings, tally)))
    return tally


async def bring_users(engine: AsyncEngine, users: Sequence[Row], settings: Sequence[Setting], *, dry_run: bool) -> UserTally:
    """Add users and settings, and change those that have changed in the source since they were taken over.

    What people changed here stays unless it has changed there as well. Users that are gone there stay. Raises Unavailable.
    """
    tally = UserTally()
    accounts = list(_accounts(users, tally))
    wanted = list(_usable(settings, tally))
    async with transaction(engine) as connection:
        await lock(connection)
        taken = {(row.kind, row.name): row.digest for row in await connection.execute(select(taken_over))}
        bringer = _Bringer(connection, taken, tally, dry_run=dry_run)
        names = {folded_name(name): name for name in await connection.scalars(select(hpc_user.c.username))}
        for account in accounts:
            await bringer.user(account, names)
        columns = configuration.c.username, configuration.c.confkey
        known = {(row[0], row[1]) for row in await connection.execute(select(*columns))}
        for user, key, value in wanted:
            await bringer.setting(user, key, value, is_known=(user, key) in known)
    return tally


class _Bringer:
    """``taken`` are the digests of what was taken over, by kind and name: of users ``brought_fields``."""

    def __init__(self, connection: AsyncConnection, taken: dict[tuple[str, str], str], tally: UserTally, *, dry_run: bool) -> None:
        self._connection = connection
        self._taken = taken
        self._tally = tally
        self._dry_run = dry_run

    async def user(self, account: Account, names: dict[str, str]) -> None:
        """``names`` are the names in use here, by their folded form."""
        tally, digest = self._tally, brought_fields(account)
        before, similar = self._taken.get((USER, account.name)), names.get(folded_name(account.name))
        if before == digest:
            tally.unchanged += 1
        elif similar not in (None, account.name):
            tally.failed.append(f"user {account.name}: too similar to {similar}, which exists already")
        elif (before is None) == (similar is None):
            names[folded_name(account.name)] = account.name
            await (self._add(account) if similar is None else self._change(account, before or ""))
            await self._remember(USER, account.name, digest)
        else:
            tally.kept.append(account.name)

    async def _add(self, account: Account) -> None:
        self._tally.new += 1
        if not self._dry_run:
            await self._connection.execute(insert(hpc_user).values(row_of(account)))

    async def _change(self, account: Account, before: str) -> None:
        """Change the fields that have changed there since ``before``."""
        self._tally.changed += 1
        if self._dry_run:
            return
        same = unchanged_fields(account, before)
        changes = {name: value for name, value in row_of(account).items() if name not in same}
        old = await find_account(self._connection, account.name)
        await self._connection.execute(update(hpc_user).where(hpc_user.c.username == account.name).values(changes))
        new = await find_account(self._connection, account.name)
        assert old is not None
        assert new is not None
        if ends_tokens(old, new):
            await end_personal_tokens(self._connection, account.name)

    async def setting(self, user: str, key: str, value: str, *, is_known: bool) -> None:
        name, digest = f"{user}{_SEPARATOR}{key}", _digest(value)
        before = self._taken.get((SETTING, name))
        if before == digest or (before is None and is_known):
            return
        self._tally.settings += 1
        if self._dry_run:
            return
        own = (configuration.c.username == user, configuration.c.confkey == key)
        if is_known:
            await self._connection.execute(update(configuration).where(*own).values(value=value))
        else:
            await self._connection.execute(insert(configuration).values(username=user, confkey=key, value=value))
        await self._remember(SETTING, name, digest)

    async def _remember(self, kind: str, name: str, digest: str) -> None:
        if self._dry_run:
            return
        if (kind, name) in self._taken:
            own = (taken_over.c.kind == kind, taken_over.c.name == name)
            await self._connection.execute(update(taken_over).where(*own).values(digest=digest))
        else:
            await self._connection.execute(insert(taken_over).values(kind=kind, name=name, digest=digest))


def account_of_row(row: Row) -> Account:
    """Raises BadField for a name that no user can have here."""
    check_user_name(row["username"])
    try:
        source = AuthSource(row["ldap"])
    except ValueError:
        source = AuthSource.LOCAL
    return Account(
        name=row["username"],
        source=source,
        roles=known_roles(name.lower() for name in names_in(row["roles"])),
        projects=usable_projects(names_in(row["projects"])),
        real_name=shown_text(row["name"] or ""),
        email=shown_text(row["email"] or ""),
        password=row["password"] or None,
    )


def brought_fields(account: Account) -> str:
    """JSON text with a digest for each column of ``hpc_user``."""
    digests = {name: _digest(orjson.dumps(value).decode()) for name, value in row_of(account).items() if name != _KEY}
    return orjson.dumps(digests, option=orjson.OPT_SORT_KEYS).decode()


def unchanged_fields(account: Account, before: str | None) -> set[str]:
    """The columns of ``hpc_user`` that are as in ``before``, an earlier result of ``brought_fields``; the name always is."""
    earlier, now = orjson.loads(before or "{}"), orjson.loads(brought_fields(account))
    return {_KEY} | {name for name, digest in now.items() if earlier.get(name) == digest}


def _accounts(rows: Sequence[Row], tally: UserTally) -> Iterator[Account]:
    for row in rows:
        try:
            yield account_of_row(row)
        except BadField as e:
            tally.failed.append(f"user {row['username']!r}: {e}")


def _usable(settings: Sequence[Setting], tally: UserTally) -> Iterator[Setting]:
    for user, key, value in settings:
        try:
            check_setting(key, value)
        except BadField as e:
            tally.failed.append(f"setting {key!r} of {user!r}: {e}")
        else:
            yield user, key, value


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
