"""A small OpenID Connect provider with real keys and signatures, which can misbehave.

It validates client, secret, redirect URI, PKCE, and that a code is used only once.
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

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

_JWS = jwt.PyJWS()
_JWS.register_algorithm("Ed25519", OKPAlgorithm())
CLIENT, SECRET = "jobtide", "client secret: +/%"
CALLBACK_PATH = "/oidc-callback"

Claims = dict[str, Any]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True)
class SigningKey:
    private: PrivateKey
    kid: str = field(default_factory=lambda: os.urandom(8).hex())

    def published(self, **fields: Any) -> Claims:
        """The public half as a JSON web key."""
        public: Any = self.private.public_key()
        kind = {rsa.RSAPublicKey: RSAAlgorithm, ec.EllipticCurvePublicKey: ECAlgorithm}
        algorithm: Any = next((writer for of, writer in kind.items() if isinstance(public, of)), OKPAlgorithm)
        return dict(algorithm.to_jwk(public, as_dict=True)) | {"kid": self.kid, **fields}

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


_KEYS: dict[str, Callable[[], PrivateKey]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate,
    "Ed25519": Ed25519PrivateKey.generate,
}


def new_key(algorithm: str) -> SigningKey:
    return SigningKey(_KEYS[algorithm]())


@dataclass(slots=True)
class Misbehaviour:
    """Correct by default. ``claims`` replace those of the ID token, None removes one; paths in ``hang`` are never answered."""

    claims: Claims = field(default_factory=dict)
    sign: Callable[[Claims, "Provider"], str] | None = None
    userinfo: Claims = field(default_factory=dict)
    hang: str = ""
    answer: dict[str, Callable[[], web.Response]] = field(default_factory=dict)


class Provider:
    """``person`` has the claims of the ID token of the user who signs in; ``asked`` counts requests by path."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.issuer = ""
        self.algorithm = algorithm
        self.key = new_key(algorithm)
        self.published: list[SigningKey] = [self.key]
        self.other_keys: list[Any] = []
        self.person: Claims = {"sub": "0001", "preferred_username": "erika", "name": "Erika Muster"}
        self.wrong = Misbehaviour()
        self.metadata: Claims = {}
        self.asked: dict[str, int] = {}
        self.authorization: dict[str, str] = {}
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: set[str] = set()

    def rotate(self) -> None:
        self.key = new_key(self.algorithm)
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
        """The user consents immediately."""
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
        header = {name: value for name, value in named.items() if value is not None}
        return _JWS.encode(json.dumps(claims).encode(), key.private, algorithm=header["alg"], headers=header)

    async def _userinfo(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({name: self.person[name] for name in ("sub", "preferred_username", "name")} | self.wrong.userinfo)

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [key.published(use="sig") for key in self.published] + self.other_keys})


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
    """HS256 with the published key as secret, which a careless verifier accepts as the provider's signature."""
    return _with_mac(claims, of, of.key.public_pem())


def signed_with_the_secret(claims: Claims, of: Provider) -> str:
    return _with_mac(claims, of, SECRET.encode())


def signed_by_a_stranger(claims: Claims, of: Provider) -> str:
    """With the provider's key id."""
    return of.signed(claims, new_key(of.algorithm), kid=of.key.kid)


def signed_by_an_enclosed_key(claims: Claims, of: Provider) -> str:
    stranger = new_key(of.algorithm)
    return of.signed(claims, stranger, kid=None, jwk=stranger.published())


def changed_after_signing(claims: Claims, of: Provider) -> str:
    header, _, signature = of.signed(claims, of.key).split(".")
    return f"{header}.{_part(claims | {'preferred_username': 'admin'})}.{signature}"


def _with_mac(claims: Claims, of: Provider, secret: bytes) -> str:
    """Signed by hand, because libraries refuse a public key as secret."""
    text = f"{_part({'alg': 'HS256', 'kid': of.key.kid})}.{_part(claims)}"
    return f"{text}.{_text(hmac.digest(secret, text.encode(), 'sha256'))}"


def _part(value: Claims) -> str:
    return _text(json.dumps(value).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
