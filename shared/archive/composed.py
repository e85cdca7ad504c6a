"""Archives that consist of several places: one for some clusters, and one for entries that were moved away."""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence

from shared.archive.layout import ArchiveError, ArchiveUnavailable, JobPath
from shared.archive.store import ArchiveStore, Leftover, StoredData, Stray
from shared.archive.writer import Entry


class ComposedStore(ArchiveStore):
    """Base of archives that pass each entry to one of their parts."""

    def __init__(self, parts: Sequence[ArchiveStore]) -> None:
        self._parts = list(dict.fromkeys(parts))
        self.address = ", ".join(part.address for part in self._parts)

    def holder(self, path: JobPath) -> ArchiveStore:
        """The part to read an entry from."""
        return self.part_of(path.cluster)

    def writer(self, entry: Entry) -> ArchiveStore:
        return self.part_of(entry.path.cluster)

    def parts(self) -> list[ArchiveStore]:
        return [one for part in self._parts for one in part.parts()]

    def open(self) -> None:
        for part in self._parts:
            part.open()

    def version(self) -> int:
        return max(part.version() for part in self._parts)

    def require(self) -> None:
        for part in self._parts:
            part.require()

    def check(self, size: int) -> None:
        for part in self._parts:
            part.check(size)

    def close(self) -> None:
        for part in self._parts:
            part.close()

    def clusters(self) -> list[str]:
        return sorted({name for part in self._parts for name in part.clusters() if self.part_of(name) in part.parts()})

    def cluster_text(self, cluster: str) -> bytes:
        return self.part_of(cluster).cluster_text(cluster)

    def write_cluster(self, cluster: str, text: bytes) -> bool:
        return self.part_of(cluster).write_cluster(cluster, text)

    def paths(self) -> Iterator[JobPath | Stray]:
        """Entries that another part holds are left out, such as those of a cluster that has since got a place of its own."""
        for part in self._parts:
            for path in part.paths():
                if isinstance(path, Stray) or self.holder(path) in (part, *part.parts()):
                    yield path

    def size(self, path: JobPath) -> int:
        return self.holder(path).size(path)

    def is_complete(self, path: JobPath) -> bool:
        return self.holder(path).is_complete(path)

    def meta(self, path: JobPath) -> bytes:
        return self.holder(path).meta(path)

    def data(self, path: JobPath) -> StoredData:
        return self.holder(path).data(path)

    def data_stamp(self, path: JobPath) -> tuple[Hashable, int]:
        return self.holder(path).data_stamp(path)

    def texts(self, path: JobPath, metrics: Collection[str] | None = None) -> dict[str, bytes]:
        return self.holder(path).texts(path, metrics)

    def thumbnail(self, path: JobPath) -> bytes | None:
        return self.holder(path).thumbnail(path)

    def write_thumbnail(self, path: JobPath, content: bytes) -> None:
        self.holder(path).write_thumbnail(path, content)

    def write(self, entries: Sequence[Entry]) -> list[Exception | None]:
        by_part: dict[ArchiveStore, list[Entry]] = {}
        errors: dict[JobPath, Exception | None] = {}
        for entry in entries:
            try:
                by_part.setdefault(self.writer(entry), []).append(entry)
            except (ArchiveError, ArchiveUnavailable, OSError) as e:
                errors[entry.path] = e
        for part, some in by_part.items():
            errors |= zip((entry.path for entry in some), part.write(some), strict=True)
        return [errors[entry.path] for entry in entries]

    def remove(self, paths: Sequence[JobPath]) -> list[Exception | None]:
        by_part: dict[ArchiveStore, list[JobPath]] = {}
        errors: dict[JobPath, Exception | None] = {}
        for path in paths:
            try:
                by_part.setdefault(self.holder(path), []).append(path)
            except (ArchiveError, ArchiveUnavailable, OSError) as e:
                errors[path] = e
        for part, some in by_part.items():
            errors |= zip(some, part.remove(some), strict=True)
        return [errors[path] for path in paths]

    def remove_unchanged(self, entries: Sequence[Entry]) -> list[Exception | None]:
        by_part: dict[ArchiveStore, list[Entry]] = {}
        errors: dict[JobPath, Exception | None] = {}
        for entry in entries:
            try:
                by_part.setdefault(self.holder(entry.path), []).append(entry)
            except (ArchiveError, ArchiveUnavailable, OSError) as e:
                errors[entry.path] = e
        for part, some in by_part.items():
            errors |= zip((entry.path for entry in some), part.remove_unchanged(some), strict=True)
        return [errors[entry.path] for entry in entries]

    def leftovers(self) -> Iterator[Leftover]:
        for part in self._parts:
            yield from part.leftovers()


class RoutedStore(ComposedStore):
    """``by_cluster`` are the places of single clusters, ``other`` is that of all others."""

    def __init__(self, other: ArchiveStore, by_cluster: Mapping[str, ArchiveStore]) -> None:
        super().__init__([other, *by_cluster.values()])
        self._other = other
        self._by_cluster = by_cluster

    def part_of(self, cluster: str) -> ArchiveStore:
        return self._by_cluster.get(cluster, self._other)


class MovedStore(ComposedStore):
    """``present`` is where entries are written, ``moved`` where old ones were moved to.

    An entry that both have is read from ``present``.
    """

    def __init__(self, present: ArchiveStore, moved: ArchiveStore) -> None:
        super().__init__([present, moved])
        self._present = present
        self._moved = moved

    def part_of(self, cluster: str) -> ArchiveStore:
        return self._present.part_of(cluster)

    def parts(self) -> list[ArchiveStore]:
        """Only those that entries are written to: archiving goes on while the other is unavailable."""
        return self._present.parts()

    def open(self) -> None:
        self._present.open()

    def version(self) -> int:
        return self._present.version()

    def require(self) -> None:
        self._present.require()

    def check(self, size: int) -> None:
        self._present.check(size)

    def clusters(self) -> list[str]:
        return self._present.clusters()

    def holder(self, path: JobPath) -> ArchiveStore:
        """Raises ArchiveUnavailable when the entry may be in the place of moved ones, and that cannot be used."""
        part = self._present.part_of(path.cluster)
        if part.is_complete(path):
            return part
        if self._moved.is_complete(path):
            return self._moved
        self._moved.require()  # a folder that is not mounted has no entries
        return part

    def writer(self, entry: Entry) -> ArchiveStore:
        """A changed description goes to where the entry is."""
        return self.holder(entry.path) if entry.data is None else self._present.part_of(entry.path.cluster)

    def paths(self) -> Iterator[JobPath | Stray]:
        yield from self._present.paths()
        self._moved.require()
        for path in self._moved.paths():
            if isinstance(path, Stray) or not self._present.part_of(path.cluster).is_complete(path):
                yield path
