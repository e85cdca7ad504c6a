"""The built web interface: hashed files, and the page that starts it."""

import mimetypes
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

import structlog
from aiohttp import hdrs, web

from services.gateway.frame.answers import unknown_path

log = structlog.get_logger()

INDEX, ASSETS = "index.html", "assets"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_FOREVER = "public, max-age=31536000, immutable"  # a changed file has another name
_BASE = '<base href="/"'
_SESSION = '<script type="application/json" id="session">'
_STYLESHEET = re.compile(rf'<link rel="stylesheet"[^>]* href="\./({ASSETS}/index-[^"]+)"')
_COMPRESSED = (".br", ".gz")


@dataclass(frozen=True, slots=True)
class Built:
    """``before`` and ``after`` are the parts of the page around the session; ``stylesheet`` is relative to the base path."""

    folder: Path
    before: str
    after: str
    stylesheet: str
    names: frozenset[str]

    def page(self, session: bytes) -> web.Response:
        """``session`` is JSON without ``<``, as ``answers.encode`` writes it."""
        headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_SECURITY_POLICY: POLICY}
        return web.Response(text=f"{self.before}{session.decode()}{self.after}", content_type="text/html", headers=headers)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file of the list made at start; no path is built from a request. aiohttp sends its compressed copy where one is accepted."""
        name = request.match_info["name"]
        if name not in self.names:
            return unknown_path()
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: _FOREVER, hdrs.CONTENT_SECURITY_POLICY: POLICY}
        return web.FileResponse(self.folder / ASSETS / name, headers=headers)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"/{ASSETS}/{{name}}", self.file)


def read_built(folder: Path, base_path: str) -> Built | None:
    """None, with a line in the log, if the installation has no built pages."""
    try:
        text = (folder / INDEX).read_text(encoding="utf-8")
        names = frozenset(path.name for path in (folder / ASSETS).iterdir() if path.suffix not in _COMPRESSED)
    except OSError:
        log.warning("no_pages", why="this installation was built without the web interface; the API is complete", folder=str(folder))
        return None
    text = text.replace(_BASE, f'<base href="{escape(base_path)}"')
    before, marker, after = text.partition(_SESSION)
    stylesheet = _STYLESHEET.search(text)
    if not marker or stylesheet is None:
        log.warning("no_pages", why=f"{INDEX} is not a page of the web interface", folder=str(folder))
        return None
    return Built(folder, before + marker, after, stylesheet[1], names)
