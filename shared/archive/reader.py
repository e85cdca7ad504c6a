"""Reading entries of any writer: key order and indentation are free, unknown keys are ignored."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import orjson
from isal import isal_zlib

from shared.archive import layout
from shared.archive.layout import (
    CLUSTER_FILE,
    DATA_FILE,
    META_FILE,
    PACKED_DATA_FILE,
    THUMBNAIL_FILE,
    ArchiveError,
    JobPath,
    TooLarge,
    require_size,
)
from shared.archive.series import metric_data, stored_scopes
from shared.metricdata.model import JobData

# The stubs of isal declare the class as an instance.
GzipError = cast("type[Exception]", isal_zlib.error)
_GZIP = 31  # 32 KiB window and gzip header
_METRICS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def read_meta(root: Path, path: JobPath) -> dict[str, Any]:
    """The meta.json of a job. Raises ArchiveError when it is missing or unreadable."""
    return read_meta_file(path.under(root) / META_FILE)


def read_meta_file(file: Path) -> dict[str, Any]:
    """Raises ArchiveError."""
    return object_of(read_bytes(file), file)


def object_of(content: bytes, place: Path | str) -> dict[str, Any]:
    """The JSON object in ``content``. Raises ArchiveError, which names ``place``."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as e:
        raise ArchiveError(f"{place}: not JSON: {e}") from e
    if not isinstance(document, dict):
        raise ArchiveError(f"{place}: not a JSON object")
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


def thumbnail_bytes(directory: Path) -> bytes | None:
    """The thumbnail as stored, for a copy of the entry. None if it is missing or unreadable."""
    try:
        return (directory / THUMBNAIL_FILE).read_bytes()
    except OSError:
        return None


def is_complete(root: Path, path: JobPath) -> bool:
    """Whether the entry has both files. Files are renamed into place, so an existing file is complete."""
    directory = path.under(root)
    return (directory / META_FILE).is_file() and any((directory / name).is_file() for name in (PACKED_DATA_FILE, DATA_FILE))


def read_data_file(file: Path, metrics: Collection[str] | None = None) -> JobData:
    """Raises ArchiveError."""
    return data_of(read_data_texts(file, metrics), file)


def data_of(texts: Mapping[str, bytes], file: Path | str) -> JobData:
    """The time series in the undecoded metrics of a data file. Raises ArchiveError."""
    data: JobData = {}
    for metric, text in texts.items():
        try:
            if scopes := stored_scopes(text):
                data[metric] = {scope: metric_data(stored) for scope, stored in scopes.items()}
        except ValueError as e:
            raise ArchiveError(f"{file}: {metric}: {e}") from e
    return data


def read_data_texts(file: Path, metrics: Collection[str] | None = None) -> dict[str, bytes]:
    """The undecoded JSON of each metric of a data file, packed or not; a file of ``null`` has none. Raises ArchiveError.

    With ``metrics``, only those.
    """
    return texts_of(read_bytes(file), file, metrics, is_packed=file.suffix == ".gz")


def texts_of(content: bytes, place: Path | str, metrics: Collection[str] | None, *, is_packed: bool) -> dict[str, bytes]:
    """The undecoded metrics in the bytes of a data file. Raises ArchiveError, which names ``place``."""
    if is_packed:
        content = unpacked(content, place)
    try:
        found = _METRICS.decode(content) or {}
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise ArchiveError(f"{place}: not JSON: {e}") from e
    return {name: bytes(raw) for name, raw in found.items() if metrics is None or name in metrics}


def unpacked(content: bytes, place: Path | str) -> bytes:
    """Raises ArchiveError, which names ``place``."""
    unpacker = isal_zlib.decompressobj(wbits=_GZIP)
    try:
        text = unpacker.decompress(content, layout.MAX_UNPACKED_BYTES)
    except GzipError as e:
        raise ArchiveError(f"{place}: not gzip: {e}") from e
    if not unpacker.eof:
        if len(text) >= layout.MAX_UNPACKED_BYTES:
            raise TooLarge(f"{place}: it has more than {layout.MAX_UNPACKED_BYTES} bytes when it is unpacked")
        raise ArchiveError(f"{place}: not gzip: incomplete or truncated stream")
    return text


def read_cluster_text(root: Path, cluster: str) -> bytes:
    """Raises ArchiveError."""
    return read_bytes(root / cluster / CLUSTER_FILE)


def read_bytes(file: Path) -> bytes:
    """Raises ArchiveError."""
    try:
        with file.open("rb") as opened:
            require_size(file, os.fstat(opened.fileno()).st_size)
            return opened.read()
    except OSError as e:
        raise ArchiveError(f"{file}: {e.strerror}") from e
