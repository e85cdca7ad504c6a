"""Files in the folder of an archive that belong to no entry: those of writers that died, unused data files, and empty folders."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from shared.archive.layout import DATA_FILE, PACKED_DATA_FILE, TEMPORARY_PREFIX, ArchiveError
from shared.archive.reader import read_data_texts
from shared.archive.store import Leftover
from shared.archive.writer import LEFTOVER_AGE_S, is_abandoned

_DEPTH = 4  # folders of an entry below the root


def _leftover(kind: Literal["temporary", "unused", "empty"], path: Path, size: int) -> Leftover:
    return Leftover(kind, str(path), size, path.rmdir if kind == "empty" else partial(_remove, path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def leftovers(root: Path) -> Iterator[Leftover]:
    """Walk the archive depth first, so that a folder whose content was removed meanwhile is found empty itself."""
    yield from _inside(root, 0)


def _inside(folder: Path, depth: int) -> Iterator[Leftover]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        if depth == 0:
            raise
        return  # removed meanwhile
    for entry in entries:
        path = Path(entry.path)
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name.startswith(TEMPORARY_PREFIX):
            with suppress(FileNotFoundError):  # its writer is done
                if is_abandoned(entry):
                    yield _leftover("temporary", path, _size(path))
        elif is_folder and depth < _DEPTH and not entry.name.startswith("."):
            yield from _inside(path, depth + 1)
    if depth == _DEPTH:
        yield from _unused(folder)
    if depth > 1 and _is_empty(folder):
        yield _leftover("empty", folder, 0)


def _unused(directory: Path) -> Iterator[Leftover]:
    plain, packed = directory / DATA_FILE, directory / PACKED_DATA_FILE
    if not (plain.is_file() and packed.is_file()):
        return
    try:
        read_data_texts(packed)
    except ArchiveError:
        return  # the plain file may be the only good copy
    with suppress(FileNotFoundError):
        found = plain.stat()
        if time.time() - found.st_mtime > LEFTOVER_AGE_S:  # a younger one may be about to replace the packed file
            yield _leftover("unused", plain, found.st_size)


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as found:
            return next(found, None) is None
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
