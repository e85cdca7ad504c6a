"""The API's description and a page to try it, which loads nothing from elsewhere.

``python -m services.gateway.frame.swagger`` writes the committed description anew.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path

import orjson
from aiohttp import web

from services.gateway.frame.answers import JSON, encode
from services.gateway.frame.openapi import Json, describe
from services.gateway.frame.static import package_files
from services.gateway.rest import GROUPS

_FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png"})
COMMITTED = Path(__file__).parent / "openapi.json"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>jobtide API</title>
  <link rel="stylesheet" href="swagger-ui.css">
  <link rel="icon" href="favicon-32x32.png">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="swagger-ui-bundle.js"></script>
  <script src="start.js"></script>
</body>
</html>
"""
_START = 'SwaggerUIBundle({url: "doc.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});\n'


@cache
def document() -> Json:
    return describe((route for group in GROUPS for route in group.routes), version("jobtide"))


def document_text() -> bytes:
    """As it is committed: readable, with a line feed at its end."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@cache
def _description() -> bytes:
    return encode(document()) + b"\n"


def add_to(app: web.Application) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text=_PAGE, content_type="text/html")

    async def to_page(_: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/swagger/")

    async def doc(_: web.Request) -> web.StreamResponse:
        return web.Response(body=_description(), content_type=JSON)

    async def start(_: web.Request) -> web.StreamResponse:
        return web.Response(text=_START, content_type="text/javascript")

    app.router.add_get("/swagger", to_page)
    app.router.add_get("/swagger/", page)
    app.router.add_get("/swagger/index.html", page)
    app.router.add_get("/swagger/doc.json", doc)
    app.router.add_get("/swagger/start.js", start)
    app.router.add_get("/swagger/{name}", package_files("swagger_ui", "static", _FILES))


if __name__ == "__main__":
    COMMITTED.write_bytes(document_text())
