"""Swagger UI, a page to read and try the API description. It loads nothing from other hosts."""

from collections.abc import Callable

from aiohttp import web

from services.gateway.frame.answers import JSON
from services.gateway.frame.pages.package_files import add_page, package_files

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
    """``description`` returns the OpenAPI document as JSON; it is called once per request for it."""

    async def doc(_: web.Request) -> web.StreamResponse:
        return web.Response(body=description(), content_type=JSON)

    app.router.add_get("/swagger/doc.json", doc)
    texts = {"index.html": _PAGE, "start.js": _START}
    add_page(app, "/swagger/", _PAGE, texts, package_files("swagger_ui", "static", _FILES))
