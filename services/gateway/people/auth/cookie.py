"""The session cookie on answers."""

import secrets
from typing import Literal

from aiohttp import hdrs, web

from services.gateway.frame.credentials import SESSION_COOKIE
from shared.addresses import is_loopback_host, parse_address
from shared.errors import UserError


class SessionCookie:
    """``Secure`` but for plain HTTP to a gateway on loopback, unless the setting says otherwise."""

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
    """Of an address to listen on."""
    return is_loopback_host(parse_address(address)[0])


def session_key(key: bytes, secure: str, http: str) -> bytes:
    """The key that signs sessions: a new one on loopback when there is none. Raises UserError for what is only safe on loopback."""
    if is_loopback(http):
        return key or secrets.token_bytes(32)
    if not key:
        raise UserError(f"JOBTIDE_AUTH_SESSION_KEY: needed when the gateway listens on {http}; make one with `openssl rand -base64 32`")
    if secure == "never":
        raise UserError(f"JOBTIDE_AUTH_SESSION_COOKIE_SECURE: `never` is only for loopback, and the gateway listens on {http}")
    return key
