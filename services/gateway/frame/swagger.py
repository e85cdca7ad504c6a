"""Swagger UI, a page to read and try the API description. It loads nothing from other hosts."""

from collections.abc import Callable

from aiohttp import web

from services.gateway.frame.answers import JSON
from services.gateway.frame.static import package_files

_FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png"})
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


def add_to(app: web.Application, description: Callable[[], bytes]) -> None:
    """``description`` returns the OpenAPI document as JSON; it is called when a page asks for it."""

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text=_PAGE, content_type="text/html")

    async def to_page(_: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/swagger/")

    async def doc(_: web.Request) -> web.StreamResponse:
        return web.Response(body=description(), content_type=JSON)

    async def start(_: web.Request) -> web.StreamResponse:
        return web.Response(text=_START, content_type="text/javascript")

    app.router.add_get("/swagger", to_page)
    app.router.add_get("/swagger/", page)
    app.router.add_get("/swagger/index.html", page)
    app.router.add_get("/swagger/doc.json", doc)
    app.router.add_get("/swagger/start.js", start)
    app.router.add_get("/swagger/{name}", package_files("swagger_ui", "static", _FILES))
