"""Data to preserve when a job is archived again after the metric store has expired it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.archive.layout import DATA_FILE, META_FILE, PACKED_DATA_FILE, ArchiveError, JobPath, TooLarge
from shared.archive.meta import KEY_ORDER, known_spelling, require_same_job
from shared.archive.reader import read_data_texts, read_meta_file, thumbnail_bytes

# Known to the format, but derived neither from the database row nor from metric data.
_FOREIGN_KNOWN_KEYS = ("concurrentJobs",)


@dataclass(frozen=True, slots=True)
class Preserved:
    """``document`` is meta.json, empty when missing or unreadable. ``data`` are the bytes of the data file, None when it
    is missing or has no metrics."""

    document: Mapping[str, Any]
    data: bytes | None
    is_packed: bool
    thumbnail: bytes | None = None

    @property
    def statistics(self) -> dict[str, Any]:
        """Unchanged, regardless of the writer."""
        return _object(self.document.get("statistics"))

    @property
    def footprint(self) -> dict[str, float]:
        return _numbers(self.document.get("footprint"))

    @property
    def energy_footprint(self) -> dict[str, float]:
        return _numbers(self.document.get("energyFootprint"))

    @property
    def energy(self) -> float:
        """In kWh, 0 when unknown."""
        return _numbers({"energy": self.document.get("energy")}).get("energy", 0.0)

    @property
    def others(self) -> dict[str, Any]:
        """The part of the document that neither the database nor metric data provide."""
        return {key: value for key, value in self.document.items() if key in _FOREIGN_KNOWN_KEYS or key not in KEY_ORDER}


def read_preserved(root: Path, path: JobPath) -> Preserved:
    """Read the existing entry of a job. Blocks.

    Raises OSError when a file exists but cannot be read, TooLarge, and ArchiveError when the entry belongs to another job.
    In all these cases there may be data to preserve.
    """
    directory = path.under(root)
    document = _document(directory / META_FILE)
    if document:
        require_same_job(path, document)
    # With two data files, preserve the better one; readers prefer the packed one.
    best = max((PACKED_DATA_FILE, DATA_FILE), key=lambda name: _worth(directory / name))
    if not _worth(directory / best):
        return Preserved(document, None, False)
    return Preserved(document, (directory / best).read_bytes(), best == PACKED_DATA_FILE, thumbnail_bytes(directory))


def _document(file: Path) -> dict[str, Any]:
    try:
        return known_spelling(read_meta_file(file))
    except ArchiveError as e:
        _raise_unless_missing(e)
        return {}


def _worth(file: Path) -> int:
    """2 with metrics, 1 when damaged (partial data may still be useful), 0 when missing, empty or without metrics."""
    try:
        return 2 if read_data_texts(file) else 0
    except ArchiveError as e:
        _raise_unless_missing(e)
        return int(file.is_file() and file.stat().st_size > 0)


def _raise_unless_missing(error: ArchiveError) -> None:
    if isinstance(error, TooLarge):
        raise error
    if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
        raise error.__cause__


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _numbers(value: Any) -> dict[str, float]:
    return {key: one for key, one in _object(value).items() if isinstance(one, int | float) and not isinstance(one, bool)}
