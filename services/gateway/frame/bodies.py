"""Bodies of requests, read after the request was admitted. The server itself inflates nothing (``shared.http.connection``)."""

import asyncio
import zlib
from collections.abc import Iterator
from http import HTTPStatus

from aiohttp import hdrs, web

from services.gateway.errors import RequestError, bad_request

CODINGS = ("gzip", "deflate")
IDENTITY = "identity"
MAX_STEP_BYTES = 16 * 1024  # compressed bytes per step
MAX_STEP_INFLATED_BYTES = 256 * 1024  # about 1 ms
MAX_MEMBERS = 1000  # a member costs a step but takes only 20 bytes of the body
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15  # `wbits` of zlib
_GZIP_MAGIC = b"\x1f\x8b"
_ZLIB_METHOD = 8  # the low four bits of the first byte of a zlib header


async def read_body(request: web.Request, max_bytes: int | None = None) -> bytes:
    """The whole body, inflated. ``max_bytes`` limits the body as sent and as inflated; the default is the limit of the application.

    Inflating yields to the event loop between steps of bounded size.
    Raises RequestError: 413 above the limit, 415 for another content coding, 400 if the body is not in the coding it names.
    """
    coding = content_coding(request)
    if coding not in (*CODINGS, IDENTITY):
        raise _unsupported(coding, "gzip, deflate or none")
    limit = request.client_max_size if max_bytes is None else max_bytes
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    inflating = None if coding == IDENTITY else _Inflating(coding)
    body, received = bytearray(), 0
    while part := await request.content.readany():
        received += len(part)
        if received > limit:
            raise _too_large(limit)
        for piece in (part,) if inflating is None else inflating.feed(part):
            body += piece
            if len(body) > limit:
                raise _too_large(limit)
            if inflating is not None:
                await asyncio.sleep(0)
    if inflating is not None:
        inflating.finish()
    return bytes(body)


def refuse_coding(request: web.BaseRequest) -> None:
    """Refuse a compressed body, for forms, which are also read before sign-in. Raises RequestError (415)."""
    coding = content_coding(request)
    if coding != IDENTITY:
        raise _unsupported(coding, "a form without one")


def content_coding(request: web.BaseRequest) -> str:
    """The coding in lower case. Several codings are joined with commas, which matches no supported coding."""
    given = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, [])).strip().lower()
    return {"": IDENTITY, "x-gzip": "gzip"}.get(given, given)


def _unsupported(coding: str, supported: str) -> RequestError:
    return RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {coding[:60]!r} is not supported here; send {supported}")


def _too_large(limit: int) -> RequestError:
    return RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request body is larger than {limit} bytes")


class _Inflating:
    """One body. A gzip body may have several members; nothing may follow the end of a deflate body."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises RequestError (400)."""
        for start in range(0, len(data), MAX_STEP_BYTES):
            yield from self._feed(data[start : start + MAX_STEP_BYTES])

    def finish(self) -> None:
        """Raises RequestError (400) if the end of the stream is missing. An empty body is complete."""
        if self._stream is not None and not self._stream.eof:
            raise self._broken("it ends early")

    def _feed(self, data: bytes) -> Iterator[bytes]:
        has_output = False  # zlib may hold some after it has taken all input
        while data or has_output:
            stream = self._stream_for(data)
            try:
                piece = stream.decompress(data, MAX_STEP_INFLATED_BYTES)
            except zlib.error as e:
                raise self._broken("its bytes are damaged or in another coding") from e
            yield piece
            data = stream.unconsumed_tail or stream.unused_data
            has_output = len(piece) == MAX_STEP_INFLATED_BYTES and not stream.eof

    def _stream_for(self, data: bytes) -> "zlib._Decompress":
        if self._stream is not None and not self._stream.eof:
            return self._stream
        if self._stream is not None and (self._coding != "gzip" or not _GZIP_MAGIC.startswith(data[:2])):
            raise self._broken("other bytes follow its end")
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise self._broken(f"it has more than {MAX_MEMBERS} members")
        if self._coding == "gzip":
            self._stream = zlib.decompressobj(_GZIP)
        else:  # some clients send deflate without the zlib header that the coding requires
            self._stream = zlib.decompressobj(_ZLIB if data[0] & 0x0F == _ZLIB_METHOD else _RAW_DEFLATE)
        return self._stream

    def _broken(self, why: str) -> RequestError:
        return bad_request(f"the body is not {self._coding}, which Content-Encoding names: {why}")
