"""User accounts, and who may see them."""

from collections.abc import Callable, Collection

from services.gateway.errors import forbidden
from services.gateway.graphql.failures import FORBIDDEN
from services.gateway.graphql.request import Ask, GraphqlRequest, answers
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shape import Failure
from services.gateway.people.identity import ADMIN, MANAGER, SUPPORT, User
from services.gateway.reading.people import Person, accounts
from shared.database.reading import read

HIDDEN = Failure("the account of another user is only shown to staff", FORBIDDEN)


def visible_to(user: User) -> Callable[[str], bool]:
    """A test for user names: may this user see the account?"""
    sees_all = bool(user.roles & {ADMIN, SUPPORT, MANAGER})
    return lambda name: sees_all or name == user.name


async def names_of(request: GraphqlRequest, names: Collection[str]) -> dict[str, str]:
    """Real names by user name. Anyone who sees the statistics of these users may see them."""
    people = await read(request.site.engine, lambda connection: accounts(connection, names))
    return {person.username: person.name for person in people.values()}


@answers(QUERY, "user")
async def user(ask: Ask) -> Person | None:
    """Raises RequestError (403)."""
    name = ask["username"]
    if not visible_to(ask.user)(name):
        raise forbidden(HIDDEN.text)
    return (await read(ask.site.engine, lambda connection: accounts(connection, [name]))).get(name)
