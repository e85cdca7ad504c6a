"""Builds the parts of sign-in from settings."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.gateway.frame.settings import GatewaySettings
from services.gateway.people.addresses import AllowList
from services.gateway.people.auth.attempts import Buckets, SignInAttempts
from services.gateway.people.auth.cookie import SessionCookie, is_loopback, session_key
from services.gateway.people.auth.crosslogin import Claimed, CookieTokenLogin, SharedSecretLogin
from services.gateway.people.auth.guards import Guards
from services.gateway.people.auth.ldap.settings import LdapSettings
from services.gateway.people.auth.local import LocalLogin
from services.gateway.people.auth.login import LoginChain, LoginMethod
from services.gateway.people.auth.oidc.settings import OidcSettings
from services.gateway.people.auth.oidc.signin import OidcSignIn
from services.gateway.people.auth.passwords import Passwords
from services.gateway.people.auth.queue import TrustedAddresses
from services.gateway.people.auth.sessions import Sessions
from services.gateway.people.auth.settings import AuthSettings
from services.gateway.people.auth.tokens import Tokens
from services.gateway.people.limits import Limit
from services.gateway.people.users.store import UserStore
from services.gateway.people.users.tokens import TokenStore

if TYPE_CHECKING:
    from services.gateway.people.auth.ldap.sync import DirectorySync


@dataclass(frozen=True, slots=True)
class Auth:
    """The parts that guards and sign-in routes use; None if not configured."""

    settings: AuthSettings
    tokens: Tokens
    sessions: Sessions
    cookie: SessionCookie
    passwords: Passwords
    login: LoginChain
    attempts: SignInAttempts
    allow_list: AllowList
    guards: Guards
    oidc: OidcSignIn | None
    directory_sync: "DirectorySync | None"


@dataclass(frozen=True, slots=True)
class PeopleTables:
    users: UserStore
    issued: TokenStore
    attempts: Buckets


def _token_methods(settings: AuthSettings, tokens: Tokens, users: UserStore, clock: Callable[[], float]) -> Iterator[LoginMethod]:
    """The configured ones, in the order of ``LoginChain``."""
    claimed = Claimed(settings, users)
    if secret := settings.secret("cross_login_hs512_key"):
        yield SharedSecretLogin(secret, claimed, clock, expiry=settings.jwt_require_expiry)
    if settings.jwt_cookie_name:
        yield CookieTokenLogin(settings, tokens, claimed, clock)


def make_auth(
    stack: AsyncExitStack,
    gateway: GatewaySettings,
    settings: AuthSettings,
    ldap: LdapSettings,
    oidc: OidcSettings,
    tables: PeopleTables,
    clock: Callable[[], float],
) -> Auth:
    """Raises UserError for settings that are not safe where the gateway listens."""
    users = tables.users
    key = session_key(settings.secret("session_key"), settings.session_cookie_secure, gateway.http)
    tokens = Tokens(gateway.jwt_public_key, gateway.jwt_private_key.get_secret_value(), settings, users, tables.issued, clock)
    sessions = Sessions(key, settings.session_max_age_hours * 3600, users, clock)
    cookie = SessionCookie(settings.session_cookie_secure, on_loopback=is_loopback(gateway.http))
    allow_list = AllowList(gateway.allowed_ips, gateway.trusted_proxies)
    trusted = TrustedAddresses()
    passwords = Passwords(settings.min_password_characters, trusted)
    stack.callback(passwords.close)
    by_directory, directory_sync = _directory(stack, ldap, users, trusted)
    # In the order of LoginChain.
    methods: list[LoginMethod] = [*by_directory, *_token_methods(settings, tokens, users, clock), LocalLogin(passwords)]
    return Auth(
        settings=settings,
        tokens=tokens,
        sessions=sessions,
        cookie=cookie,
        passwords=passwords,
        login=LoginChain(methods),
        attempts=_attempts(settings, tables.attempts, trusted, clock),
        allow_list=allow_list,
        guards=Guards(tokens, sessions, cookie, allow_list),
        oidc=_provider(stack, oidc, key, users, trusted, clock),
        directory_sync=directory_sync,
    )


def _directory(
    stack: AsyncExitStack, settings: LdapSettings, users: UserStore, trusted: TrustedAddresses
) -> tuple[list[LoginMethod], "DirectorySync | None"]:
    """Sign-in by the directory and its synchronization. The library is imported only when a directory is configured."""
    if not settings.is_on:
        return [], None
    from services.gateway.people.auth.ldap.directory import Directory
    from services.gateway.people.auth.ldap.login import LdapLogin
    from services.gateway.people.auth.ldap.sync import DirectorySync

    directory = Directory(settings, trusted)
    stack.callback(directory.close)
    return [LdapLogin(directory, users)], DirectorySync(directory, users) if settings.sync_interval_s else None


def _provider(
    stack: AsyncExitStack, settings: OidcSettings, key: bytes, users: UserStore, trusted: TrustedAddresses, clock: Callable[[], float]
) -> OidcSignIn | None:
    if not settings.is_on:
        return None
    provider = OidcSignIn(settings, key, users, trusted, clock)
    stack.push_async_callback(provider.close)
    return provider


def _attempts(settings: AuthSettings, buckets: Buckets, trusted: TrustedAddresses, clock: Callable[[], float]) -> SignInAttempts:
    per_address = max(settings.login_attempts, settings.login_attempts_per_address)
    of_name = Limit(settings.login_attempts, settings.login_pause_s)
    # All attempts of an address are back after the same time as those of a name.
    of_address = Limit(per_address, settings.login_pause_s * settings.login_attempts / per_address)
    return SignInAttempts(of_name, of_address, buckets, trusted, clock)
