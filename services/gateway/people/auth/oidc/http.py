"""Requests to the provider: JSON objects of bounded size, no redirects, failures translated into ours."""

import asyncio
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import structlog

from services.gateway.errors import RequestError
from shared.errors import Unavailable

log = structlog.get_logger()

MAX_BYTES = 1024 * 1024
CONNECTIONS = 16
_TRIES = 3  # for requests that may be repeated
_PAUSE_S = 0.1

Object = dict[str, Any]


class ProviderRefused(Exception):
    """The provider answered with an error; ``code`` is the OAuth error code, or empty."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def bad_provider(why: str) -> RequestError:
    """A 502; ``why`` goes to the log only."""
    log.warning("oidc_provider_answer_refused", why=why)
    return RequestError(HTTPStatus.BAD_GATEWAY, "the sign-in provider gave an answer that cannot be trusted")


class ProviderHttp:
    """Close it at the end. Methods raise Unavailable (503), RequestError (502), ProviderRefused."""

    def __init__(self, timeout_s: float, ca_file: Path | None) -> None:
        tls = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True  # True: checked by the system's authorities
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, url: str, *, token: str = "") -> Object:
        """Retried while the provider cannot be reached, unless a token is sent."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for attempt in range(_TRIES):
            try:
                return await self._ask("GET", url, headers=headers)
            except Unavailable:
                if token or attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(_PAUSE_S * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    async def post(self, url: str, form: dict[str, str], headers: dict[str, str]) -> Object:
        return await self._ask("POST", url, data=form, headers=headers)

    async def _ask(self, method: str, url: str, **options: Any) -> Object:
        try:
            async with self._session.request(method, url, allow_redirects=False, **options) as response:
                status, kind, body = response.status, response.content_type, await _read(response)
        except (aiohttp.ClientError, OSError, ValueError) as e:
            log.warning("oidc_provider_unavailable", why=f"{type(e).__name__}: {e}"[:300])
            raise Unavailable("the sign-in provider cannot be reached") from e
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            log.warning("oidc_provider_failed", status=status, method=method)
            raise Unavailable("the sign-in provider is out of order")
        if body is None:
            raise bad_provider(f"more than {MAX_BYTES} bytes")
        if status >= HTTPStatus.BAD_REQUEST:
            raise ProviderRefused(_error_code(body))
        if status != HTTPStatus.OK:
            raise bad_provider(f"status {status}")
        answer = _json(body)
        if not isinstance(answer, dict):
            raise bad_provider(f"no JSON object, but {kind}")
        return answer


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """None when the body is longer than ``MAX_BYTES``."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_BYTES:
            response.close()
            return None
        parts.append(part)
    return b"".join(parts)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _error_code(body: bytes) -> str:
    answer = _json(body)
    code = answer.get("error") if isinstance(answer, dict) else None
    return safe_code(code)


def safe_code(code: object) -> str:
    """An OAuth error code that is safe to show; empty for anything else."""
    is_code = isinstance(code, str) and len(code) <= 40 and code.isascii() and code.replace("_", "").isalpha()
    return str(code) if is_code else ""
