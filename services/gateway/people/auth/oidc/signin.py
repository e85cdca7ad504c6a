"""The authorisation code flow with PKCE: redirect to the provider, and sign in with the code that comes back."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import jwt
import structlog

from services.gateway.errors import RequestError, bad_request
from services.gateway.people.addresses import Origin
from services.gateway.people.auth.login import stored
from services.gateway.people.auth.oidc.claims import account_of
from services.gateway.people.auth.oidc.http import ProviderHttp, safe_code
from services.gateway.people.auth.oidc.id_token import IdTokenRequirements, check, head, verified
from services.gateway.people.auth.oidc.provider import Provider
from services.gateway.people.auth.oidc.settings import OidcSettings
from services.gateway.people.auth.queue import FairQueue, TrustedAddresses
from services.gateway.people.identity import User
from services.gateway.people.users.model import Account
from services.gateway.people.users.store import UserStore
from shared.errors import Unavailable

log = structlog.get_logger()

COOKIE = "oidc"
CALLBACK = "/oidc-callback"
MAX_AT_ONCE = 64
_ALGORITHM = "HS256"
_PURPOSE = "jobtide:oidc"
_STALE = "the sign-in was not begun in this browser, or took too long; start again"


@dataclass(frozen=True, slots=True)
class Begun:
    """The URL for the browser, and the cookie that ties the callback to it."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class _Pending:
    """The content of the cookie. It is signed, so that nobody else can begin a sign-in for this browser."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    target: str


class OidcSignIn:
    """Close it at the end. Methods raise RequestError (400, 403, 502) and Unavailable (503), with texts for people."""

    def __init__(self, settings: OidcSettings, key: bytes, users: UserStore, trusted: TrustedAddresses, clock: Callable[[], float]) -> None:
        self.settings = settings
        self._key = key
        self._users = users
        self._clock = clock
        self._http = ProviderHttp(settings.timeout_s, settings.ca_file)
        self._provider = Provider(settings, self._http, clock)
        self._queue = FairQueue(MAX_AT_ONCE, "people sign in", trusted)

    @property
    def cookie_path(self) -> str:
        """The path of the callback, so that browsers send the cookie to it only."""
        return urlsplit(self.settings.redirect_base_url).path.rstrip("/") + CALLBACK

    async def close(self) -> None:
        await self._http.close()

    async def begin(self, base_url: str, target: str, origin: Origin) -> Begun:
        """``base_url`` is the browser's URL of this server, used when no setting gives one; ``target`` is where it goes afterwards."""
        redirect_uri = (self.settings.redirect_base_url or base_url).rstrip("/") + CALLBACK
        pending = _Pending(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), redirect_uri, target)
        async with self._bounded(origin):
            endpoint = (await self._provider.endpoints()).authorization
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.settings.scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": _challenge(pending.verifier),
            "code_challenge_method": "S256",
        }
        url = f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"
        return Begun(url, self._sealed(pending))

    async def finish(self, cookie: str, query: Mapping[str, str], origin: Origin) -> tuple[User, str]:
        """The user, and where the browser goes."""
        pending = self._unsealed(cookie)
        if pending is None or not hmac.compare_digest(query.get("state", "").encode(), pending.state.encode()):
            raise bad_request(_STALE)
        if "error" in query:
            raise bad_request(f"the sign-in provider refused: {safe_code(query['error']) or 'no known reason'}")
        code = query.get("code")
        if not code:
            raise bad_request("the sign-in provider sent no code; start again")
        async with self._bounded(origin):
            self._check_issuer(query.get("iss"), has_issuer=(await self._provider.endpoints()).has_issuer)
            return await self._user(code, pending), pending.target

    async def _user(self, code: str, pending: _Pending) -> User:
        id_token, access_token = await self._provider.exchange(code, pending.verifier, pending.redirect_uri)
        algorithm, key_id = head(id_token)
        claims = verified(id_token, algorithm, await self._provider.keys(key_id))
        settings = self.settings
        subject = check(claims, IdTokenRequirements(settings.provider, settings.client_id, pending.nonce, self._clock(), settings.leeway_s))
        info = await self._provider.userinfo(access_token, subject)
        given = account_of(claims, info, settings.client_id, settings.roles_clients)
        row = await stored(self._users, given, inserts=settings.sync_user_on_login, updates=settings.update_user_on_login)
        return row.user if row is not None else await self._without_own_row(given)

    async def _without_own_row(self, given: Account) -> User:
        """Jobs and settings are found by name, so a name of another account is refused unless ``other_sources`` allows it."""
        other = await self._users.find(given.name)
        if other is None:
            if similar := await self._users.similar(given.name):
                log.warning("oidc_name_similar_to_another_account", user=given.name, other=similar)
                raise RequestError(HTTPStatus.FORBIDDEN, f"the name {given.name} is too similar to that of another account")
            return given.user
        source = other.source.name.lower()
        if source not in self.settings.other_sources:
            log.warning("oidc_name_of_another_account", user=other.name, source=source, setting="oidc.other_sources")
            raise RequestError(HTTPStatus.FORBIDDEN, "an account of this name signs in another way")
        return other.user

    def _check_issuer(self, issuer: str | None, *, has_issuer: bool) -> None:
        """Do not send the code of another provider to this one (RFC 9207)."""
        if issuer != self.settings.provider and (issuer is not None or has_issuer):
            raise bad_request("the answer comes from another sign-in provider than that of this server")

    def _sealed(self, pending: _Pending) -> str:
        claims = {
            "aud": _PURPOSE,
            "exp": int(self._clock() + self.settings.sign_in_max_age_s),
            "s": pending.state,
            "n": pending.nonce,
            "v": pending.verifier,
            "u": pending.redirect_uri,
            "t": pending.target,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def _unsealed(self, cookie: str) -> _Pending | None:
        try:
            claims = jwt.decode(
                cookie,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_PURPOSE,
                options={"require": ["aud", "exp"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            if int(claims["exp"]) <= self._clock():
                return None
            return _Pending(*(str(claims[name]) for name in "snvut"))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return None

    @asynccontextmanager
    async def _bounded(self, origin: Origin) -> AsyncIterator[None]:
        """A deadline for the requests to the provider, and a bound on concurrent sign-ins."""
        try:
            async with asyncio.timeout(self.settings.timeout_s), self._queue.place(origin):
                yield
        except TimeoutError as e:
            log.warning("oidc_provider_too_slow", timeout_s=self.settings.timeout_s)
            raise Unavailable("the sign-in provider did not answer in time") from e


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
