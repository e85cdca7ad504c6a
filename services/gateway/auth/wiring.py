"""The parts of signing in, put together."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from services.gateway.auth.attempts import Attempts
from services.gateway.auth.cookie import SessionCookie, is_loopback, session_key
from services.gateway.auth.crosslogin import Claimed, CookieTokenLogin, SharedSecretLogin
from services.gateway.auth.local import LocalLogin
from services.gateway.auth.login import LoginChain, LoginMethod
from services.gateway.auth.passwords import Passwords
from services.gateway.auth.sessions import Sessions
from services.gateway.auth.settings import AuthSettings
from services.gateway.auth.tokens import Tokens
from services.gateway.settings import GatewaySettings
from services.gateway.users.store import UserStore


@dataclass(frozen=True, slots=True)
class Auth:
    """What guards and the sign-in routes work with."""

    settings: AuthSettings
    tokens: Tokens
    sessions: Sessions
    cookie: SessionCookie
    passwords: Passwords
    login: LoginChain
    attempts: Attempts


def _token_methods(settings: AuthSettings, tokens: Tokens, users: UserStore, clock: Callable[[], float]) -> Iterator[LoginMethod]:
    """Those that are configured."""
    claimed = Claimed(settings, users)
    if secret := settings.secret("cross_login_hs512_key"):
        yield SharedSecretLogin(secret, claimed, clock)
    if settings.jwt_cookie_name:
        yield CookieTokenLogin(settings, tokens, claimed, clock)


def make_auth(
    stack: AsyncExitStack, gateway: GatewaySettings, settings: AuthSettings, users: UserStore, clock: Callable[[], float]
) -> Auth:
    """Raises UserError for settings that are not safe where the gateway listens."""
    key = session_key(settings.secret("session_key"), settings.session_cookie_secure, gateway.http)
    tokens = Tokens(gateway.jwt_public_key, gateway.jwt_private_key.get_secret_value(), settings, users, clock)
    passwords = Passwords()
    stack.callback(passwords.close)
    methods = [*_token_methods(settings, tokens, users, clock), LocalLogin(passwords)]  # in the order of LoginChain
    return Auth(
        settings=settings,
        tokens=tokens,
        sessions=Sessions(key, settings.session_max_age_hours * 3600, users, clock),
        cookie=SessionCookie(settings.session_cookie_secure, on_loopback=is_loopback(gateway.http)),
        passwords=passwords,
        login=LoginChain(methods),
        attempts=Attempts(settings.login_attempts, settings.login_pause_s, clock),
    )
