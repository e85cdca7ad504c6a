"""Writes entries atomically: readers never see a partial one, also after a crash or a power loss.

A new entry is built in a temporary folder next to its final path, flushed, and renamed. An existing entry is replaced file
by file, meta.json last. Entries are written in groups that share their flushes, which makes durable writing cheap.
"""

import os
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from shared.archive.flush import can_flush_filesystem, flush_directory, flush_file, flush_filesystem
from shared.archive.layout import (
    CLUSTER_FILE,
    DATA_FILE,
    META_FILE,
    PACKED_DATA_FILE,
    TEMPORARY_PREFIX,
    THUMBNAIL_FILE,
    ArchiveError,
    JobPath,
    is_directory_name,
    require_size,
)
from shared.archive.reader import is_complete, thumbnail_bytes

SHARED_FLUSH_FROM = 8  # entries; from here, flushing the file system twice is cheaper than five flushes per entry
LEFTOVER_AGE_S = 3600.0  # older temporary files belong to a dead writer, on any machine
_HOST = socket.gethostname()
_TOKEN = uuid4().hex[:12]  # distinguishes this process from an earlier one with the same pid, as in a restarted container


@dataclass(frozen=True, slots=True)
class Entry:
    """The files of one job as bytes. If ``data`` is None, the existing data file and thumbnail stay; without them it is an error."""

    path: JobPath
    meta: bytes
    data: bytes | None
    is_packed: bool = False
    thumbnail: bytes | None = None

    @property
    def data_name(self) -> str:
        return PACKED_DATA_FILE if self.is_packed else DATA_FILE

    @property
    def files(self) -> list[tuple[str, bytes]]:
        """In writing order: a reader that finds meta.json also finds the data."""
        data = [] if self.data is None else [(self.data_name, self.data)]
        thumbnail = [] if self.thumbnail is None else [(THUMBNAIL_FILE, self.thumbnail)]
        return [*data, *thumbnail, (META_FILE, self.meta)]

    def require_sizes(self) -> None:
        """Raises TooLarge when a file could not be read again."""
        for name, content in self.files:
            require_size(f"{self.path.relative}/{name}", len(content))


def write_entries(root: Path, entries: Sequence[Entry]) -> list[Exception | None]:
    """Write entries durably. Returns an error or None for each.

    Blocks. The entries must belong to different jobs. A failed entry leaves at most empty folders.
    """
    writes = [_Write(root, entry) for entry in entries]
    shares_flush = can_flush_filesystem and len(writes) >= SHARED_FLUSH_FROM
    _each(writes, _Write.build)
    if shares_flush:
        _all_or_none(writes, root)
    else:
        _each(writes, _Write.flush)
    _each(writes, _Write.publish)
    _each(writes, _Write.settle)
    if shares_flush:
        _all_or_none(writes, root)
    else:
        _flush_parents(writes)
    return [write.error for write in writes]


def _each(writes: Sequence["_Write"], step: Callable[["_Write"], None]) -> None:
    for write in writes:
        if write.error is None:
            write.attempt(step)


def _all_or_none(writes: Sequence["_Write"], root: Path) -> None:
    try:
        flush_filesystem(root)
    except OSError as e:
        for write in writes:
            write.fail(write.error or e)


def _flush_parents(writes: Sequence["_Write"]) -> None:
    failed: dict[Path, OSError] = {}
    for parent in dict.fromkeys(parent for write in writes if write.error is None for parent in write.parents):
        try:
            flush_directory(parent)
        except OSError as e:
            failed[parent] = e
    for write in writes:
        write.error = write.error or next((failed[parent] for parent in write.parents if parent in failed), None)


def write_cluster(root: Path, cluster: str, text: bytes) -> bool:
    """Write a cluster.json into the archive. Returns False when it is unchanged. Blocks; raises OSError."""
    if not is_directory_name(cluster):
        raise ValueError(f"{cluster!r} cannot be used as a folder name")
    place = root / cluster / CLUSTER_FILE
    if place.is_file() and place.read_bytes() == text:
        return False
    is_new = not place.parent.is_dir()
    place.parent.mkdir(parents=True, exist_ok=True)
    _replace_file(place, text)
    flush_directory(place.parent)
    if is_new:
        flush_directory(root)
    return True


