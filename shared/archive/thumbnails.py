"""thumbnail.json.gz: the bands of a job's metrics, so that small plots read kilobytes instead of all samples.

The file is an addition to the format, which other readers ignore. It contains the size of the data file that it was computed from. If the
data file has another size, another program has replaced it, and the thumbnail is not used.
"""

from collections.abc import Mapping

import msgspec
import orjson
from isal import isal_zlib

from shared.archive.data import compressed
from shared.archive.layout import JobPath
from shared.archive.reader import GzipError
from shared.archive.series import StoredUnit, samples
from shared.archive.store import ArchiveStore
from shared.metricdata.bands import Band, bands_of
from shared.metricdata.model import JobData, Unit
from shared.metricdata.short import short_text

VERSION = 1
THUMBNAIL_POINTS = 64
_GZIP = 31


class StoredBand(msgspec.Struct):
    """The lines are lists of numbers and nulls as JSON text."""

    scope: str
    unit: StoredUnit
    timestep: int
    min: msgspec.Raw
    median: msgspec.Raw
    max: msgspec.Raw

    def decoded(self) -> Band:
        """Raises ValueError."""
        unit = Unit(self.unit.base or "", self.unit.prefix or "")
        return Band(self.scope, unit, self.timestep, samples(self.min), samples(self.median), samples(self.max))


class _Thumbnail(msgspec.Struct, rename="camel"):
    version: int
    data_bytes: int
    metrics: dict[str, StoredBand]


_DECODER = msgspec.json.Decoder(_Thumbnail)
Thumbnail = Mapping[str, StoredBand]


def render_thumbnail(data: JobData, data_bytes: int) -> bytes:
    """The bytes of the file for metric data whose file has ``data_bytes``."""
    metrics = {
        name: {
            "scope": band.scope,
            "unit": {"base": band.unit.base, "prefix": band.unit.prefix},
            "timestep": band.timestep,
            "min": orjson.Fragment(short_text(band.min)),
            "median": orjson.Fragment(short_text(band.median)),
            "max": orjson.Fragment(short_text(band.max)),
        }
        for name, band in sorted(bands_of(data, THUMBNAIL_POINTS).items())
    }
    return compressed(orjson.dumps({"version": VERSION, "dataBytes": data_bytes, "metrics": metrics}))


def thumbnail_for(thumbnail: bytes | None, old_bytes: int, new_bytes: int) -> bytes | None:
    """The thumbnail of the same data in a file of ``new_bytes``. None if it did not belong to the file of ``old_bytes``."""
    if thumbnail is None or (found := _decoded(thumbnail)) is None or (found.version, found.data_bytes) != (VERSION, old_bytes):
        return None
    found.data_bytes = new_bytes
    return compressed(msgspec.json.encode(found))


def _decoded(thumbnail: bytes) -> _Thumbnail | None:
    try:
        return _DECODER.decode(isal_zlib.decompress(thumbnail, wbits=_GZIP))
    except (GzipError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def usable_thumbnail(thumbnail: bytes | None, data_bytes: int) -> Thumbnail | None:
    """The bands by metric, None if the file is missing, damaged, or of other data than those of ``data_bytes``."""
    found = None if thumbnail is None else _decoded(thumbnail)
    return found.metrics if found is not None and (found.version, found.data_bytes) == (VERSION, data_bytes) else None


def bands_in(store: ArchiveStore, path: JobPath) -> Thumbnail | None:
    """The bands of a job by metric, None if the thumbnail is missing, damaged or outdated. Raises ArchiveError when there are no data."""
    _, data_bytes = store.data_stamp(path)
    return usable_thumbnail(store.thumbnail(path), data_bytes)


def add_thumbnail(store: ArchiveStore, path: JobPath) -> None:
    """Write the thumbnail of an existing entry. Raises ArchiveError when its data cannot be read, OSError when it cannot be written."""
    _, data_bytes = store.data_stamp(path)  # before the data: if they are replaced meanwhile, the thumbnail is outdated instead of wrong
    store.write_thumbnail(path, render_thumbnail(store.job_data(path), data_bytes))
