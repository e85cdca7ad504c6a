"""The OpenAPI document of all routes.

``python -m services.gateway.rest.description`` rewrites the committed copy.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path

import orjson

from services.gateway.frame.answers import encode
from services.gateway.frame.openapi import Json, describe
from services.gateway.rest import GROUPS

COMMITTED = Path(__file__).parent / "openapi.json"


@cache
def document() -> Json:
    return describe((route for group in GROUPS for route in group.routes), version("jobtide"))


def document_text() -> bytes:
    """The committed form: indented, with a trailing line feed."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@cache
def served_document(base_path: str) -> bytes:
    """With the address at which browsers reach the gateway, so that Swagger UI works below a sub-path."""
    return encode({**document(), "servers": [{"url": base_path.rstrip("/") or "/"}]}) + b"\n"


if __name__ == "__main__":
    COMMITTED.write_bytes(document_text())
