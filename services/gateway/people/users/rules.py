"""What roles and projects a user may have: pure functions from account to account, for REST, ``/config`` and the command line."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from services.gateway.people.identity import ADMIN, API, MANAGER, ROLES, AuthSource
from services.gateway.people.users.model import Account
from shared.errors import JobtideError

MAX_NAME_BYTES = 100
MAX_TEXT = 255  # of a column of cc-backend
MAX_SETTINGS = 1000  # personal ones of one user
MAX_PASSWORD_BYTES = 72  # bcrypt looks at no more

MAX_PROJECTS = 1000  # that others give a person
Change = Callable[[Account, int], Account]  # the second is the number of other admins


class RuleBroken(JobtideError):
    """The change is not allowed; the text says why."""


class BadField(RuleBroken):
    """What was given is wrong in itself."""


def role_name(text: str) -> str:
    """In lower case. Raises BadField."""
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


def is_user_name(text: str) -> bool:
    """Whether it can be the name of a user."""
    return bool(text) and text == text.strip() and text.isprintable() and len(text.encode()) <= MAX_NAME_BYTES


def shown_text(text: str) -> str:
    """What fits into a column of what others say, such as a real name."""
    return "".join(c for c in text if c.isprintable())[:MAX_TEXT]


def known_roles(names: Iterable[str]) -> tuple[str, ...]:
    """Of roles that others give, those that exist here; each once."""
    return tuple(dict.fromkeys(name for name in names if name in ROLES))


def usable_projects(names: Iterable[str]) -> tuple[str, ...]:
    """Of projects that others give, those that can be one; each once."""
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
    """A local account, still without its hash. Raises BadField."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise BadField("username: empty, with blanks around it, or with control characters")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadField(f"username: longer than {MAX_NAME_BYTES} bytes")
    for field, text in (("name", real_name), ("email", email)):
        if len(text) > MAX_TEXT or not text.isprintable():
            raise BadField(f"{field}: longer than {MAX_TEXT} characters, or with control characters")
    held = tuple(dict.fromkeys(role_name(role) for role in roles))
    supervised = tuple(dict.fromkeys(project_name(project) for project in projects))
    if not held:
        raise BadField(f"role: needed, one of {', '.join(ROLES)}")
    if not has_password and needs_password(held):
        raise BadField("password: needed for everyone whose only role is not api")
    if supervised and MANAGER not in held:
        raise BadField("project: only for the role manager")
    if MANAGER in held and not supervised:
        raise BadField("project: needed for the role manager")
    return Account(name, AuthSource.LOCAL, held, supervised, real_name, email)


def needs_password(roles: tuple[str, ...]) -> bool:
    """Programs may do with tokens alone."""
    return roles != (API,)


def check_password(password: str) -> str:
    """Raises BadField for one that bcrypt cannot take whole."""
    if not password:
        raise BadField("password: empty")
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise BadField(f"password: longer than {MAX_PASSWORD_BYTES} bytes")
    if "\0" in password:
        raise BadField("password: contains a null character")
    return password


def with_role(role: str) -> Change:
    """Raises BadField at once for no role, and RuleBroken later when it is held already."""
    name = role_name(role)

    def change(account: Account, _: int) -> Account:
        if name in account.roles:
            raise RuleBroken(f"{account.name} has the role {name} already")
        return replace(account, roles=(*account.roles, name))

    return change


def without_role(role: str) -> Change:
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


def with_project(project: str) -> Change:
    name = project_name(project)

    def change(account: Account, _: int) -> Account:
        _require_manager(account)
        if name in account.projects:
            raise RuleBroken(f"{account.name} supervises {name} already")
        return replace(account, projects=(*account.projects, name))

    return change


def without_project(project: str) -> Change:
    name = project_name(project)

    def change(account: Account, _: int) -> Account:
        _require_manager(account)
        if name not in account.projects:
            raise RuleBroken(f"{account.name} does not supervise {name}")
        return replace(account, projects=tuple(held for held in account.projects if held != name))

    return change


def with_password(hashed: str) -> Change:
    def change(account: Account, _: int) -> Account:
        if account.source is not AuthSource.LOCAL:
            raise RuleBroken(f"{account.name} does not sign in by a local password, but by {account.source.name}")
        return replace(account, password=hashed)

    return change


def in_turn(changes: Sequence[Change]) -> Change:
    """All of them or none."""

    def change(account: Account, other_admins: int) -> Account:
        for each in changes:
            account = each(account, other_admins)
        return account

    return change


def require_another_admin(account: Account, other_admins: int) -> None:
    """Raises RuleBroken when the site would be without one."""
    if ADMIN in account.roles and other_admins == 0:
        raise RuleBroken(f"{account.name} is the last admin")


def _require_manager(account: Account) -> None:
    if MANAGER not in account.roles:
        raise RuleBroken(f"{account.name} does not have the role {MANAGER}")


def synced(account: Account, given: Account) -> Account:
    """A known account brought up to what a directory or token said at a login; email, password and source stay."""
    was, will_be = set(account.roles), set(given.roles)
    projects = account.projects
    becomes_manager = MANAGER in will_be and MANAGER not in was and ADMIN not in will_be
    if (MANAGER in was and MANAGER in will_be) or becomes_manager:
        projects = given.projects
    elif MANAGER in was and MANAGER not in will_be and ADMIN not in will_be:
        projects = ()
    roles = account.roles if was == will_be else given.roles
    return replace(account, real_name=given.real_name, roles=roles, projects=projects)
