"""What an existing entry has that must outlive its being archived again when the metric data are gone elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.archive.imports import known_spelling, require_same_job
from shared.archive.layout import DATA_FILE, META_FILE, PACKED_DATA_FILE, ArchiveError, JobPath
from shared.archive.meta import KEY_ORDER
from shared.archive.reader import read_data_document, read_meta_file

# Not of the database row, and not of the metric data either.
_FOREIGN_KNOWN_KEYS = ("concurrentJobs",)


@dataclass(frozen=True, slots=True)
class Kept:
    """``document``: meta.json, empty when there is none that can be read. ``data``: the bytes of the data file, None when
    there is none, or one without metrics."""

    document: Mapping[str, Any]
    data: bytes | None
    is_packed: bool

    @property
    def statistics(self) -> dict[str, Any]:
        """As they stand there, whoever wrote them."""
        return _object(self.document.get("statistics"))

    @property
    def footprint(self) -> dict[str, float]:
        return _numbers(self.document.get("footprint"))

    @property
    def energy_footprint(self) -> dict[str, float]:
        return _numbers(self.document.get("energyFootprint"))

    @property
    def energy(self) -> float:
        """In kWh; 0 when it is not known."""
        return _numbers({"energy": self.document.get("energy")}).get("energy", 0.0)

    @property
    def others(self) -> dict[str, Any]:
        """The part of the document that neither the database nor metric data can give."""
        return {key: value for key, value in self.document.items() if key in _FOREIGN_KNOWN_KEYS or key not in KEY_ORDER}


def kept_of(root: Path, path: JobPath) -> Kept:
    """What is there of the job. Blocks.

    Raises OSError when a file cannot be read now, and ArchiveError when the entry is another job's: neither says that there
    is nothing to keep.
    """
    directory = path.under(root)
    document = _document(directory / META_FILE)
    if document:
        require_same_job(path, document)
    # Where both are, the better one is kept; readers prefer the packed one.
    best = max((PACKED_DATA_FILE, DATA_FILE), key=lambda name: _worth(directory / name))
    if not _worth(directory / best):
        return Kept(document, None, False)
    return Kept(document, (directory / best).read_bytes(), best == PACKED_DATA_FILE)


def _document(file: Path) -> dict[str, Any]:
    try:
        return known_spelling(read_meta_file(file))
    except ArchiveError as e:
        _raise_unless_missing(e)
        return {}


def _worth(file: Path) -> int:
    """2 with metrics, 1 when damaged (what is left may be of use, an empty file in its place is not), 0 with nothing."""
    try:
        return 2 if read_data_document(file) else 0
    except ArchiveError as e:
        _raise_unless_missing(e)
        return int(file.is_file() and file.stat().st_size > 0)


def _raise_unless_missing(error: ArchiveError) -> None:
    if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
        raise error.__cause__


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _numbers(value: Any) -> dict[str, float]:
    return {key: one for key, one in _object(value).items() if isinstance(one, int | float) and not isinstance(one, bool)}
