"""Rules for users: pure functions from account to account, used by REST, ``/config`` and the command line."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import orjson

from services.gateway.people.identity import ADMIN, API, MANAGER, ROLES, AuthSource
from services.gateway.people.users.model import Account
from shared.errors import JobtideError

MAX_NAME_BYTES = 100
MAX_TEXT = 255  # characters; the width of columns in cc-backend
MAX_SETTING_KEY = 255  # characters
MAX_SETTING_VALUE = 65_536
MAX_PASSWORD_BYTES = 72  # bcrypt ignores the rest
MAX_PROJECTS = 1000  # of one user, from a provider or token

AccountChange = Callable[[Account, int], Account]  # the argument after the account is the number of other admins


class RuleBroken(JobtideError):
    """The change is not allowed; the text says why."""


class BadField(RuleBroken):
    """The given value is malformed."""


def role_name(text: str) -> str:
    """The name in lower case. Raises BadField."""
    name = text.strip().lower()
    if name not in ROLES:
        raise BadField(f"role: {text[:60]!r} is none of {', '.join(ROLES)}")
    return name


def project_name(text: str) -> str:
    """Raises BadField."""
    name = text.strip()
    if not name or len(name) > MAX_TEXT or not name.isprintable():
        raise BadField("project: empty, too long, or with control characters")
    return name


def folded_name(name: str) -> str:
    """The form in which two user names are compared: equal for names that differ in case or in compatible characters only."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_user_name(name: str) -> None:
    """The grammar of user names from all sources. Raises BadField.

    Control and format characters are not printable, which excludes invisible ones and changes of the direction of text.
    """
    if not name or name != name.strip() or not name.isprintable():
        raise BadField("username: empty, with blanks around it, or with characters that cannot be printed")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadField(f"username: longer than {MAX_NAME_BYTES} bytes")


def is_user_name(name: str) -> bool:
    try:
        check_user_name(name)
    except BadField:
        return False
    return True


def require_distinct(name: str, others: Iterable[str]) -> None:
    """Raises RuleBroken when a new name can be mistaken for one of ``others``, which are names in use."""
    folded = folded_name(name)
    for other in others:
        if folded_name(other) == folded:
            taken = "exists already" if other == name else f"is too similar to {other}, which exists already"
            raise RuleBroken(f"the user {name} {taken}")


def shown_text(text: str) -> str:
    """Make a text from outside, such as a real name, fit its column."""
    return "".join(c for c in text if c.isprintable())[:MAX_TEXT]


def known_roles(names: Iterable[str]) -> tuple[str, ...]:
    """The roles that exist here, without duplicates."""
    return tuple(dict.fromkeys(name for name in names if name in ROLES))


def usable_projects(names: Iterable[str]) -> tuple[str, ...]:
    """The names that can be projects, without duplicates, up to ``MAX_PROJECTS``."""
    usable = (name for name in names if name and name == name.strip() and name.isprintable() and len(name) <= MAX_TEXT)
    return tuple(dict.fromkeys(usable))[:MAX_PROJECTS]


def new_account(
    name: str,
    roles: Iterable[str],
    *,
    projects: Iterable[str] = (),
    has_password: bool,
    real_name: str = "",
    email: str = "",
) -> Account:
    """A local account without its password hash. Raises BadField."""
    check_user_name(name)
    for field, text in (("name", real_name), ("email", email)):
        if len(text) > MAX_TEXT or not text.isprintable():
            raise BadField(f"{field}: longer than {MAX_TEXT} characters, or with control characters")
    held = tuple(dict.fromkeys(role_name(role) for role in roles))
    supervised = tuple(dict.fromkeys(project_name(project) for project in projects))
    if not held:
        raise BadField(f"role: needed, one of {', '.join(ROLES)}")
    if not has_password and needs_password(held):
        raise BadField("password: required unless the only role is api")
    if supervised and MANAGER not in held:
        raise BadField("project: only for the role manager")
    if MANAGER in held and not supervised:
        raise BadField("project: needed for the role manager")
    return Account(name, AuthSource.LOCAL, held, supervised, real_name, email)


