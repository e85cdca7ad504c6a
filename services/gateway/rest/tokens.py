"""API tokens: issued to signed-in users, listed and revoked by their owners and by admins."""

from http import HTTPStatus
from typing import Annotated, Any

from aiohttp import hdrs, web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, forbidden, not_found
from services.gateway.frame.answers import answer, message
from services.gateway.frame.credentials import Guard
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.people.auth.origin import refuse_other_sites
from services.gateway.people.users.rules import MAX_TEXT, RuleBroken
from services.gateway.people.users.store import of_source
from services.gateway.people.users.tokens import IssuedToken
from services.gateway.rest.models import Message, TokenObject

routes = Routes[Call]("tokens", guard=Guard.FRONTEND)

Name = Annotated[str, Field(max_length=MAX_TEXT)]


class TokenQuery(Query):
    username: Name = Field("", description="User the token is for; other users than oneself for admins only.")
    label: Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        "", description="Purpose of the token, shown in the list of tokens."
    )
    program: Annotated[str, Field(pattern=r"^(true|false|)$")] = Field(
        "", description="`true`, for admins only: the token stays valid when its user is changed or removed."
    )


class TokenListQuery(Query):
    username: Name = Field("", description="Only tokens of this user.")


@routes("GET", "/frontend/jwt/", query=TokenQuery, answers={200: str}, failures=(400, 404, 422, 500, 503))
async def issue_token(call: Call) -> web.StreamResponse:
    """Issue a token for the API, signed with the roles of the database."""
    refuse_other_sites(call.request)
    query = read_query(TokenQuery, call.request)
    name, for_program = query.username, query.program == "true"
    if name != call.user.name and not call.user.is_admin:
        raise forbidden("only an admin may make tokens for others")
    if for_program and not call.user.is_admin:
        raise forbidden("program: only an admin may make tokens for programs")
    found = await call.gateway.users.find(name)
    account = found if call.user.is_admin else of_source(call.user.source, found)
    if account is None:
        raise not_found(f"there is no user {name!r} in the database")
    try:
        token = await call.gateway.auth.tokens.issue(account, call.user.name, label=query.label, for_program=for_program)
    except RuleBroken as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    return web.Response(text=token, headers={hdrs.CACHE_CONTROL: "no-store"})


def token_object(token: IssuedToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "username": token.user,
        "roles": list(token.roles),
        "label": token.label,
        "program": token.for_program,
        "issued": token.issued,
        "issuedBy": token.issued_by,
        "expires": token.expires,
        "wall": token.wall or None,
    }


@routes("GET", "/frontend/tokens/", answers={200: list[TokenObject]}, failures=(503,))
async def list_own_tokens(call: Call) -> web.StreamResponse:
    """List one's own valid tokens. The tokens themselves are not stored."""
    return await _list(call, call.user.name)


@routes("DELETE", "/frontend/tokens/{id}", answers={200: Message}, failures=(404, 503))
async def revoke_own_token(call: Call) -> web.StreamResponse:
    """Revoke one of one's own tokens."""
    return await _revoke(call, call.user.name)


@routes("GET", "/config/tokens/", query=TokenListQuery, answers={200: list[TokenObject]}, failures=(400, 503), guard=Guard.CONFIG)
async def list_tokens_for_page(call: Call) -> web.StreamResponse:
    """List the valid tokens of all users."""
    return await _list(call, read_query(TokenListQuery, call.request).username or None)


@routes("DELETE", "/config/tokens/{id}", answers={200: Message}, failures=(404, 503), guard=Guard.CONFIG)
async def revoke_token_for_page(call: Call) -> web.StreamResponse:
    """Revoke a token of any user."""
    return await _revoke(call)


@routes("GET", "/api/tokens/", query=TokenListQuery, answers={200: list[TokenObject]}, failures=(400, 503), guard=Guard.API)
async def list_tokens(call: Call) -> web.StreamResponse:
    """List the valid tokens of all users, for admins."""
    _require_admin(call)
    return await _list(call, read_query(TokenListQuery, call.request).username or None)


@routes("DELETE", "/api/tokens/{id}", answers={200: Message}, failures=(404, 503), guard=Guard.API)
async def revoke_token(call: Call) -> web.StreamResponse:
    """Revoke a token of any user, for admins."""
    _require_admin(call)
    return await _revoke(call)


def _require_admin(call: Call) -> None:
    if not call.user.is_admin:
        raise forbidden("the role admin is needed")


async def _list(call: Call, user: str | None) -> web.Response:
    return answer([token_object(token) for token in await call.gateway.auth.tokens.listed(user)])


async def _revoke(call: Call, user: str | None = None) -> web.Response:
    number = call.request.match_info["id"]
    if not await call.gateway.auth.tokens.revoke(number, call.user.name, user):
        raise not_found(f"there is no token {number[:60]!r}")
    return message(f"token {number} is revoked")
