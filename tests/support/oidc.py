"""A small OpenID Connect provider with real keys and signatures, which can misbehave.

It checks what a good one checks: client, secret, redirect URI, PKCE, and that a code is used once.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

CLIENT, SECRET = "jobtide", "client secret: +/%"
CALLBACK_PATH = "/oidc-callback"

Claims = dict[str, Any]
SigningKey = RSAKey | ECKey | OKPKey
_KEYS: dict[str, Callable[[], SigningKey]] = {
    "RS256": lambda: RSAKey.generate_key(2048, auto_kid=True),
    "ES256": lambda: ECKey.generate_key("P-256", auto_kid=True),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519", auto_kid=True),
}


@dataclass(slots=True)
class Misbehaviour:
    """Nothing is wrong by default. ``claims`` replace those of the ID token, None takes one away; ``hang`` never answers a path."""

    claims: Claims = field(default_factory=dict)
    sign: Callable[[Claims, "Provider"], str] | None = None
    userinfo: Claims = field(default_factory=dict)
    hang: str = ""
    answer: dict[str, Callable[[], web.Response]] = field(default_factory=dict)


class Provider:
    """``person`` is who signs in, with the claims of the ID token; ``asked`` counts requests by path."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.issuer = ""
        self.algorithm = algorithm
        self.key = _KEYS[algorithm]()
        self.published: list[SigningKey] = [self.key]
        self.person: Claims = {"sub": "0001", "preferred_username": "erika", "name": "Erika Muster"}
        self.wrong = Misbehaviour()
        self.metadata: Claims = {}
        self.asked: dict[str, int] = {}
        self.authorization: dict[str, str] = {}
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: set[str] = set()

    def rotate(self) -> None:
        self.key = _KEYS[self.algorithm]()
        self.published = [self.key]

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._observe])
        app.router.add_get("/.well-known/openid-configuration", self._configuration)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/userinfo", self._userinfo)
        app.router.add_get("/keys", self._keys)
        return app

    @web.middleware
    async def _observe(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        if self.wrong.hang == request.path:
            await asyncio.Event().wait()
        if request.path in self.wrong.answer:
            return self.wrong.answer[request.path]()
        response: web.StreamResponse = await handler(request)
        return response

    async def _configuration(self, _: web.Request) -> web.Response:
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        document = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in paths.items()}
        return web.json_response({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"} | document | self.metadata)

    async def _authorize(self, request: web.Request) -> web.Response:
        """The person agrees at once."""
        query = dict(request.query)
        self.authorization = query
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["redirect_uri"].endswith(CALLBACK_PATH)
        assert query["code_challenge_method"] == "S256"
        code = os.urandom(16).hex()
        self._codes[code] = query
        back = {"code": code, "state": query["state"]}
        return web.Response(status=302, headers={"Location": f"{query['redirect_uri']}?{urlencode(back)}"})

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        begun = self._codes.pop(form.get("code", ""), None)
        if not self._knows(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        challenge = _text(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if begun is None or begun["redirect_uri"] != form.get("redirect_uri") or begun["code_challenge"] != challenge:
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = os.urandom(16).hex()
        self._tokens.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "id_token": self._id_token(begun["nonce"])})

    def _knows(self, request: web.Request, form: dict[str, str]) -> bool:
        if self.metadata.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        encoded = base64.b64encode(b"jobtide:client+secret%3A+%2B%2F%25").decode()
        return request.headers.get("Authorization") == f"Basic {encoded}"

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce} | self.person | self.wrong.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.wrong.sign(claims, self) if self.wrong.sign else self.signed(claims, self.key)

    def signed(self, claims: Claims, key: SigningKey, **header: Any) -> str:
        named = {"alg": self.algorithm, "kid": key.kid} | header
        return jwt.encode({name: value for name, value in named.items() if value is not None}, claims, key, algorithms=[self.algorithm])

    async def _userinfo(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({name: self.person[name] for name in ("sub", "preferred_username", "name")} | self.wrong.userinfo)

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [key.as_dict(private=False, use="sig") for key in self.published]})


@asynccontextmanager
async def provider(algorithm: str = "ES256") -> AsyncIterator[Provider]:
    """Running, on a free port."""
    running = Provider(algorithm)
    runner = web.AppRunner(running.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield running
    finally:
        await runner.cleanup()


def unsigned(claims: Claims, of: Provider) -> str:
    """``alg: none``."""
    return ".".join([*(_part(value) for value in ({"alg": "none", "kid": of.key.kid}, claims)), ""])


def signed_with_the_public_key(claims: Claims, of: Provider) -> str:
    """HS256 with the published key as secret: what a careless verifier takes for the provider's signature."""
    return _with_mac(claims, of, of.key.as_pem(private=False))


def signed_with_the_secret(claims: Claims, of: Provider) -> str:
    return _with_mac(claims, of, SECRET.encode())


def signed_by_a_stranger(claims: Claims, of: Provider) -> str:
    """With the provider's key id."""
    return of.signed(claims, _KEYS[of.algorithm](), kid=of.key.kid)


def signed_by_an_enclosed_key(claims: Claims, of: Provider) -> str:
    stranger = _KEYS[of.algorithm]()
    return of.signed(claims, stranger, kid=None, jwk=stranger.as_dict(private=False))


def changed_after_signing(claims: Claims, of: Provider) -> str:
    header, _, signature = of.signed(claims, of.key).split(".")
    return f"{header}.{_part(claims | {'preferred_username': 'admin'})}.{signature}"


def _with_mac(claims: Claims, of: Provider, secret: bytes) -> str:
    """By hand: libraries refuse to take a public key for a secret."""
    text = f"{_part({'alg': 'HS256', 'kid': of.key.kid})}.{_part(claims)}"
    return f"{text}.{_text(hmac.digest(secret, text.encode(), 'sha256'))}"


def _part(value: Claims) -> str:
    return _text(json.dumps(value).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
