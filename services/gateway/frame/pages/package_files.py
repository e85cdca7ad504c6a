"""Serves pages made of files of installed packages and of own files, by a fixed list of names; no path is built from a request."""

import importlib.util
import mimetypes
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web

from services.gateway.frame.answers import unknown_path


@cache
def package_folder(package: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def package_files(package: str, below: str, names: Collection[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler for a path that ends with ``{name}``."""

    async def file(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in names:
            return unknown_path()
        return web.FileResponse(package_folder(package) / below / name, headers={hdrs.CONTENT_TYPE: _content_type(name)})

    return file


def add_page(
    app: web.Application, path: str, page: str, texts: Mapping[str, str], files: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> None:
    """Serve the HTML ``page`` at ``path``, which ends with a slash, and below it ``texts`` by file name and ``files``."""

    async def to_page(_: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently(path.strip("/") + "/")  # relative, since a proxy may have removed a prefix

    app.router.add_get(path.removesuffix("/"), to_page)
    app.router.add_get(path, _text(page, "text/html"))
    for name, text in texts.items():
        app.router.add_get(path + name, _text(text, _content_type(name)))
    app.router.add_get(path + "{name}", files)


def _text(text: str, content_type: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type=content_type)

    return answer


def _content_type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
