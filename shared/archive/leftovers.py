"""Files in the folder of an archive that belong to no entry: those of writers that died, unused data files, and empty folders."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.archive.layout import DATA_FILE, PACKED_DATA_FILE, TEMPORARY_PREFIX, ArchiveError
from shared.archive.reader import read_data_texts
from shared.archive.writer import is_abandoned

_DEPTH = 4  # folders of an entry below the root


@dataclass(frozen=True, slots=True)
class Leftover:
    """``temporary``: of a writer that died, or older than an hour. ``empty``: a folder.

    ``unused``: a data.json beside a readable data.json.gz.
    """

    kind: Literal["temporary", "empty", "unused"]
    path: Path
    size: int

    def remove(self) -> None:
        """Raises OSError, for example when an empty folder is used meanwhile."""
        if self.kind == "empty":
            self.path.rmdir()
        elif self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def leftovers(root: Path) -> Iterator[Leftover]:
    """Walk the archive depth first, so that a folder whose content was removed meanwhile is found empty itself."""
    yield from _inside(root, 0)


def _inside(folder: Path, depth: int) -> Iterator[Leftover]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = Path(entry.path)
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name.startswith(TEMPORARY_PREFIX):
            if is_abandoned(entry):
                yield Leftover("temporary", path, _size(path))
        elif is_folder and depth < _DEPTH and not entry.name.startswith("."):
            yield from _inside(path, depth + 1)
    if depth == _DEPTH:
        yield from _unused(folder)
    if depth > 1 and _is_empty(folder):
        yield Leftover("empty", folder, 0)


def _unused(directory: Path) -> Iterator[Leftover]:
    plain, packed = directory / DATA_FILE, directory / PACKED_DATA_FILE
    if not (plain.is_file() and packed.is_file()):
        return
    try:
        read_data_texts(packed)
    except ArchiveError:
        return  # the plain file may be the only good copy
    yield Leftover("unused", plain, plain.stat().st_size)


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as found:
            return next(found, None) is None
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
