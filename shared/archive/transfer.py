"""Copying and converting entries from one archive to another. The source is only read."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from shared.archive.data import pack
from shared.archive.layout import VERSION, ArchiveError, ArchiveUnavailable, JobPath
from shared.archive.meta import known_spelling, render_meta, require_same_job
from shared.archive.reader import object_of, unpacked
from shared.archive.selection import Selection
from shared.archive.store import ArchiveStore, Stray
from shared.archive.thumbnails import thumbnail_for
from shared.archive.versions import CONVERTIBLE, upgraded_meta
from shared.archive.writer import Entry
from shared.errors import UserError

Form = Literal["unchanged", "compressed", "plain"]
GROUP = 64
GROUP_BYTES = 64 * 1024 * 1024  # of entries in memory; a larger entry is alone
MAX_FAILURES = 1000  # that are reported one by one


@dataclass(slots=True)
class Tally:
    """``skipped`` entries are complete in the target, or excluded by their tags. ``failures`` are the first ones, as texts."""

    seen: int = 0
    done: int = 0
    skipped: int = 0
    size: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)

    def skip(self, _: JobPath) -> None:
        self.skipped += 1

    def fail(self, place: str, why: object) -> None:
        self.failed += 1
        if len(self.failures) < MAX_FAILURES:
            text = str(why)
            self.failures.append(text if text.startswith(place) else f"{place}: {text}")


class EntrySource(Protocol):
    """What entries are copied from. ``entry`` is called for the path that ``paths`` gave last."""

    @property
    def address(self) -> str: ...
    def version(self) -> int: ...
    def clusters(self) -> list[str]: ...
    def cluster_text(self, cluster: str) -> bytes: ...
    def paths(self) -> Iterator[JobPath | Stray]: ...
    def entry(self, path: JobPath) -> Entry: ...


def transfer(
    source: EntrySource,
    target: ArchiveStore,
    selection: Selection,
    *,
    form: Form = "unchanged",
    converts: bool = False,
    dry_run: bool = False,
    show: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Copy the selected entries that the target does not have completely, with the definitions of their clusters.

    Without ``converts`` the source must have the present version. Without ``dry_run`` the target is created if necessary. It can be
    interrupted and repeated. Raises UserError.
    """
    version = source.version()
    if version not in (CONVERTIBLE if converts else {VERSION}):
        hint = "; `jobtide archive convert` writes it as version 3" if version in CONVERTIBLE else ""
        raise UserError(f"{source.address} is an archive of version {version}{hint}")
    tally = Tally()
    if not dry_run:
        target.open()
        copy_clusters(source, target, selection)
    known = target if not dry_run or _exists(target) else None
    for entries in _groups(_entries(source, known, selection, version, form, tally, show)):
        errors: Sequence[Exception | None] = [None] * len(entries) if dry_run else target.write(entries)
        for entry, error in zip(entries, errors, strict=True):
            if error is not None:
                tally.fail(entry.path.relative, error)
                continue
            tally.done += 1
            tally.size += len(entry.meta) + len(entry.data or b"")
        show(tally)
    show(tally)
    return tally


def _exists(store: ArchiveStore) -> bool:
    try:
        store.version()
    except UserError:
        return False
    return True


def copied(source: ArchiveStore, paths: Sequence[JobPath], target: ArchiveStore) -> list[Exception | None]:
    """Copy entries byte for byte. Complete ones of the target are not replaced. Returns an error or None for each."""
    errors: dict[JobPath, Exception] = {}
    for entries in _groups(_missing(source, paths, target, errors)):
        errors |= {entry.path: error for entry, error in zip(entries, target.write(entries), strict=True) if error is not None}
    return [errors.get(path) for path in paths]


def _missing(source: ArchiveStore, paths: Sequence[JobPath], target: ArchiveStore, errors: dict[JobPath, Exception]) -> Iterator[Entry]:
    for path in paths:
        try:
            if not target.is_complete(path):
                yield source.entry(path)
        except (ArchiveError, ArchiveUnavailable, OSError) as e:
            errors[path] = e


def copy_clusters(source: EntrySource, target: ArchiveStore, selection: Selection | None = None) -> None:
    """Copy the definitions that the target does not have."""
    selection = selection or Selection()
    known = set(target.clusters())
    for name in source.clusters():
        if name not in known and (not selection.clusters or name in selection.clusters):
            target.write_cluster(name, source.cluster_text(name))


def _entries(
    source: EntrySource,
    target: ArchiveStore | None,
    selection: Selection,
    version: int,
    form: Form,
    tally: Tally,
    show: Callable[[Tally], None],
) -> Iterator[Entry]:
    recent: deque[str] = deque(maxlen=GROUP)  # may not be written yet; a source may have a job more than once, and the first counts
    for path in source.paths():
        tally.seen += 1
        if tally.seen % 1000 == 0:
            show(tally)
        if isinstance(path, Stray):
            tally.fail(path.place, path.why)
            continue
        if not selection.includes(path):
            continue
        try:
            if path.relative in recent or (target is not None and target.is_complete(path)):
                tally.skipped += 1
                continue
            entry = source.entry(path)
            document = object_of(entry.meta, f"{path.relative}/meta.json")
            require_same_job(path, known_spelling(document))
            if selection.omits(document):
                tally.skipped += 1
                continue
            if version != VERSION:
                entry = replace(entry, meta=render_meta(upgraded_meta(document, version)))
            entry = in_form(entry, form)
        except (ArchiveError, OSError, ValueError) as e:
            tally.fail(path.relative, e)
            continue
        recent.append(path.relative)
        yield entry


def in_form(entry: Entry, form: Form) -> Entry:
    """The entry with its data compressed (if they are large enough for it), or not. Raises ArchiveError for damaged gzip."""
    if entry.data is None or form == "unchanged":
        return entry
    text = unpacked(entry.data, f"{entry.path.relative}/data.json.gz") if entry.is_packed else entry.data
    data, is_packed = pack(text) if form == "compressed" else (text, False)
    if (is_packed, form) == (entry.is_packed, "compressed") and is_packed:
        return entry
    return replace(entry, data=data, is_packed=is_packed, thumbnail=thumbnail_for(entry.thumbnail, len(entry.data), len(data)))


def _groups(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    group: list[Entry] = []
    size = 0
    for entry in entries:
        entry_size = len(entry.meta) + len(entry.data or b"")
        if group and (len(group) >= GROUP or size + entry_size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry_size
    if group:
        yield group


def batches(paths: Iterable[JobPath], limit: int) -> Iterator[list[JobPath]]:
    batch: list[JobPath] = []
    for path in paths:
        batch.append(path)
        if len(batch) >= limit:
            yield batch
            batch = []
    if batch:
        yield batch
