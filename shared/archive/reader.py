"""Reading entries of any writer: key order and indentation are free, unknown keys are ignored."""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import orjson
from isal import isal_zlib

from shared.archive.layout import CLUSTER_FILE, DATA_FILE, META_FILE, PACKED_DATA_FILE, ArchiveError, JobPath
from shared.metricdata.model import FloatArray, JobData, MetricData, Series, Statistics, StatisticsSeries, Unit

# The stubs of isal declare the class as an instance.
_IsalError = cast("type[Exception]", isal_zlib.error)
_GZIP = 31  # 32 KiB window and gzip header
_MAX_RESERVED_BYTES = 256 * 1024 * 1024  # the length stated at the end of a file is trusted up to this size
_METRICS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def read_meta(root: Path, path: JobPath) -> dict[str, Any]:
    """The meta.json of a job. Raises ArchiveError when it is missing or unreadable."""
    return read_meta_file(path.under(root) / META_FILE)


def read_meta_file(file: Path) -> dict[str, Any]:
    """Raises ArchiveError."""
    document = _json(_bytes(file), file)
    if not isinstance(document, dict):
        raise ArchiveError(f"{file}: not a JSON object")
    return document


def read_data(root: Path, path: JobPath, metrics: Collection[str] | None = None) -> JobData:
    """The time series of a job, of all metrics or the given ones. Raises ArchiveError when they are missing or unreadable."""
    return read_data_file(data_file(path.under(root)), metrics)


def data_file(directory: Path) -> Path:
    """The data file of an entry, the packed one if both exist. Raises ArchiveError when there is none."""
    for name in (PACKED_DATA_FILE, DATA_FILE):
        if (directory / name).is_file():
            return directory / name
    raise ArchiveError(f"{directory}: neither {PACKED_DATA_FILE} nor {DATA_FILE}")


def is_complete(root: Path, path: JobPath) -> bool:
    """Whether the entry has both files. Files are renamed into place, so an existing file is complete."""
    directory = path.under(root)
    return (directory / META_FILE).is_file() and any((directory / name).is_file() for name in (PACKED_DATA_FILE, DATA_FILE))


def read_data_file(file: Path, metrics: Collection[str] | None = None) -> JobData:
    """Raises ArchiveError."""
    return data_of(read_data_document(file, metrics), file)


def data_of(document: dict[str, Any], file: Path) -> JobData:
    """The time series of a decoded data file. Raises ArchiveError."""
    try:
        return {
            metric: {scope: _metric(found) for scope, found in scopes.items()}
            for metric, scopes in document.items()
            if isinstance(scopes, dict)  # the schema allows a list for ``filesystems``, which has no series
        }
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as e:
        raise ArchiveError(f"{file}: not metric data: {e!r}") from e


def read_data_texts(file: Path, metrics: Collection[str] | None = None) -> dict[str, bytes]:
    """The undecoded JSON of each metric of a data file, packed or not; a file of ``null`` has none. Raises ArchiveError.

    With ``metrics`` only of those.
    """
    content = _bytes(file)
    if file.suffix == ".gz":
        try:
            content = isal_zlib.decompress(content, wbits=_GZIP, bufsize=_unpacked_bytes(content))
        except _IsalError as e:
            raise ArchiveError(f"{file}: not gzip: {e}") from e
    try:
        found = _METRICS.decode(content) or {}
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise ArchiveError(f"{file}: not JSON: {e}") from e
    return {name: bytes(raw) for name, raw in found.items() if metrics is None or name in metrics}


def decoded(texts: Mapping[str, bytes], file: Path) -> dict[str, Any]:
    """Decodes one metric at a time, because decoding a large file holds the interpreter lock. Raises ArchiveError."""
    return {name: _json(text, file) for name, text in texts.items()}


def read_data_document(file: Path, metrics: Collection[str] | None = None) -> dict[str, Any]:
    """``read_data_texts``, decoded. Raises ArchiveError."""
    return decoded(read_data_texts(file, metrics), file)


def _unpacked_bytes(packed: bytes) -> int:
    """The size stated in the gzip trailer, to allocate once; a guess when it is not plausible."""
    stated = int.from_bytes(packed[-4:], "little")
    return stated + 1 if stated < min(1000 * len(packed), _MAX_RESERVED_BYTES) else 16 * 1024


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


def _numbers(values: list[Any]) -> FloatArray:
    """None becomes NaN."""
    kinds = set(map(type, values))
    if not kinds <= {float, int, type(None)}:
        raise TypeError("a sample is not a number")
    if type(None) in kinds:
        nothing = math.nan
        values = [nothing if value is None else value for value in values]  # faster than numpy's own conversion of None
    return np.fromiter(values, np.float64, len(values))
