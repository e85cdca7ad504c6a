"""The provider: its cached endpoints and keys, and the requests to it."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote_plus

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from services.gateway.errors import bad_request
from services.gateway.people.auth.oidc.http import Object, ProviderHttp, ProviderRefused, bad_provider
from services.gateway.people.auth.oidc.settings import OidcSettings, is_safe_url
from shared.errors import Unavailable

log = structlog.get_logger()

Key = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MAX_AGE_S = 3600.0  # of cached endpoints and keys; a withdrawn key is trusted for this long at most
REFRESH_PAUSE_S = 10.0  # between two fetches for unknown key ids, which anybody can make up
FAILURE_PAUSE_S = 1.0
MAX_KEYS = 100
MIN_RSA_BITS = 2048
_READERS: dict[str, type[Algorithm]] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
_PUBLIC_FIELDS = ("kty", "n", "e", "crv", "x", "y")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """``has_issuer``: callbacks carry the issuer (RFC 9207)."""

    authorization: str
    token: str
    keys: str
    userinfo: str
    sends_secret_in_body: bool
    has_issuer: bool


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """``algorithm`` is empty when the provider does not restrict the key to one."""

    id: str
    algorithm: str
    key: Key


class Provider:
    """Nothing is fetched before the first sign-in, so an unavailable provider does not stop the gateway from starting."""

    def __init__(self, settings: OidcSettings, http: ProviderHttp, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._asking = asyncio.Lock()
        self._endpoints: Endpoints | None = None
        self._endpoints_at = 0.0
        self._keys: list[VerificationKey] = []
        self._keys_at: float | None = None
        self._failed_at: float | None = None

    async def endpoints(self) -> Endpoints:
        """Raises Unavailable, RequestError (502)."""
        async with self._asking:
            if self._endpoints is None or self._clock() - self._endpoints_at > MAX_AGE_S:
                self._refuse_after_failure()
                try:
                    document = await self._http.get(f"{self._settings.provider.rstrip('/')}/.well-known/openid-configuration")
                except (Unavailable, asyncio.CancelledError):
                    self._failed_at = self._clock()
                    raise
                except ProviderRefused as e:
                    raise bad_provider("no configuration at the issuer's URL") from e
                self._endpoints = _endpoints(document, self._settings.provider)
                self._endpoints_at = self._clock()
            return self._endpoints

    async def keys(self, key_id: str | None) -> list[VerificationKey]:
        """The keys with this id, or all without one. An unknown id fetches the keys again, at most every ``REFRESH_PAUSE_S``."""
        endpoints = await self.endpoints()
        async with self._asking:
            age_s = MAX_AGE_S * 2 if self._keys_at is None else self._clock() - self._keys_at
            is_known = any(key_id in (None, key.id) for key in self._keys)
            if age_s > MAX_AGE_S or (not is_known and age_s >= REFRESH_PAUSE_S):
                try:
                    self._keys = _keys(await self._http.get(endpoints.keys))
                except ProviderRefused as e:
                    raise bad_provider("no keys at their URL") from e
                self._keys_at = self._clock()
            return [key for key in self._keys if key_id in (None, key.id)]

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> tuple[str, str]:
        """ID token and access token for a code. Raises RequestError: 400 for a code that is no longer valid, 502."""
        endpoints = await self.endpoints()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        client, secret, headers = self._settings.client_id, self._settings.client_secret.get_secret_value(), {}
        if not secret:
            form["client_id"] = client
        elif endpoints.sends_secret_in_body:
            form |= {"client_id": client, "client_secret": secret}
        else:
            headers["Authorization"] = f"Basic {base64.b64encode(f'{quote_plus(client)}:{quote_plus(secret)}'.encode()).decode()}"
        try:
            answer = await self._http.post(endpoints.token, form, headers)
        except ProviderRefused as e:
            if e.code == "invalid_grant":
                log.info("oidc_code_refused")
                raise bad_request("the sign-in is used up or took too long; start again") from e
            raise bad_provider(f"the code was not exchanged: {e.code or 'no reason given'}") from e
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str) or not access_token.isascii():
            raise bad_provider("no ID token or no access token")
        return id_token, access_token

    async def userinfo(self, access_token: str, subject: str) -> Object:
        """Empty for a provider without user info. Raises RequestError (502) for that of another subject."""
        endpoints = await self.endpoints()
        if not endpoints.userinfo:
            return {}
        try:
            info = await self._http.get(endpoints.userinfo, token=access_token)
        except ProviderRefused as e:
            raise bad_provider(f"no user information: {e.code or 'no reason given'}") from e
        if info.get("sub") != subject:
            raise bad_provider("user information of somebody else")
        return info

    def _refuse_after_failure(self) -> None:
        if self._failed_at is not None and 0 <= self._clock() - self._failed_at < FAILURE_PAUSE_S:
            raise Unavailable("the sign-in provider cannot be reached")


def _endpoints(document: Object, issuer: str) -> Endpoints:
    if document.get("issuer") != issuer:
        raise bad_provider(f"its issuer is {str(document.get('issuer'))[:200]!r}, not that of the setting oidc.provider")

    def url(name: str, *, needed: bool = True) -> str:
        value = document.get(name)
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or not is_safe_url(value, with_query=True):
            raise bad_provider(f"{name} is no safe URL")
        return value

    methods = document.get("token_endpoint_auth_methods_supported")
    methods = methods if isinstance(methods, list) else ["client_secret_basic"]
    return Endpoints(
        authorization=url("authorization_endpoint"),
        token=url("token_endpoint"),
        keys=url("jwks_uri"),
        userinfo=url("userinfo_endpoint", needed=False),
        sends_secret_in_body="client_secret_basic" not in methods and "client_secret_post" in methods,
        has_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _keys(document: Object) -> list[VerificationKey]:
    """The keys that can verify signatures; others are skipped."""
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise bad_provider("its keys are not a list")
    return [key for entry in entries[:MAX_KEYS] if isinstance(entry, dict) and (key := _key(entry)) is not None]


def _key(entry: Object) -> VerificationKey | None:
    reader = _READERS.get(str(entry.get("kty")))
    if reader is None or entry.get("use", "sig") != "sig":
        return None
    try:
        # Without private parts, in case the provider publishes them.
        key = reader.from_jwk({name: entry[name] for name in _PUBLIC_FIELDS if name in entry})
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError):
        return None
    if not isinstance(key, Key) or (isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS):
        return None
    return VerificationKey(str(entry.get("kid", "")), str(entry.get("alg", "")), key)
