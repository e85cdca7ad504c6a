"""Sets and deletes the session cookie."""

import secrets
from typing import Literal

from aiohttp import hdrs, web

from services.gateway.frame.credentials import SESSION_COOKIE
from shared.addresses import is_loopback_host, parse_address
from shared.errors import UserError


class SessionCookie:
    """The cookie is ``Secure`` except over plain HTTP to a gateway on loopback; the setting can override this."""

    def __init__(self, secure: Literal["auto", "always", "never"], *, on_loopback: bool) -> None:
        self._secure = secure
        self._on_loopback = on_loopback

    def put(self, request: web.BaseRequest, response: web.StreamResponse, value: str, max_age_s: int) -> None:
        response.set_cookie(
            SESSION_COOKIE, value, max_age=max_age_s, path="/", httponly=True, samesite="Lax", secure=self.is_secure(request)
        )

    def take_away(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        response.del_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Lax", secure=self.is_secure(request))

    def is_secure(self, request: web.BaseRequest) -> bool:
        if self._secure != "auto":
            return self._secure == "always"
        return not self._on_loopback or request.secure or request.headers.get(hdrs.X_FORWARDED_PROTO) == "https"


def is_loopback(address: str) -> bool:
    """``address`` is one to listen on, HOST:PORT."""
    return is_loopback_host(parse_address(address)[0])


def session_key(key: bytes, secure: str, http: str) -> bytes:
    """The key that signs sessions; on loopback a missing one is generated. Raises UserError for settings that are only safe on loopback."""
    if is_loopback(http):
        return key or secrets.token_bytes(32)
    if not key:
        raise UserError(f"JOBTIDE_AUTH_SESSION_KEY: needed when the gateway listens on {http}; make one with `openssl rand -base64 32`")
    if secure == "never":
        raise UserError(f"JOBTIDE_AUTH_SESSION_COOKIE_SECURE: `never` is only for loopback, and the gateway listens on {http}")
    return key
