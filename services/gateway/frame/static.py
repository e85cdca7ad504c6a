"""Files of installed packages, under names that are known beforehand: nothing of a request becomes a path."""

import importlib.util
import mimetypes
from collections.abc import Awaitable, Callable, Collection
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web

from services.gateway.frame.answers import unknown_path


@cache
def package_folder(package: str) -> Path:
    """Of the package's files; found without importing it."""
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
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return web.FileResponse(package_folder(package) / below / name, headers={hdrs.CONTENT_TYPE: content_type})

    return file
