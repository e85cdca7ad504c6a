"""Turns the claims of the provider into an account."""

from collections.abc import Collection

from services.gateway.errors import bad_request
from services.gateway.people.auth.oidc.http import Object
from services.gateway.people.identity import API, MANAGER, ROLES, USER, AuthSource
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import is_user_name, shown_text, usable_projects

EVERY_CLIENT = "*"


def account_of(claims: Object, info: Object, client_id: str, roles_clients: Collection[str]) -> Account:
    """``claims`` are those of the ID token, the only source of roles and projects; names come from ``info`` first.

    Raises RequestError (400) without a usable name.
    """
    name = info.get("preferred_username", claims.get("preferred_username"))
    if not isinstance(name, str) or not is_user_name(name):
        raise bad_request("the sign-in provider gave no user name that can be used here (preferred_username)")
    shown = info.get("name", claims.get("name"))
    real_name = shown_text(shown) if isinstance(shown, str) else ""
    roles = roles_of(claims, frozenset(roles_clients) or frozenset({client_id}))
    projects = usable_projects(_texts(claims.get("projects"))) if MANAGER in roles else ()
    return Account(name, AuthSource.OIDC, roles, projects, real_name)


def roles_of(claims: Object, clients: Collection[str]) -> tuple[str, ...]:
    """Known roles of the realm and of these clients, never ``api``; ``user`` when there is none."""
    named = set(_texts(_inside(claims.get("realm_access"), "roles")))
    access = claims.get("resource_access")
    for client, granted in access.items() if isinstance(access, dict) else ():
        if EVERY_CLIENT in clients or client in clients:
            named.update(_texts(_inside(granted, "roles")))
    return tuple(role for role in ROLES if role in named and role != API) or (USER,)


def _inside(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
