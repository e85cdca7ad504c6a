"""The archive of the source, and the entries that the archive of the site lacks."""

from collections.abc import Sequence
from typing import Any

from cli.takeover.source import DEFAULT_ARCHIVE, Source
from shared.archive.files import FileStore
from shared.archive.layout import ArchiveError, ArchiveUnavailable, JobPath
from shared.archive.meta import known_spelling, require_same_job
from shared.archive.objects import ObjectStore, S3Access
from shared.archive.sqlite import SqliteStore
from shared.archive.store import ArchiveStore
from shared.archive.transfer import copied
from shared.archive.versions import CONVERTIBLE
from shared.errors import UserError


class Entries:
    """``target`` is the archive of the site, or None to leave the entries where they are. Blocks.

    ``is_target_known``: otherwise it cannot be read, and all entries count as lacking in it.
    """

    def __init__(self, source: ArchiveStore, target: ArchiveStore | None, *, is_target_known: bool = True) -> None:
        self._source = source
        self._target = target
        self._is_target_known = is_target_known

    def meta(self, path: JobPath) -> dict[str, Any]:
        """The meta.json of a job, with keys as in the format. Raises ArchiveError, ArchiveUnavailable."""
        meta = known_spelling(self._source.document(path))
        require_same_job(path, meta)
        return meta

    def lacking(self, paths: Sequence[JobPath]) -> list[JobPath]:
        """Those that the site's archive does not have."""
        if self._target is None:
            return []
        return [path for path in paths if not (self._is_target_known and is_in(self._target, path))]

    def copy(self, paths: Sequence[JobPath]) -> dict[JobPath, Exception]:
        """Copy entries with their data; those that exist are not replaced. Returns the errors.

        Entries without a readable meta.json are left out, since the copy would stay when the source is mended.
        """
        if self._target is None:
            return {}
        errors: dict[JobPath, Exception] = {}
        for path in paths:
            try:
                self.meta(path)
            except (ArchiveError, ArchiveUnavailable, OSError) as e:
                errors[path] = e
        readable = [path for path in paths if path not in errors]
        failures = zip(readable, copied(self._source, readable, self._target), strict=True)
        return errors | {path: error for path, error in failures if error is not None}

    def unusable(self, paths: Sequence[JobPath]) -> dict[JobPath, Exception]:
        """Those that the source does not have completely; what ``copy`` would find besides, only reading them shows."""
        return {path: ArchiveError(f"{path.relative}: no complete entry") for path in paths if not is_in(self._source, path)}


def is_in(store: ArchiveStore, path: JobPath) -> bool:
    """Whether the archive has the complete entry. Raises ArchiveUnavailable."""
    try:
        return store.is_complete(path)
    except ArchiveError:
        return False


def archive_of(source: Source) -> ArchiveStore:
    """The archive as configured; it need not exist. Raises UserError."""
    settings = source.section("archive")
    kind = str(settings.get("kind") or "file")
    if kind == "file":
        return FileStore(source.folder / str(settings.get("path") or DEFAULT_ARCHIVE))
    if kind == "sqlite":
        return SqliteStore(source.folder / str(settings.get("db-path") or ""))
    if kind != "s3":
        raise UserError(f"archive.kind: {kind!r} is none of file, sqlite, s3")
    access = S3Access(
        endpoint=settings.get("endpoint") or None,
        region=str(settings.get("region") or "us-east-1"),
        access_key=settings.get("access-key") or None,
        secret_key=settings.get("secret-key") or None,
        is_virtual_hosted=not settings.get("use-path-style"),
    )
    return ObjectStore(str(settings.get("bucket") or ""), "", access)


def why_not_usable(store: ArchiveStore) -> str | None:
    """Why entries of this archive cannot be copied, or None."""
    try:
        store.require()
    except (ArchiveUnavailable, UserError) as e:
        return str(e)
    return None


def clusters_in(store: ArchiveStore) -> list[str]:
    """The clusters that an archive of any version defines, in the same form; none if there is no archive."""
    try:
        return store.clusters() if store.version() in CONVERTIBLE else []
    except (ArchiveUnavailable, UserError):
        return []


def is_same_place(one: ArchiveStore, other: ArchiveStore) -> bool:
    """Whether one of the places of ``other`` is that of ``one``."""
    return any(part.is_same_place(one) for part in other.parts())
