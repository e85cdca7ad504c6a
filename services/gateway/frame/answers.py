"""JSON answers. They end with a line feed; ``<``, ``>`` and ``&`` are escaped so that browsers do not interpret them as markup."""

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
    """The JSON text without the final line feed."""
    return html_safe(orjson.dumps(value))


def answer(value: Any, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=encode(value) + b"\n", status=status, content_type=JSON)


async def answer_in_thread(value: Any) -> web.Response:
    """Like ``answer``, for large values: encoding and compression run in a thread and do not block the event loop."""
    body = await asyncio.to_thread(encode, value) + b"\n"
    return web.Response(body=body, content_type=JSON, zlib_executor_size=LARGE_BYTES)


def message(text: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return answer({"msg": text}, status)


def failure(status: HTTPStatus, text: str) -> web.Response:
    return answer({"status": phrase(status), "error": text}, status)


def unknown_path() -> web.Response:
    return answer({"error": "the requested endpoint does not exist", "status": "Resource not found"}, HTTPStatus.NOT_FOUND)
