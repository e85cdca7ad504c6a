"""Answers as JSON text: one line feed at the end, ``<``, ``>`` and ``&`` escaped so that no browser takes them for markup."""

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from services.gateway.errors import phrase

JSON = "application/json"
LARGE_BYTES = 16 * 1024  # longer answers are compressed in a thread
_ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"), ("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))


def encode(value: Any) -> bytes:
    """Without the line feed. These characters can only stand inside JSON texts, so that replacing them in bytes is right."""
    text = orjson.dumps(value)
    for character, escaped in _ESCAPES:
        if character in text:
            text = text.replace(character, escaped)
    return text


def answer(value: Any, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=encode(value) + b"\n", status=status, content_type=JSON)


async def answer_in_thread(value: Any) -> web.Response:
    """For answers of any size: neither writing nor compressing them holds up other requests."""
    body = await asyncio.to_thread(encode, value) + b"\n"
    return web.Response(body=body, content_type=JSON, zlib_executor_size=LARGE_BYTES)


def message(text: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return answer({"msg": text}, status)


def failure(status: HTTPStatus, text: str) -> web.Response:
    return answer({"status": phrase(status), "error": text}, status)


def unknown_path() -> web.Response:
    return answer({"error": "the requested endpoint does not exist", "status": "Resource not found"}, HTTPStatus.NOT_FOUND)
