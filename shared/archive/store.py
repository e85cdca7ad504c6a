"""The port to a place that holds a job archive: a folder, an SQLite file, a bucket.

Methods block, so callers run them in threads, and an instance may be used by several threads. Every method raises ArchiveUnavailable or
OSError when the place cannot be used.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.archive.layout import ArchiveError, ArchiveUnavailable, JobPath, TooLarge
from shared.archive.meta import known_spelling, require_same_job
from shared.archive.preserved import Preserved
from shared.archive.reader import data_of, object_of, texts_of
from shared.archive.writer import Entry
from shared.metricdata.model import JobData


@dataclass(frozen=True, slots=True)
class StoredData:
    """The data file of an entry as stored."""

    content: bytes
    is_packed: bool

    @property
    def has_metrics(self) -> bool:
        """True for damaged data too, which may still be useful."""
        try:
            return bool(texts_of(self.content, "", None, is_packed=self.is_packed))
        except ArchiveError:
            return bool(self.content)


@dataclass(frozen=True, slots=True)
class Stray:
    """Something that is stored where an entry should be, but is not the entry of any job."""

    place: str
    why: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that belongs to no entry. ``remove`` raises OSError or ArchiveUnavailable.

    ``temporary``: of a writer that died, or older than an hour. ``incomplete``: data whose meta.json was never written, equally old.
    ``unused``: a data.json beside a readable data.json.gz, or thumbnails without an entry. ``empty``: a folder.
    """

    kind: Literal["temporary", "incomplete", "unused", "empty"]
    place: str
    size: int
    remove: Callable[[], object]


class ArchiveStore(ABC):
    """``address`` is the place as shown to people."""

    address: str

    @property
    def place(self) -> str:
        """The address by which the place is recognised after a restart, from whatever folder."""
        return self.address

    @abstractmethod
    def open(self) -> None:
        """Create the archive in an empty place, otherwise check its version. Raises UserError."""

    @abstractmethod
    def version(self) -> int:
        """The version of the format. Raises UserError when there is no archive."""

    @abstractmethod
    def require(self) -> None:
        """Raises ArchiveUnavailable unless there is an archive of the supported version."""

    @abstractmethod
    def check(self, size: int) -> None:
        """Write and remove ``size`` bytes. Raises when the place cannot be written."""

    @abstractmethod
    def clusters(self) -> list[str]:
        """The names of clusters that have a definition, sorted."""

    @abstractmethod
    def cluster_text(self, cluster: str) -> bytes:
        """The definition of a cluster (cluster.json). Raises ArchiveError."""

    @abstractmethod
    def write_cluster(self, cluster: str, text: bytes) -> bool:
        """Returns False when the definition is unchanged."""

    @abstractmethod
    def paths(self) -> Iterator[JobPath | Stray]:
        """All entries, also incomplete ones, cluster by cluster. Memory does not grow with their number."""

    @abstractmethod
    def size(self, path: JobPath) -> int:
        """The bytes of an entry, 0 when there is none."""

    @abstractmethod
    def is_complete(self, path: JobPath) -> bool:
        """Whether the entry has both description and data."""

    @abstractmethod
    def meta(self, path: JobPath) -> bytes:
        """The bytes of meta.json. Raises ArchiveError."""

    @abstractmethod
    def data(self, path: JobPath) -> StoredData:
        """Raises ArchiveError when there is no data file."""

    @abstractmethod
    def data_stamp(self, path: JobPath) -> tuple[Hashable, int]:
        """A value that changes whenever the data file is replaced, and its size in bytes. Raises ArchiveError."""

    @abstractmethod
    def thumbnail(self, path: JobPath) -> bytes | None:
        """The thumbnail as stored. None if it is missing or unreadable."""

    @abstractmethod
    def write_thumbnail(self, path: JobPath, content: bytes) -> None:
        """It need not survive a power loss, because it can be computed again."""

    @abstractmethod
    def write(self, entries: Sequence[Entry]) -> list[Exception | None]:
        """Write entries of different jobs durably and atomically: a reader never finds part of one. Returns an error or None for each."""

    @abstractmethod
    def remove(self, paths: Sequence[JobPath]) -> list[Exception | None]:
        """Remove entries. Returns an error or None for each; a missing entry is no error."""

    def remove_unchanged(self, entries: Sequence[Entry]) -> list[Exception | None]:
        """Remove entries that are still as given. One that changed or disappeared meanwhile is left alone, which is no error."""
        errors: list[Exception | None] = []
        for entry in entries:
            try:
                is_same = self.entry(entry.path) == entry
            except ArchiveError:
                is_same = False
            except (ArchiveUnavailable, OSError) as e:
                errors.append(e)
                continue
            errors += self.remove([entry.path]) if is_same else [None]
        return errors

    @abstractmethod
    def leftovers(self) -> Iterator[Leftover]:
        """What ``jobtide archive clean`` removes. Entries are left alone, also damaged ones."""

    def parts(self) -> "list[ArchiveStore]":
        """The places that entries are written to. Each may be unavailable on its own."""
        return [self]

    def part_of(self, cluster: str) -> "ArchiveStore":
        """The one of ``parts`` that the entries of a cluster are written to."""
        return self

    def preserved(self, path: JobPath) -> Preserved:
        """The parts of an existing entry that must stay when its job is archived again.

        Raises ArchiveError when it belongs to another job, and TooLarge.
        """
        try:
            document = known_spelling(self.document(path))
        except TooLarge:
            raise
        except ArchiveError:
            document = {}
        if document:
            require_same_job(path, document)
        try:
            data: StoredData | None = self.data(path)
        except TooLarge:
            raise
        except ArchiveError:
            data = None
        if data is None or not data.has_metrics:
            return Preserved(document, None, False)
        return Preserved(document, data.content, data.is_packed, self.thumbnail(path))

    def is_same_place(self, other: "ArchiveStore") -> bool:
        """Whether both are the same archive."""
        return self.address == other.address

    def close(self) -> None:  # noqa: B027 - most places hold nothing open
        """Give up connections."""

    def document(self, path: JobPath) -> dict[str, Any]:
        """meta.json, decoded. Raises ArchiveError."""
        return object_of(self.meta(path), f"{path.relative}/meta.json")

    def entry(self, path: JobPath) -> Entry:
        """A complete entry as stored. Raises ArchiveError."""
        meta, data = self.meta(path), self.data(path)
        return Entry(path, meta, data.content, data.is_packed, self.thumbnail(path))

    def texts(self, path: JobPath, metrics: Collection[str] | None = None) -> dict[str, bytes]:
        """The undecoded JSON of each metric, all or those of ``metrics`` that exist. Raises ArchiveError."""
        data = self.data(path)
        return texts_of(data.content, f"{path.relative}/data.json", metrics, is_packed=data.is_packed)

    def job_data(self, path: JobPath, metrics: Collection[str] | None = None) -> JobData:
        """The time series of a job. Raises ArchiveError."""
        return data_of(self.texts(path, metrics), f"{path.relative}/data.json")
