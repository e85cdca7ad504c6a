"""The folder of a metric store: immutable files, one for each cluster and period.

A file is written under a temporary name, synced, and renamed. A later one with more samples of its period replaces it.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from services.metricstore.format import Damaged, Mark, Place, Rows, created_of, ends_lost, read_place, write_table
from services.metricstore.grids import PERIOD_S
from shared.archive.flush import flush_directory
from shared.errors import UserError
from shared.locking import exclusive

log = structlog.get_logger()

_SUFFIX, _DAMAGED = ".parquet", ".damaged"


@dataclass(frozen=True, slots=True)
class PeriodFile:
    """One file; ``size`` in bytes."""

    cluster: str
    period: int
    path: Path
    size: int
    place: Place


class Folder:
    """The files of one store.

    ``lost`` are periods whose file was damaged. Until the stream has been read again for them they must not be saved: a period
    with a ``.damaged`` file and no later one is how the next start knows.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._version = 0
        self.files: dict[tuple[str, int], PeriodFile] = {}
        self.lost: set[tuple[str, int]] = set()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Lock the folder and find its files. Raises UserError if another store uses it, or it is not writable."""
        with ExitStack() as stack:
            try:
                self._root.mkdir(parents=True, exist_ok=True, mode=0o750)
                stack.enter_context(exclusive(self._root / "lock"))
                self._scan()
            except BlockingIOError as e:
                raise UserError(f"another metric store uses {self._root}") from e
            except OSError as e:
                raise UserError(f"cannot use {self._root} for samples: {e.strerror or e}") from e
            yield

    def _scan(self) -> None:
        damaged = []
        for path in sorted(self._root.glob("*/*"), key=_version_of):
            if path.name.startswith("."):
                path.unlink()  # left by a store that was killed while writing it
            elif path.suffix == _DAMAGED:
                damaged.append(path.with_suffix(""))
            elif path.suffix == _SUFFIX:
                file = _opened(path)
                if file is None:
                    self.set_aside(path)
                    damaged.append(path)
                    continue
                self._version = max(self._version, _version_of(path))
                before = self.files.get((file.cluster, file.period))
                self.files[file.cluster, file.period] = file
                if before is not None:  # a store was killed before it removed the replaced file
                    before.path.unlink()
        self.lost = {key for path in damaged if (key := _key_of(path)) is not None and not self._has_later(key, path)}

    def _has_later(self, key: tuple[str, int], path: Path) -> bool:
        file = self.files.get(key)
        return file is not None and _version_of(file.path) > _version_of(path)

    def set_aside(self, path: Path) -> None:
        """Rename an unreadable file, so that the store continues without it."""
        key = _key_of(path)
        if key is not None and not self._has_later(key, path):
            self.lost.add(key)
            if (file := self.files.get(key)) is not None and file.path == path:
                self.files.pop(key, None)
        log.error("samples_damaged", file=str(path), renamed_to=path.name + _DAMAGED)
        with suppress(OSError):
            path.rename(path.with_name(path.name + _DAMAGED))

    def start_position(self, stream: str) -> int:
        """The sequence up to which all samples are in files; 0 if unknown, for example because a file was damaged."""
        if self.lost:
            return 0
        return max((file.place.position for file in self.files.values() if file.place.stream == stream), default=0)

    def latest(self, created: str) -> str:
        """What identifies the stream of this creation in its latest files."""
        known = (file.place.stream for file in self.files.values())
        return max((stream for stream in known if created_of(stream) == created), key=ends_lost, default=created)

    def reached(self, stream: str) -> int:
        """The last sequence that any file has; 0 if none has one of this stream."""
        return max((file.place.sequence for file in self.files.values() if file.place.stream == stream), default=0)

    def mark(self, stream: str) -> Mark | None:
        """The latest mark of this stream in any file."""
        marks = (file.place.mark for file in self.files.values() if file.place.stream == stream)
        return max((mark for mark in marks if mark is not None), key=lambda mark: mark.sequence, default=None)

    def sequence(self, cluster: str, period: int, stream: str) -> int:
        """The sequence up to which the samples of a period are in its file."""
        file = self.files.get((cluster, period))
        return file.place.sequence if file is not None and file.place.stream == stream else 0

    def write(self, cluster: str, period: int, rows: Iterable[Rows], place: Place) -> PeriodFile:
        """Write a file; ``note`` makes it the one of its period. Raises OSError."""
        folder = self._root / cluster
        folder.mkdir(mode=0o750, exist_ok=True)
        self._version = max(self._version + 1, time.time_ns())
        path = folder / f"{period * PERIOD_S}.{self._version}{_SUFFIX}"
        temporary = path.with_name(f".{path.name}")
        try:
            with temporary.open("wb") as file:
                write_table(rows, place, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)  # on a full disk it would use the space of the next attempt
            raise
        flush_directory(folder)
        return PeriodFile(cluster, period, path, path.stat().st_size, place)

    def note(self, file: PeriodFile) -> None:
        """Replace the file of a period."""
        before = self.files.get((file.cluster, file.period))
        self.files[file.cluster, file.period] = file
        if before is not None:
            try:
                before.path.unlink(missing_ok=True)
            except OSError as e:  # the next start removes it
                log.warning("former_samples_not_removed", file=str(before.path), why=str(e))

    def remove(self, file: PeriodFile) -> None:
        """Remove the file of a period, and its damaged files. Raises OSError; the file is then still known."""
        for path in (*file.path.parent.glob(f"{file.period * PERIOD_S}.*{_DAMAGED}"), file.path):
            path.unlink(missing_ok=True)
        self.files.pop((file.cluster, file.period), None)

    def surplus(self, before: Callable[[str], int], max_bytes: int) -> list[PeriodFile]:
        """Files of periods that ended ``before`` a time of their cluster, and the oldest ones beyond a total size."""
        found, left = [], sum(file.size for file in self.files.values()) - max_bytes
        for file in sorted(self.files.values(), key=lambda file: file.period):
            if (file.period + 1) * PERIOD_S <= before(file.cluster) or left > 0:
                found.append(file)
                left -= file.size
        return found

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


def _version_of(path: Path) -> int:
    text = path.name.split(".")[1] if path.name.count(".") == 2 else ""
    return int(text) if text.isdigit() else 0


def _key_of(path: Path) -> tuple[str, int] | None:
    """The cluster and period of a file, from its name."""
    text = path.name.split(".")[0]
    return (path.parent.name, int(text) // PERIOD_S) if text.isdigit() else None


def _opened(path: Path) -> PeriodFile | None:
    """None if it is not a file of samples, or its end is missing. Raises Unavailable."""
    try:
        return PeriodFile(path.parent.name, int(path.name.split(".")[0]) // PERIOD_S, path, path.stat().st_size, read_place(path))
    except (Damaged, ValueError):
        return None
