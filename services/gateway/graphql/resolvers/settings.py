"""Settings of the user interface, stored per user."""

import orjson

from services.gateway.errors import bad_request
from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.roots import MUTATION
from services.gateway.people.users.rules import RuleBroken

MAX_NAME = 255
MAX_VALUE = 64 * 1024


@answers(MUTATION, "updateConfiguration")
async def update_configuration(ask: Ask) -> None:
    """Set one of the caller's settings. Raises RequestError (400) when the value is not JSON."""
    name, value = ask["name"], ask["value"]
    if not name or len(name) > MAX_NAME or "\0" in name:
        raise bad_request(f"name: must have 1 to {MAX_NAME} characters")
    if len(value) > MAX_VALUE:
        raise bad_request(f"value: longer than {MAX_VALUE} characters")
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as e:
        raise bad_request(f"value: not JSON: {e}") from e
    try:
        await ask.site.users.set_setting(ask.user.name, name, value)
    except RuleBroken as e:
        raise bad_request(str(e)) from e
