"""Accounts by name: for whom, and whose."""

from collections.abc import Collection

from sqlalchemy import select

from services.gateway.errors import forbidden
from services.gateway.graphql.failures import FORBIDDEN
from services.gateway.graphql.request import Ask, GraphqlRequest, answers
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shape import Failure
from services.gateway.graphql.shapes.jobs import Person
from services.gateway.identity import ADMIN, MANAGER, SUPPORT, User
from shared.database.engine import transaction
from shared.database.tables import hpc_user

_FORBIDDEN = "the account of another user is not shown to everybody"
_NAMES_AT_ONCE = 500


def _may_see(user: User, name: str) -> bool:
    return name == user.name or bool(user.roles & {ADMIN, SUPPORT, MANAGER})


async def owners(request: GraphqlRequest, names: Collection[str]) -> dict[str, Person | Failure]:
    """By name; users without an account are absent."""
    hidden: dict[str, Person | Failure] = {name: Failure(_FORBIDDEN, FORBIDDEN) for name in names if not _may_see(request.user, name)}
    return hidden | await _people(request, [name for name in names if name not in hidden])


async def names_of(request: GraphqlRequest, names: Collection[str]) -> dict[str, str]:
    """Real names, which everybody may see who sees the statistics of these users."""
    return {person.username: person.name for person in (await _people(request, names)).values()}


async def _people(request: GraphqlRequest, names: Collection[str]) -> dict[str, Person]:
    columns = hpc_user.c
    found = {}
    wanted = sorted(name for name in names if "\0" not in name)
    async with transaction(request.site.engine) as connection:
        for first in range(0, len(wanted), _NAMES_AT_ONCE):
            part = wanted[first : first + _NAMES_AT_ONCE]
            statement = select(columns.username, columns.name, columns.email).where(columns.username.in_(part))
            for username, name, email in await connection.execute(statement):
                found[username] = Person(username, name or "", email or "")
    return found


@answers(QUERY, "user")
async def user(ask: Ask) -> Person | None:
    """Raises RequestError (403)."""
    found = (await owners(ask.request, [ask["username"]])).get(ask["username"])
    if isinstance(found, Failure):
        raise forbidden(found.text)
    return found
