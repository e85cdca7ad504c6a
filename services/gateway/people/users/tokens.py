"""The table ``api_token``: one row per issued token. Deleting a row revokes its token."""

from dataclasses import dataclass

import structlog
from sqlalchemy import Row, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.gateway.people.users.model import Account
from services.gateway.people.users.rows import find_account, lock, names_as_json, names_in
from services.gateway.people.users.rules import RuleBroken
from shared.database.engine import read, repeats_lost, transaction
from shared.database.functions import bytewise
from shared.database.tables import api_token

log = structlog.get_logger()

MAX_TOKENS = 100  # valid tokens of one user


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """Times are Unix seconds; a token without ``expires`` never expires.

    A personal token ends when its user is removed, loses a role or project, or gets another password or source.
    A token ``for_program`` is independent of the user's row. One with ``wall`` opens the wall screen of that cluster and nothing else.
    """

    id: str
    user: str
    roles: tuple[str, ...]
    issued: int
    issued_by: str
    expires: int | None = None
    label: str = ""
    for_program: bool = False
    wall: str = ""


class TokenStore:
    """Reads use the gateway's reading engine, writes the writing engine. Every method raises Unavailable."""

    def __init__(self, reading: AsyncEngine, writing: AsyncEngine) -> None:
        self._reading = reading
        self._writing = writing

    @repeats_lost
    async def add(self, token: IssuedToken, account: Account) -> None:
        """Raises RuleBroken when ``account`` is no longer the stored one, or the user has too many tokens."""
        async with transaction(self._writing) as connection:
            await lock(connection)
            if await find_account(connection, account.name) != account:
                raise RuleBroken(f"the user {account.name} has just been changed; try again")
            await connection.execute(delete(api_token).where(api_token.c.expires <= token.issued))
            held = await connection.scalar(select(func.count()).where(api_token.c.username == token.user)) or 0
            if held >= MAX_TOKENS:
                raise RuleBroken(f"{account.name} has {held} tokens, the maximum; revoke unused ones first")
            await connection.execute(insert(api_token).values(_row(token)))

    async def is_valid(self, number: str) -> bool:
        """Whether the token was issued here and not revoked. Its times are checked elsewhere."""
        statement = select(api_token.c.id).where(api_token.c.id == number)
        return await read(self._reading, lambda connection: connection.scalar(statement)) is not None

    async def all(self, now: int, user: str | None = None) -> list[IssuedToken]:
        """Valid tokens of ``user``, or of all users: by user, oldest first."""
        statement = select(api_token).where(or_(api_token.c.expires.is_(None), api_token.c.expires > now))
        if user is not None:
            statement = statement.where(api_token.c.username == user)
        statement = statement.order_by(bytewise(api_token.c.username), api_token.c.issued, api_token.c.id)
        return await read(self._reading, lambda connection: [_token(row) for row in connection.execute(statement)])

    @repeats_lost
    async def revoke(self, number: str, user: str | None = None) -> str | None:
        """Revoke one token, if it belongs to ``user`` where given. Returns the owner's name, None when there is no such token."""
        statement = delete(api_token).where(api_token.c.id == number)
        if user is not None:
            statement = statement.where(api_token.c.username == user)
        async with transaction(self._writing) as connection:
            owner = await connection.scalar(select(api_token.c.username).where(api_token.c.id == number))
            return owner if (await connection.execute(statement)).rowcount else None


async def end_personal_tokens(connection: AsyncConnection, user: str) -> None:
    """Part of the transaction that changes or removes the user."""
    ended = await connection.execute(delete(api_token).where(api_token.c.username == user, api_token.c.for_program == 0))
    if ended.rowcount:
        log.info("tokens_ended", user=user, tokens=ended.rowcount)


def _token(row: Row[tuple[object, ...]]) -> IssuedToken:
    return IssuedToken(
        id=row.id,
        user=row.username,
        roles=names_in(row.roles),
        issued=row.issued,
        issued_by=row.issued_by,
        expires=row.expires,
        label=row.label,
        for_program=bool(row.for_program),
        wall=row.wall or "",
    )


def _row(token: IssuedToken) -> dict[str, object]:
    return {
        "id": token.id,
        "username": token.user,
        "roles": names_as_json(token.roles),
        "label": token.label,
        "for_program": int(token.for_program),
        "issued": token.issued,
        "issued_by": token.issued_by,
        "expires": token.expires,
        "wall": token.wall or None,
    }
