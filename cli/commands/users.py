"""`jobtide user`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli.site import find_site
from shared.errors import UserError
from shared.settings import load

if TYPE_CHECKING:
    from services.gateway.people.users.model import Account
    from services.gateway.people.users.rules import AccountChange
    from services.gateway.people.users.store import UserStore


@asynccontextmanager
async def _store(data: Path | None) -> AsyncIterator["UserStore"]:
    from services.gateway.people.users.store import UserStore
    from shared.database.engine import opened
    from shared.database.schema import require_schema

    async with opened(find_site(data).database, durable=True, connections=1) as engine:
        await require_schema(engine)
        yield UserStore(engine, engine)


def _run(data: Path | None, work: Callable[["UserStore"], Awaitable[None]]) -> None:
    """Run ``work``. Raises UserError when a rule forbids the change."""
    from services.gateway.people.users.rules import RuleBroken
    from services.gateway.people.users.store import UserUnknown

    async def run() -> None:
        async with _store(data) as store:
            await work(store)

    try:
        asyncio.run(run())
    except (RuleBroken, UserUnknown) as e:
        raise UserError(str(e)) from e


def _password(*, from_stdin: bool) -> str:
    """The password, typed twice on a terminal or read as one line of standard input. Raises UserError."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask for the password; give it with --password-stdin")
    import typer

    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _hashed(password: str) -> str:
    from services.gateway.people.auth.hashes import hash_password
    from services.gateway.people.auth.settings import AuthSettings
    from services.gateway.people.users.rules import BadField

    try:
        return hash_password(password, load(AuthSettings).min_password_characters)
    except BadField as e:
        raise UserError(str(e)) from e


def run_add(data: Path | None, name: str, roles: list[str], projects: list[str], real_name: str, email: str, *, from_stdin: bool) -> None:
    from services.gateway.people.users.rules import BadField, needs_password, new_account

    try:
        # Validate everything else before asking for a password.
        account = new_account(name, roles, projects=projects, has_password=True, real_name=real_name, email=email)
    except BadField as e:
        raise UserError(str(e)) from e
    if from_stdin or needs_password(account.roles):
        account = replace(account, password=_hashed(_password(from_stdin=from_stdin)))

    async def add(store: "UserStore") -> None:
        await store.add(account)
        print(f"added {account.name} with the role{'s' if len(account.roles) > 1 else ''} {', '.join(account.roles)}")

    _run(data, add)


def run_list(data: Path | None) -> None:
    from rich.table import Table

    from cli.tables import print_tables

    async def show(store: "UserStore") -> None:
        table = Table("name", "roles", "projects", "signs in by", "real name", "email", box=None, pad_edge=False)
        for account in await store.all():
            table.add_row(
                account.name, ", ".join(account.roles), ", ".join(account.projects), _way(account), account.real_name, account.email
            )
        print_tables(table)

    _run(data, show)


def _way(account: "Account") -> str:
    from services.gateway.people.identity import AuthSource

    if account.source is AuthSource.LOCAL:
        return "password" if account.password else "token only"
    return {AuthSource.LDAP: "LDAP", AuthSource.TOKEN: "token of a portal", AuthSource.OIDC: "OpenID Connect"}.get(
        account.source, "unknown"
    )


def run_remove(data: Path | None, name: str) -> None:
    async def remove(store: "UserStore") -> None:
        await store.remove(name)
        print(f"removed {name}")

    _run(data, remove)


def run_role(data: Path | None, name: str, add: list[str], remove: list[str]) -> None:
    from services.gateway.people.users.rules import with_role, without_role

    _change(data, name, "--add or --remove ROLE", lambda: [*map(with_role, add), *map(without_role, remove)])


def run_project(data: Path | None, name: str, add: list[str], remove: list[str]) -> None:
    from services.gateway.people.users.rules import with_project, without_project

    _change(data, name, "--add or --remove PROJECT", lambda: [*map(with_project, add), *map(without_project, remove)])


def _change(data: Path | None, name: str, options: str, make: Callable[[], "list[AccountChange]"]) -> None:
    """Apply all changes in one transaction."""
    from services.gateway.people.users.rules import all_of

    async def change(store: "UserStore") -> None:
        changes = make()
        if not changes:
            raise UserError(f"nothing to do; give {options}")
        account = await store.change(name, all_of(changes))
        roles = ", ".join(account.roles) or "no role"
        print(f"{name}: {roles}" + (f"; supervises {', '.join(account.projects)}" if account.projects else ""))

    _run(data, change)


def run_password(data: Path | None, name: str, *, from_stdin: bool) -> None:
    from services.gateway.people.users.rules import with_password

    hashed = _hashed(_password(from_stdin=from_stdin))

    async def change(store: "UserStore") -> None:
        await store.change(name, with_password(hashed))
        print(f"{name} has a new password")

    _run(data, change)
