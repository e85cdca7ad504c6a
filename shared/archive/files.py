"""A job archive in a folder."""

import os
import shutil
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from shared.archive.flush import can_flush_filesystem, flush_directory, flush_filesystem
from shared.archive.layout import (
    META_FILE,
    PACKED_DATA_FILE,
    TEMPORARY_PREFIX,
    THUMBNAIL_FILE,
    ArchiveError,
    JobPath,
    cluster_names,
    is_same_file,
    job_directories,
    job_path_of,
    open_archive,
    read_version,
    require_archive,
    without_place,
)
from shared.archive.leftovers import leftovers
from shared.archive.preserved import Preserved, read_preserved
from shared.archive.reader import data_file, is_complete, read_bytes, read_cluster_text, read_data_texts, thumbnail_bytes
from shared.archive.store import ArchiveStore, Leftover, StoredData, Stray
from shared.archive.writer import SHARED_FLUSH_FROM, Entry, temporary_name, write_cluster, write_entries


class FileStore(ArchiveStore):
    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    @property
    def place(self) -> str:
        return str(self.root.absolute())

    def preserved(self, path: JobPath) -> Preserved:
        return read_preserved(self.root, path)

    def is_same_place(self, other: ArchiveStore) -> bool:
        return isinstance(other, FileStore) and is_same_file(self.root, other.root)

    def open(self) -> None:
        open_archive(self.root)

    def version(self) -> int:
        return read_version(self.root)

    def require(self) -> None:
        require_archive(self.root)

    def check(self, size: int) -> None:
        self.require()
        probe = self.root / f"{TEMPORARY_PREFIX}probe-{os.getpid()}"
        try:
            probe.write_bytes(bytes(size))
        finally:
            probe.unlink(missing_ok=True)

    def clusters(self) -> list[str]:
        return cluster_names(self.root)

    def cluster_text(self, cluster: str) -> bytes:
        return read_cluster_text(self.root, cluster)

    def write_cluster(self, cluster: str, text: bytes) -> bool:
        return write_cluster(self.root, cluster, text)

    def paths(self) -> Iterator[JobPath | Stray]:
        for directory in job_directories(self.root):
            if directory.name.startswith(TEMPORARY_PREFIX):
                continue
            try:
                yield job_path_of(self.root, directory)
            except ArchiveError as e:
                yield Stray(str(directory), without_place(e, directory))

    def size(self, path: JobPath) -> int:
        try:
            with os.scandir(path.under(self.root)) as files:
                return sum(file.stat(follow_symlinks=False).st_size for file in files)
        except FileNotFoundError:
            return 0

    def is_complete(self, path: JobPath) -> bool:
        return is_complete(self.root, path)

    def meta(self, path: JobPath) -> bytes:
        return read_bytes(path.under(self.root) / META_FILE)

    def data(self, path: JobPath) -> StoredData:
        file = data_file(path.under(self.root))
        return StoredData(read_bytes(file), file.name == PACKED_DATA_FILE)

    def data_stamp(self, path: JobPath) -> tuple[Hashable, int]:
        file = data_file(path.under(self.root))
        try:
            found = file.stat()
        except OSError as e:
            raise ArchiveError(f"{file}: {e.strerror}") from e
        return (found.st_ino, found.st_mtime_ns, found.st_size), found.st_size

    def texts(self, path: JobPath, metrics: Collection[str] | None = None) -> dict[str, bytes]:
        return read_data_texts(data_file(path.under(self.root)), metrics)

    def thumbnail(self, path: JobPath) -> bytes | None:
        return thumbnail_bytes(path.under(self.root))

    def write_thumbnail(self, path: JobPath, content: bytes) -> None:
        directory = path.under(self.root)
        temporary = directory / temporary_name(THUMBNAIL_FILE)
        try:
            temporary.write_bytes(content)
            temporary.replace(directory / THUMBNAIL_FILE)
        finally:
            temporary.unlink(missing_ok=True)

    def write(self, entries: Sequence[Entry]) -> list[Exception | None]:
        return write_entries(self.root, entries)

    def remove(self, paths: Sequence[JobPath]) -> list[Exception | None]:
        return self._remove(paths, {})

    def remove_unchanged(self, entries: Sequence[Entry]) -> list[Exception | None]:
        return self._remove([entry.path for entry in entries], {entry.path: entry for entry in entries})

    def _remove(self, paths: Sequence[JobPath], expected: Mapping[JobPath, Entry]) -> list[Exception | None]:
        """Rename all of them first, so that no reader finds part of an entry, also after a power loss; then delete them."""
        errors: dict[JobPath, Exception] = {}
        renamed: dict[JobPath, Path] = {}
        for path in paths:
            try:
                place = path.under(self.root)
                temporary = _set_aside(place) if path not in expected else _set_aside_unchanged(place, expected[path])
                if temporary is not None:
                    renamed[path] = temporary
            except FileNotFoundError:
                continue
            except (ArchiveError, OSError) as e:
                errors[path] = e
        try:
            self._flush([temporary.parent for temporary in renamed.values()])
        except OSError as e:
            return [e if path in renamed else errors.get(path) for path in paths]
        for path, temporary in renamed.items():
            try:
                shutil.rmtree(temporary)
            except OSError as e:
                errors[path] = e
            for parent in (temporary.parent, temporary.parent.parent):
                with suppress(OSError):  # not empty, or another process uses it
                    parent.rmdir()
        return [errors.get(path) for path in paths]

    def leftovers(self) -> Iterator[Leftover]:
        return leftovers(self.root)

    def _flush(self, directories: Sequence[Path]) -> None:
        if can_flush_filesystem and len(directories) >= SHARED_FLUSH_FROM:
            flush_filesystem(self.root)
            return
        for directory in dict.fromkeys(directories):
            flush_directory(directory)


def _set_aside(place: Path) -> Path:
    return place.rename(place.with_name(temporary_name(place.name)))


def _set_aside_unchanged(place: Path, entry: Entry) -> Path | None:
    """None if the entry has changed. Compared again under its other name, where no writer finds it any more."""
    if not _is_at(place, entry):
        return None
    os.utime(place)  # by its age another writer would take the other name for a leftover
    aside = _set_aside(place)
    if _is_at(aside, entry):
        return aside
    try:
        aside.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        # Another process has written the job again: what was set aside is removed as a leftover.
    return None


def _is_at(directory: Path, entry: Entry) -> bool:
    try:
        data = data_file(directory)
        found = Entry(
            entry.path, read_bytes(directory / META_FILE), read_bytes(data), data.name == PACKED_DATA_FILE, thumbnail_bytes(directory)
        )
    except ArchiveError:
        return False
    return found == entry
