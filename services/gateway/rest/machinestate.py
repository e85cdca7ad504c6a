"""Machine states that tools on nodes report: one JSON file per host, replaced as a whole."""

import asyncio
import os
import re
import tempfile
from pathlib import Path

import orjson

from services.gateway.errors import bad_request

# The names of clusters and hosts used everywhere; path separators and `..` do not match.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
MAX_BYTES = 4 * 1024 * 1024


class MachineStates:
    """The files below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, cluster: str, host: str, body: bytes) -> None:
        """Raises RequestError (400)."""
        path = self._path(cluster, host)
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as e:
            raise bad_request("the body is not JSON") from e
        await asyncio.to_thread(_replace, path, body)

    async def get(self, cluster: str, host: str) -> Path | None:
        """The file, if there is one. Raises RequestError (400)."""
        path = self._path(cluster, host)
        return path if await asyncio.to_thread(path.is_file) else None

    def _path(self, cluster: str, host: str) -> Path:
        for field, name in (("cluster", cluster), ("host", host)):
            if not _NAME.fullmatch(name) or ".." in name:
                raise bad_request(f"{field}: {name[:60]!r} is not a name")
        return self._root / cluster / f"{host}.json"


def _replace(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