class _Write:
    """The steps of writing one entry: build, flush, publish, settle."""

    def __init__(self, root: Path, entry: Entry) -> None:
        self.root = root
        self.entry = entry
        self.error: Exception | None = None
        self.parents: list[Path] = []  # folders whose listings changed, to be flushed at the end
        self._place = root
        self._temporary: Path | None = None
        self._replaces = False

    def attempt(self, step: Callable[["_Write"], None]) -> None:
        try:
            step(self)
        except Exception as e:  # noqa: BLE001 - reported to the caller; one entry's failure must not affect the others
            self.fail(e)

    def fail(self, error: Exception) -> None:
        self.error = error
        self._clean()

    def build(self) -> None:
        self._place = self.entry.path.under(self.root)
        self.entry.require_sizes()
        self._require_entry()
        self._replaces = self._place.is_dir()
        if self._replaces:
            self.parents.append(self._place)
            return
        parent = self._place.parent
        self.parents += [parent, *_make_directories(self.root, parent)]
        _remove_leftovers(parent)
        self._temporary = parent / temporary_name(self._place.name)
        self._temporary.mkdir()
        for name, content in self.entry.files:
            (self._temporary / name).write_bytes(content)

    def flush(self) -> None:
        if self._temporary is not None:
            for name, _ in self.entry.files:
                flush_file(self._temporary / name)
            flush_directory(self._temporary)

    def publish(self) -> None:
        if self._temporary is None:
            return
        try:
            self._temporary.rename(self._place)
        except OSError:
            if not self._place.is_dir():
                raise
            self._replaces = True  # another process has written the same job first
            self.parents.append(self._place)
            self._clean()
        self._temporary = None

    def settle(self) -> None:
        if not self._replaces:
            return
        self._require_entry()  # it may have been removed meanwhile
        _remove_leftovers(self._place)
        if self.entry.data is not None and thumbnail_bytes(self._place) != self.entry.thumbnail:
            (self._place / THUMBNAIL_FILE).unlink(missing_ok=True)  # first, so that no crash leaves one of other data
        for name, content in self.entry.files:
            if name == META_FILE and self.entry.data is not None:
                self._drop_other_data()
            _replace_file(self._place / name, content)

    def _require_entry(self) -> None:
        if self.entry.data is None and not is_complete(self.root, self.entry.path):
            raise ArchiveError(f"{self.entry.path.relative}: not in the archive")

    def _drop_other_data(self) -> None:
        """Remove the other variant of the data file: readers prefer the packed one."""
        other = DATA_FILE if self.entry.is_packed else PACKED_DATA_FILE
        (self._place / other).unlink(missing_ok=True)

    def _clean(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


def _make_directories(root: Path, directory: Path) -> list[Path]:
    """Create the folders down to ``directory``; returns the parents of the created ones."""
    missing = []
    at = directory
    while at != root and not at.is_dir():
        missing.append(at)
        at = at.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
    return [folder.parent for folder in missing]


def temporary_name(name: str) -> str:
    """A unique name that identifies the writing process."""
    return f"{TEMPORARY_PREFIX}{name}-{uuid4().hex[:8]}@{_HOST}@{os.getpid()}@{_TOKEN}"


def _remove_leftovers(parent: Path) -> None:
    """Remove the temporary files and folders of writers that died."""
    with os.scandir(parent) as found:
        leftovers = [entry for entry in found if entry.name.startswith(TEMPORARY_PREFIX)]
    for entry in leftovers:
        with suppress(OSError):
            if is_abandoned(entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink()


def is_abandoned(entry: "os.DirEntry[str]") -> bool:
    """Whether the writer of a temporary file or folder has ended, or must have. Raises OSError."""
    return _is_dead(entry.name) or time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_AGE_S


def _is_dead(name: str) -> bool:
    """Whether the writer of this temporary name ran on this host and has ended."""
    _, *owner = name.rsplit("@", 3)
    if len(owner) != 3 or owner[0] != _HOST or not owner[1].isdigit():
        return False
    if owner[1] == str(os.getpid()):
        return owner[2] != _TOKEN
    try:
        os.kill(int(owner[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _replace_file(place: Path, content: bytes) -> None:
    """Does nothing when the content is unchanged. The caller flushes the folder."""
    with suppress(FileNotFoundError):
        if place.read_bytes() == content:
            return
    temporary = place.with_name(temporary_name(place.name))
    try:
        temporary.write_bytes(content)
        flush_file(temporary)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
