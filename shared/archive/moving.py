"""Moving entries to another archive without ever having fewer than one complete copy."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from shared.archive.layout import ArchiveError, ArchiveUnavailable, JobPath
from shared.archive.selection import Selection
from shared.archive.store import ArchiveStore, StoredData, Stray
from shared.archive.transfer import GROUP_BYTES
from shared.archive.writer import Entry
from shared.errors import UserError

_FAILURES = (ArchiveError, ArchiveUnavailable, OSError)


def selected_paths(
    store: ArchiveStore,
    selection: Selection,
    *,
    omitted: Callable[[JobPath], Any] = lambda _: None,
    failed: Callable[[JobPath, Exception], Any] = lambda _path, _why: None,
) -> Iterator[JobPath]:
    """The selected entries. One whose tags cannot be read is left out if the selection depends on them.

    ``omitted`` and ``failed`` are told what was left out for its tags, or because they cannot be read.
    """
    for path in store.paths():
        if isinstance(path, Stray) or not selection.includes(path):
            continue
        if selection.depends_on_tags:
            try:
                if selection.omits(store.document(path)):
                    omitted(path)
                    continue
            except (ArchiveError, OSError, TypeError, ValueError) as e:
                failed(path, e)
                continue
        yield path


def outdated(source: ArchiveStore, target: ArchiveStore, paths: Sequence[JobPath]) -> list[JobPath]:
    """Those whose copy in the target is missing, or has another description or another size of the data. Data are not read.

    An entry that cannot be read counts as outdated. Raises ArchiveUnavailable.
    """
    return [path for path in paths if not _is_current(source, target, path)]


def _is_current(source: ArchiveStore, target: ArchiveStore, path: JobPath) -> bool:
    try:
        if not target.is_complete(path):
            return False
        return source.meta(path) == target.meta(path) and source.data_stamp(path)[1] == target.data_stamp(path)[1]
    except (ArchiveError, OSError):
        return False


def refuse_same_place(source: ArchiveStore, target: ArchiveStore) -> None:
    """Raises UserError: moving entries of an archive to itself would remove them."""
    if any(part.is_same_place(other) for part in source.parts() for other in target.parts()):
        raise UserError(f"the retention_target {target.address} is the archive itself")


def replicate(source: ArchiveStore, target: ArchiveStore, paths: Sequence[JobPath], *, moves: bool) -> list[Exception | None]:
    """Copy entries, or move them: an entry is removed once it was read back from the target, and has not changed in the source meanwhile.

    The source counts: an entry of the target that differs is replaced. Returns an error or None for each.
    Raises UserError when both are the same place.
    """
    refuse_same_place(source, target)
    errors: dict[JobPath, Exception] = {}
    group: list[Entry] = []
    size = 0
    for path in paths:
        try:
            entry = source.entry(path)
        except _FAILURES as e:
            errors[path] = e
            continue
        group.append(entry)
        size += len(entry.data or b"")
        if size > GROUP_BYTES:
            errors |= _replicate(source, target, group, moves=moves)
            group, size = [], 0
    errors |= _replicate(source, target, group, moves=moves)
    return [errors.get(path) for path in paths]


def _replicate(source: ArchiveStore, target: ArchiveStore, entries: Sequence[Entry], *, moves: bool) -> dict[JobPath, Exception]:
    errors: dict[JobPath, Exception] = {}
    new = [entry for entry in entries if not _has(target, entry, errors)]
    for entry in new:
        if entry.path not in errors and _would_lose_data(target, entry, errors):
            errors[entry.path] = ArchiveError(f"{entry.path.relative}: has no time series, and its copy in {target.address} has")
    new = [entry for entry in new if entry.path not in errors]
    errors |= {entry.path: error for entry, error in zip(new, target.write(new), strict=True) if error is not None}
    if not moves:
        return errors
    moved = [entry for entry in entries if entry.path not in errors and _is_copied(target, entry, errors)]
    return errors | {entry.path: error for entry, error in zip(moved, source.remove_unchanged(moved), strict=True) if error is not None}


def _has(store: ArchiveStore, entry: Entry, errors: dict[JobPath, Exception]) -> bool:
    try:
        return store.is_complete(entry.path) and store.entry(entry.path) == entry
    except _FAILURES as e:
        errors[entry.path] = e
        return False


def _would_lose_data(target: ArchiveStore, entry: Entry, errors: dict[JobPath, Exception]) -> bool:
    if StoredData(entry.data or b"", entry.is_packed).has_metrics:
        return False
    try:
        return target.is_complete(entry.path) and target.data(entry.path).has_metrics
    except _FAILURES as e:
        errors[entry.path] = e
        return False


def _is_copied(target: ArchiveStore, entry: Entry, errors: dict[JobPath, Exception]) -> bool:
    if _has(target, entry, errors):
        return True
    errors.setdefault(entry.path, ArchiveError(f"{entry.path.relative}: the copy differs from the entry"))
    return False
