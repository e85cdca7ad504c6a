"""Answers as JSON text: one line feed at the end, ``<``, ``>`` and ``&`` escaped so that no browser takes them for markup."""

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from services.gateway.errors import phrase
from shared.json_escapes import html_safe

JSON = "application/json"
LARGE_BYTES = 16 * 1024  # longer answers are compressed in a thread


def encode(value: Any) -> bytes:
    """Without the line feed."""
    return html_safe(orjson.dumps(value))


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
