"""Copies entries of the source's archive into the archive of the site."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.archive.imports import copy_entries, known_spelling, require_same_job
from shared.archive.layout import META_FILE, ArchiveError, JobPath, check_version
from shared.archive.reader import is_complete, read_meta_file
from shared.archive.writer import Entry, write_entries
from shared.errors import UserError


class Entries:
    """``source`` is an archive of version 3, ``target`` that of the site, or None to leave the entries where they are. Blocks."""

    def __init__(self, source: Path, target: Path | None) -> None:
        self._source = source
        self._target = target

    def meta(self, path: JobPath) -> dict[str, Any]:
        """The meta.json of a job, with keys as in the format. Raises ArchiveError."""
        meta = known_spelling(read_meta_file(path.under(self._source) / META_FILE))
        require_same_job(path, meta)
        return meta

    def lacking(self, paths: Sequence[JobPath]) -> list[JobPath]:
        """Those that the site's archive does not have."""
        return [] if self._target is None else [path for path in paths if not _is_complete(self._target, path)]

    def copy(self, paths: Sequence[JobPath]) -> dict[JobPath, Exception]:
        """Copy entries with their data; those that exist are not replaced. Returns the errors."""
        if self._target is None:
            return {}
        errors = copy_entries(self._source, paths, self._target)
        return {path: error for path, error in zip(paths, errors, strict=True) if error is not None}

    def renew(self, paths: Sequence[JobPath]) -> None:
        """Replace meta.json of copied entries, whose tags or metadata have changed in the source."""
        if self._target is None:
            return
        target = self._target
        entries = [
            Entry(path, (path.under(self._source) / META_FILE).read_bytes(), None)
            for path in paths
            if _is_complete(target, path) and _is_complete(self._source, path)
        ]
        write_entries(target, entries)


def _is_complete(root: Path, path: JobPath) -> bool:
    try:
        return is_complete(root, path)
    except ArchiveError:
        return False


def why_not_usable(source: Path) -> str | None:
    """Why entries of this archive cannot be copied, or None."""
    try:
        check_version(source)
    except UserError as e:
        return str(e)
    return None
