"""Users and their roles: under ``/api`` for programs of admins, under ``/config`` for the pages of admins."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import RequestError, bad_request, forbidden
from services.gateway.frame.answers import answer, message
from services.gateway.frame.bodies import read_body
from services.gateway.frame.credentials import Guard
from services.gateway.frame.forms import read_form
from services.gateway.frame.query import Query, read_query
from services.gateway.frame.routes import Routes
from services.gateway.people.identity import ROLES, USER
from services.gateway.people.users.model import Account
from services.gateway.people.users.rules import (
    AccountChange,
    BadField,
    RuleBroken,
    new_account,
    with_project,
    with_role,
    without_project,
    without_role,
)
from services.gateway.people.users.store import UserUnknown
from services.gateway.rest.models import Message, UserObject
from shared.domain.wire import WireModel, read_object

routes = Routes[Call]("users")
pages = Routes[Call]("configuration", guard=Guard.CONFIG)

Text = Annotated[str, Field(max_length=1024)]


class UserListQuery(Query):
    not_just_user: Text = Field("", alias="not-just-user", description="`true`: only users with another role than `user`.")


def user_object(account: Account) -> dict[str, Any]:
    return {
        "username": account.name,
        "name": account.real_name,
        "roles": list(account.roles),
        "email": account.email,
        "projects": list(account.projects),
        "authType": 0,
        "authSource": int(account.source),
    }


@routes("GET", "/api/users/", query=UserListQuery, answers={200: list[UserObject]}, failures=(400, 503))
async def list_users(call: Call) -> web.StreamResponse:
    """List users, for admins."""
    return await _list(call)


@pages("GET", "/config/users/", query=UserListQuery, answers={200: list[UserObject]}, failures=(400, 503))
async def list_users_for_page(call: Call) -> web.StreamResponse:
    """List users."""
    return await _list(call)


async def _list(call: Call) -> web.StreamResponse:
    _require_admin(call)
    only_special = read_query(UserListQuery, call.request).not_just_user == "true"
    accounts = await call.gateway.users.all()
    return answer([user_object(account) for account in accounts if not only_special or account.roles not in ((USER,), ())])


def _require_admin(call: Call) -> None:
    if not call.user.is_admin:
        raise forbidden("the role admin is needed")


class UserChange(WireModel):
    """One change. If several are given, only the first in this order is made."""

    add_role: Text = Field("", alias="add-role")
    remove_role: Text = Field("", alias="remove-role")
    add_project: Text = Field("", alias="add-project")
    remove_project: Text = Field("", alias="remove-project")


class UserChangeForm(Query):
    add_role: Text = Field("", alias="add-role")
    remove_role: Text = Field("", alias="remove-role")
    add_project: Text = Field("", alias="add-project")
    remove_project: Text = Field("", alias="remove-project")


@routes("POST", "/api/user/{name}", body=UserChange, answers={200: Message}, failures=(400, 413, 422, 503))
async def change_user(call: Call) -> web.StreamResponse:
    """Add or remove a role or a project of a user."""
    _require_admin(call)
    wanted, _ = read_object(UserChange, await read_body(call.request))
    done, name = await _change(call, wanted)
    return message(f"{done} for user {name}")


@pages("POST", "/config/user/{name}", form=UserChangeForm, answers={200: Message}, failures=(400, 413, 422, 503))
async def change_user_by_form(call: Call) -> web.StreamResponse:
    """Add or remove a role or a project of a user."""
    done, _ = await _change(call, await read_form(UserChangeForm, call.request))
    return message(done)


async def _change(call: Call, wanted: UserChange | UserChangeForm) -> tuple[str, str]:
    name = call.request.match_info["name"]
    try:
        for value, change, done in (
            (wanted.add_role, with_role, "Add Role Success"),
            (wanted.remove_role, without_role, "Remove Role Success"),
            (wanted.add_project, with_project, "Add Project Success"),
            (wanted.remove_project, without_project, "Remove Project Success"),
        ):
            if value:
                rule: AccountChange = change(value)
                await call.gateway.users.change(name, rule)
                return done, name
    except (RuleBroken, UserUnknown) as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    raise bad_request("nothing to do: give one of add-role, remove-role, add-project, remove-project")


class NewUserForm(Query):
    username: Text
    password: Text = ""
    role: Text
    name: Text = ""
    email: Text = ""
    project: Text = ""


@pages("POST PUT", "/config/users/", form=NewUserForm, answers={200: str}, failures=(400, 413, 422, 503))
async def create_user(call: Call) -> web.StreamResponse:
    """Create a user with a local password."""
    form = await read_form(NewUserForm, call.request)
    try:
        account = new_account(
            form.username,
            [form.role],
            projects=[form.project] if form.project else [],
            has_password=bool(form.password),
            real_name=form.name,
            email=form.email,
        )
    except BadField as e:
        raise bad_request(str(e)) from e
    try:
        hashed = await call.gateway.auth.passwords.hash(form.password, call.origin) if form.password else None
        await call.gateway.users.add(replace(account, password=hashed))
    except RuleBroken as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    return web.Response(text=f"User {account.name} successfully created!\n")


class NameForm(Query):
    username: Text


@pages("DELETE", "/config/users/", form=NameForm, answers={200: None}, failures=(400, 404, 413, 422, 503))
async def delete_user(call: Call) -> web.StreamResponse:
    """Delete a user with all personal settings and tokens."""
    name = (await read_form(NameForm, call.request)).username
    try:
        await call.gateway.users.remove(name)
    except UserUnknown as e:
        raise RequestError(HTTPStatus.NOT_FOUND, str(e)) from e
    except RuleBroken as e:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, str(e)) from e
    return web.Response()


@pages("GET", "/config/roles/", answers={200: list[str]})
async def list_roles(_: Call) -> web.StreamResponse:
    """The names of the roles, by rising privilege."""
    return answer(ROLES)