def check_setting(key: str, value: str) -> None:
    """Raises BadField. ``value`` is JSON text."""
    if not key or len(key) > MAX_SETTING_KEY or not key.isprintable():
        raise BadField(f"key: must have 1 to {MAX_SETTING_KEY} printable characters")
    if len(value) > MAX_SETTING_VALUE:
        raise BadField(f"value: longer than {MAX_SETTING_VALUE} characters")
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as e:
        raise BadField(f"value: not JSON: {e}") from e


def needs_password(roles: tuple[str, ...]) -> bool:
    """Programs can use tokens alone."""
    return roles != (API,)


def check_password(password: str, min_characters: int) -> str:
    """Raises BadField for a new password that is too short, or that bcrypt cannot take whole."""
    if not password:
        raise BadField("password: empty")
    if len(password) < min_characters:
        raise BadField(f"password: shorter than {min_characters} characters")
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise BadField(f"password: longer than {MAX_PASSWORD_BYTES} bytes")
    if "\0" in password:
        raise BadField("password: contains a null character")
    return password


def with_role(role: str) -> AccountChange:
    """Raises BadField at once for an unknown role; the change raises RuleBroken when the account has it already."""
    name = role_name(role)

    def change(account: Account, _: int) -> Account:
        if name in account.roles:
            raise RuleBroken(f"{account.name} has the role {name} already")
        return replace(account, roles=(*account.roles, name))

    return change


def without_role(role: str) -> AccountChange:
    name = role_name(role)

    def change(account: Account, other_admins: int) -> Account:
        if name not in account.roles:
            raise RuleBroken(f"{account.name} does not have the role {name}")
        if name == MANAGER and account.projects:
            raise RuleBroken(f"{account.name} supervises {', '.join(account.projects)}: remove these projects first")
        if name == ADMIN:
            require_another_admin(account, other_admins)
        return replace(account, roles=tuple(held for held in account.roles if held != name))

    return change


def with_project(project: str) -> AccountChange:
    name = project_name(project)

    def change(account: Account, _: int) -> Account:
        _require_manager(account)
        if name in account.projects:
            raise RuleBroken(f"{account.name} supervises {name} already")
        return replace(account, projects=(*account.projects, name))

    return change


def without_project(project: str) -> AccountChange:
    name = project_name(project)

    def change(account: Account, _: int) -> Account:
        _require_manager(account)
        if name not in account.projects:
            raise RuleBroken(f"{account.name} does not supervise {name}")
        return replace(account, projects=tuple(held for held in account.projects if held != name))

    return change


def with_password(hashed: str) -> AccountChange:
    def change(account: Account, _: int) -> Account:
        if account.source is not AuthSource.LOCAL:
            raise RuleBroken(f"{account.name} does not sign in by a local password, but by {account.source.name}")
        return replace(account, password=hashed)

    return change


def all_of(changes: Sequence[AccountChange]) -> AccountChange:
    """One change that applies all of them, or none."""

    def change(account: Account, other_admins: int) -> Account:
        for each in changes:
            account = each(account, other_admins)
        return account

    return change


def require_another_admin(account: Account, other_admins: int) -> None:
    """Raises RuleBroken when removing the account would leave no admin."""
    if ADMIN in account.roles and other_admins == 0:
        raise RuleBroken(f"{account.name} is the last admin")


def ends_tokens(before: Account, after: Account) -> bool:
    """Whether the change takes away something that the user's personal tokens were issued with."""
    return (
        (before.source, before.password) != (after.source, after.password)
        or bool(set(before.roles) - set(after.roles))
        or bool(set(before.projects) - set(after.projects))
    )


def _require_manager(account: Account) -> None:
    if MANAGER not in account.roles:
        raise RuleBroken(f"{account.name} does not have the role {MANAGER}")


def synced(account: Account, given: Account) -> Account:
    """Update a known account from a directory or token at sign-in; email, password and source are unchanged."""
    was, will_be = set(account.roles), set(given.roles)
    projects = account.projects
    becomes_manager = MANAGER in will_be and MANAGER not in was and ADMIN not in will_be
    if (MANAGER in was and MANAGER in will_be) or becomes_manager:
        projects = given.projects
    elif MANAGER in was and MANAGER not in will_be and ADMIN not in will_be:
        projects = ()
    roles = account.roles if was == will_be else given.roles
    return replace(account, real_name=given.real_name, roles=roles, projects=projects)
