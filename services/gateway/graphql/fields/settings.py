"""Settings of the user interface, stored per user."""

from services.gateway.errors import bad_request
from services.gateway.graphql.request import MUTATION, Ask, answers
from services.gateway.people.users.rules import RuleBroken


@answers(MUTATION, "updateConfiguration")
async def update_configuration(ask: Ask) -> None:
    """Set one of the caller's settings. Raises RequestError (400) for a value that is not JSON, and above the limits of one user."""
    try:
        await ask.gateway.users.set_setting(ask.user.name, ask["name"], ask["value"])
    except RuleBroken as e:
        raise bad_request(str(e)) from e
