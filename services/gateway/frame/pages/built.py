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
class Build:
    """``before`` and ``after`` are the parts of the page around the session; ``stylesheet`` is relative to the base path."""

    version: tuple[int, int, int]
    before: str
    after: str
    stylesheet: str
    names: frozenset[str]


class Built:
    """The files of ``folder``. After another build they are read again, so that a rebuild needs no restart."""

    def __init__(self, folder: Path, base_path: str, build: Build) -> None:
        self._folder = folder
        self._base_path = base_path
        self._build = build

    @property
    def _current(self) -> Build:
        """While a build is incomplete the one before is kept, whose page may lack files."""
        try:
            if _version(self._folder) != self._build.version:
                self._build = _read(self._folder, self._base_path)
                log.info("pages_read", files=len(self._build.names))
        except (OSError, _NoPage):
            pass
        return self._build

    @property
    def stylesheet(self) -> str:
        return self._current.stylesheet

    def page(self, session: bytes) -> web.Response:
        """``session`` is JSON without ``<``, as ``answers.encode`` writes it."""
        build = self._current
        headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_SECURITY_POLICY: POLICY}
        return web.Response(text=f"{build.before}{session.decode()}{build.after}", content_type="text/html", headers=headers)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file of a list; no path is built from a request. aiohttp sends its compressed copy where one is accepted."""
        name = request.match_info["name"]
        if name not in self._current.names:
            return unknown_path()
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: _FOREVER, hdrs.CONTENT_SECURITY_POLICY: POLICY}
        return web.FileResponse(self._folder / ASSETS / name, headers=headers)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"/{ASSETS}/{{name}}", self.file)


class _NoPage(Exception):
    """The folder has an index that is not a page of the web interface."""


def read_built(folder: Path, base_path: str) -> Built | None:
    """None, with a line in the log, if the installation has no built pages."""
    try:
        return Built(folder, base_path, _read(folder, base_path))
    except OSError:
        log.warning("no_pages", why="this installation was built without the web interface; the API is complete", folder=str(folder))
    except _NoPage:
        log.warning("no_pages", why=f"{INDEX} is not a page of the web interface", folder=str(folder))
    return None


def _version(folder: Path) -> tuple[int, int, int]:
    """Raises OSError."""
    state = (folder / INDEX).stat()
    return state.st_mtime_ns, state.st_size, state.st_ino


def _read(folder: Path, base_path: str) -> Build:
    """Raises OSError, _NoPage."""
    version = _version(folder)  # first: a build that ends meanwhile is read again
    text = (folder / INDEX).read_text(encoding="utf-8")
    names = frozenset(path.name for path in (folder / ASSETS).iterdir() if path.suffix not in _COMPRESSED)
    text = text.replace(_BASE, f'<base href="{escape(base_path)}"')
    before, marker, after = text.partition(_SESSION)
    stylesheet = _STYLESHEET.search(text)
    if not marker or stylesheet is None:
        raise _NoPage
    return Build(version, before + marker, after, stylesheet[1], names)
