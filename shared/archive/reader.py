"""Reading entries, also those of other writers: any key order, any indentation, unknown keys."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
from isal import isal_zlib

from shared.archive.layout import CLUSTER_FILE, DATA_FILE, META_FILE, PACKED_DATA_FILE, ArchiveError, JobPath
from shared.metricdata.model import FloatArray, JobData, MetricData, Series, Statistics, StatisticsSeries, Unit

# The stubs of isal declare the class as an instance.
_IsalError = cast("type[Exception]", isal_zlib.error)
_GZIP = 31  # window of 32 KiB, with the gzip header


def read_meta(root: Path, path: JobPath) -> dict[str, Any]:
    """The meta.json of one job as an object. Raises ArchiveError when it is missing or unreadable."""
    return read_meta_file(path.under(root) / META_FILE)


def read_meta_file(file: Path) -> dict[str, Any]:
    """Raises ArchiveError."""
    document = _json(_bytes(file), file)
    if not isinstance(document, dict):
        raise ArchiveError(f"{file}: not a JSON object")
    return document


def read_data(root: Path, path: JobPath) -> JobData:
    """The time series of one job. Raises ArchiveError when they are missing or unreadable."""
    return read_data_file(data_file(path.under(root)))


def data_file(directory: Path) -> Path:
    """The data file of an entry: the packed one where both are. Raises ArchiveError when there is none."""
    for name in (PACKED_DATA_FILE, DATA_FILE):
        if (directory / name).is_file():
            return directory / name
    raise ArchiveError(f"{directory}: neither {PACKED_DATA_FILE} nor {DATA_FILE}")


def is_complete(root: Path, path: JobPath) -> bool:
    """Whether the entry has both files. Both are renamed into place whole, so what is there is all of it."""
    directory = path.under(root)
    return (directory / META_FILE).is_file() and any((directory / name).is_file() for name in (PACKED_DATA_FILE, DATA_FILE))


def read_data_file(file: Path) -> JobData:
    """Raises ArchiveError."""
    document = read_data_document(file)
    try:
        return {
            metric: {scope: _metric(found) for scope, found in scopes.items()}
            for metric, scopes in document.items()
            if isinstance(scopes, dict)  # the schema allows a list for ``filesystems``, which holds no series
        }
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as e:
        raise ArchiveError(f"{file}: not metric data: {e!r}") from e


def read_data_document(file: Path) -> dict[str, Any]:
    """The JSON object of a data file, packed or not; ``null`` is an empty one. Raises ArchiveError."""
    content = _bytes(file)
    if file.suffix == ".gz":
        try:
            content = isal_zlib.decompress(content, wbits=_GZIP)
        except _IsalError as e:
            raise ArchiveError(f"{file}: not gzip: {e}") from e
    document = _json(content, file)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ArchiveError(f"{file}: not a JSON object")
    return document


def read_cluster_text(root: Path, cluster: str) -> bytes:
    """Raises ArchiveError."""
    return _bytes(root / cluster / CLUSTER_FILE)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        raise ArchiveError(f"{file}: {e.strerror}") from e


def _json(content: bytes, file: Path) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as e:
        raise ArchiveError(f"{file}: not JSON: {e}") from e


def _metric(found: dict[str, Any]) -> MetricData:
    unit = found.get("unit") or {}
    series = found.get("statisticsSeries")
    return MetricData(
        unit=Unit(str(unit.get("base") or ""), str(unit.get("prefix") or "")),
        timestep=int(found["timestep"]),
        series=tuple(_series(one) for one in found.get("series") or []),
        statistics_series=None if series is None else _statistics_series(series),
    )


def _series(found: dict[str, Any]) -> Series:
    statistics = found.get("statistics") or {}
    return Series(
        hostname=str(found["hostname"]),
        id=None if found.get("id") is None else str(found["id"]),
        statistics=Statistics(*(float(statistics.get(name) or 0.0) for name in ("avg", "min", "max"))),
        data=_numbers(found.get("data") or []),
    )


def _statistics_series(found: dict[str, Any]) -> StatisticsSeries:
    def values(name: str) -> FloatArray | None:
        return None if found.get(name) is None else _numbers(found[name])

    nothing = np.empty(0)
    least, greatest = values("min"), values("max")
    return StatisticsSeries(
        nothing if least is None else least, values("median"), nothing if greatest is None else greatest, values("mean")
    )


def _numbers(values: list[float | None]) -> FloatArray:
    if any(isinstance(value, str | bool) for value in values):
        raise TypeError("a sample is no number")
    return np.array(values, dtype=np.float64)  # None becomes NaN
