"""User accounts."""

from collections.abc import Collection
from operator import attrgetter

from services.gateway.errors import forbidden
from services.gateway.graphql.failures import FORBIDDEN
from services.gateway.graphql.request import QUERY, Ask, GraphqlRequest, answers
from services.gateway.graphql.shape import Failure, Tables
from services.gateway.reading.jobs import accounts
from services.gateway.reading.model import Person
from shared.database.engine import read

HIDDEN = Failure("the account of another user is only shown to staff", FORBIDDEN)


async def names_of(request: GraphqlRequest, names: Collection[str]) -> dict[str, str]:
    """Real names by user name. Anyone who sees the statistics of these users may see them."""
    people = await read(request.gateway.engine, lambda connection: accounts(connection, names))
    return {person.username: person.name for person in people.values()}


@answers(QUERY, "user")
async def user(ask: Ask) -> Person | None:
    """Raises RequestError (403)."""
    name = ask["username"]
    if not ask.user.may_see_account(name):
        raise forbidden(HIDDEN.text)
    return (await read(ask.gateway.engine, lambda connection: accounts(connection, [name]))).get(name)


TABLES: Tables = {
    "User": {"username": attrgetter("username"), "name": attrgetter("name"), "email": attrgetter("email")},
}
