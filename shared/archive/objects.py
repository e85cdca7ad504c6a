"""A job archive in a bucket of an S3 server, with the keys of cc-backend: the same names as in a folder.

An object is written whole or not at all. Entries are written with the data first and meta.json last, and removed in the other direction.
"""

import time
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from shared.archive.layout import (
    CLUSTER_FILE,
    DATA_FILE,
    META_FILE,
    PACKED_DATA_FILE,
    TEMPORARY_PREFIX,
    THUMBNAIL_FILE,
    VERSION,
    VERSION_FILE,
    ArchiveError,
    ArchiveUnavailable,
    JobPath,
    is_directory_name,
    path_of_parts,
    require_size,
    require_version,
    version_of,
)
from shared.archive.store import ArchiveStore, Leftover, StoredData, Stray
from shared.archive.writer import LEFTOVER_AGE_S, Entry
from shared.errors import UserError

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

REQUEST_TIMEOUT_S = 60.0
RETRY_TIMEOUT_S = 20.0
MAX_RETRIES = 4
WRITES_AT_ONCE = 8
LISTED_AT_ONCE = 1000
_FILES = frozenset({META_FILE, DATA_FILE, PACKED_DATA_FILE, THUMBNAIL_FILE})
_DEPTH = 3  # slashes in the place of an entry


@dataclass(frozen=True, slots=True)
class S3Access:
    """``endpoint`` None is AWS. Without keys those of the environment or the machine are used."""

    endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = None
    is_virtual_hosted: bool = False


class ObjectStore(ArchiveStore):
    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        prefix = prefix.strip("/")
        self.address = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._bucket = bucket
        self._prefix = prefix
        self._access = access
        self._made: S3Store | None = None

    @property
    def _store(self) -> "S3Store":
        if self._made is None:
            from obstore.store import S3Store

            access = self._access
            options: dict[str, Any] = {"region": access.region, "virtual_hosted_style_request": access.is_virtual_hosted}
            options |= {"endpoint": access.endpoint} if access.endpoint else {}
            if access.access_key and access.secret_key:
                options |= {"access_key_id": access.access_key, "secret_access_key": access.secret_key}
            self._made = S3Store(
                self._bucket,
                prefix=self._prefix or None,
                client_options={"timeout": timedelta(seconds=REQUEST_TIMEOUT_S), "allow_http": True},
                retry_config={"max_retries": MAX_RETRIES, "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S)},
                **options,
            )
        return self._made

    def is_same_place(self, other: ArchiveStore) -> bool:
        return isinstance(other, ObjectStore) and self._place_of_all == other._place_of_all

    @property
    def _place_of_all(self) -> tuple[str, str, str]:
        return (self._access.endpoint or "").rstrip("/").lower(), self._bucket, self._prefix

    def open(self) -> None:
        if self._get(VERSION_FILE) is None:
            if next(iter(self._list("")), None) is not None and self._get(VERSION_FILE) is None:
                raise UserError(f"{self.address} is neither empty nor an archive: {VERSION_FILE} is missing")
            self._put(VERSION_FILE, f"{VERSION}\n".encode())
        require_version(self.version(), self.address)

    def version(self) -> int:
        content = self._get(VERSION_FILE)
        if content is None:
            raise UserError(f"{self.address} is not an archive: {VERSION_FILE} is missing")
        return version_of(content.decode("ascii", errors="replace"), self.address)

    def require(self) -> None:
        try:
            require_version(self.version(), self.address)
        except UserError as e:
            raise ArchiveUnavailable(str(e)) from e

    def check(self, size: int) -> None:
        self.require()
        probe = f"{TEMPORARY_PREFIX}probe"
        self._put(probe, bytes(size))
        self._delete([probe])

    def clusters(self) -> list[str]:
        return [name for name in self._folders() if self._size(f"{name}/{CLUSTER_FILE}") is not None]

    def cluster_text(self, cluster: str) -> bytes:
        return self._required(f"{cluster}/{CLUSTER_FILE}")

    def write_cluster(self, cluster: str, text: bytes) -> bool:
        if not is_directory_name(cluster):
            raise ValueError(f"{cluster!r} cannot be used as a folder name")
        key = f"{cluster}/{CLUSTER_FILE}"
        if self._get(key) == text:
            return False
        self._put(key, text)
        return True

    def paths(self) -> Iterator[JobPath | Stray]:
        for cluster in self._folders():
            last = ""
            for key, _ in self._list(f"{cluster}/"):
                directory = key.rpartition("/")[0]
                if directory in (last, cluster):
                    continue
                last = directory
                try:
                    yield path_of_parts(directory.split("/"), directory)
                except ArchiveError as e:
                    yield Stray(f"{self.address}/{directory}", str(e).removeprefix(f"{directory} "))

    def size(self, path: JobPath) -> int:
        return sum(size for _, size in self._list(f"{path.relative}/"))

    def is_complete(self, path: JobPath) -> bool:
        has_data = any(self._size(f"{path.relative}/{name}") is not None for name in (PACKED_DATA_FILE, DATA_FILE))
        return has_data and self._size(f"{path.relative}/{META_FILE}") is not None

    def meta(self, path: JobPath) -> bytes:
        return self._required(f"{path.relative}/{META_FILE}")

    def data(self, path: JobPath) -> StoredData:
        for name in (PACKED_DATA_FILE, DATA_FILE):
            if (content := self._get(f"{path.relative}/{name}")) is not None:
                return StoredData(content, name == PACKED_DATA_FILE)
        raise ArchiveError(f"{path.relative}: neither {PACKED_DATA_FILE} nor {DATA_FILE} in {self.address}")

    def data_stamp(self, path: JobPath) -> tuple[Hashable, int]:
        for name in (PACKED_DATA_FILE, DATA_FILE):
            if (found := self._head(f"{path.relative}/{name}")) is not None:
                return (found["e_tag"], str(found["last_modified"]), found["size"]), int(found["size"])
        raise ArchiveError(f"{path.relative}: neither {PACKED_DATA_FILE} nor {DATA_FILE} in {self.address}")

    def thumbnail(self, path: JobPath) -> bytes | None:
        return self._get(f"{path.relative}/{THUMBNAIL_FILE}")

    def write_thumbnail(self, path: JobPath, content: bytes) -> None:
        self._put(f"{path.relative}/{THUMBNAIL_FILE}", content)

    def write(self, entries: Sequence[Entry]) -> list[Exception | None]:
        with ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="s3") as pool:
            return list(pool.map(self._attempt, entries))

    def _attempt(self, entry: Entry) -> Exception | None:
        try:
            self._write(entry)
        except Exception as e:  # noqa: BLE001 - reported to the caller; one entry's failure must not affect the others
            return e
        return None

    def _write(self, entry: Entry) -> None:
        place = _place(entry.path)
        entry.require_sizes()
        if entry.data is None:
            self._required(f"{place}/{META_FILE}")
        else:
            self._put(f"{place}/{entry.data_name}", entry.data)
            unused = [DATA_FILE if entry.is_packed else PACKED_DATA_FILE]  # before meta.json: readers prefer the packed one
            if entry.thumbnail is None:
                unused.append(THUMBNAIL_FILE)
            else:
                self._put(f"{place}/{THUMBNAIL_FILE}", entry.thumbnail)
            self._delete([f"{place}/{name}" for name in unused])
        self._put(f"{place}/{META_FILE}", entry.meta)

    def remove(self, paths: Sequence[JobPath]) -> list[Exception | None]:
        with ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="s3") as pool:
            return list(pool.map(self._attempt_removal, paths))

    def _attempt_removal(self, path: JobPath) -> Exception | None:
        try:
            place = _place(path)
            self._delete([f"{place}/{META_FILE}"])
            self._delete([f"{place}/{name}" for name in (PACKED_DATA_FILE, DATA_FILE, THUMBNAIL_FILE)])
        except (ArchiveError, ArchiveUnavailable) as e:
            return e
        return None

    def leftovers(self) -> Iterator[Leftover]:
        for cluster in self._folders():
            for place, entries in groupby(self._objects(f"{cluster}/"), key=lambda found: found["path"].rpartition("/")[0]):
                objects = list(entries)
                names = {found["path"].rpartition("/")[2] for found in objects}
                newest = max(found["last_modified"] for found in objects).timestamp()
                is_entry = place.count("/") == _DEPTH and names <= _FILES
                if is_entry and META_FILE not in names and time.time() - newest > LEFTOVER_AGE_S:
                    keys = [found["path"] for found in objects]
                    size = sum(found["size"] for found in objects)
                    yield Leftover("incomplete", f"{self.address}/{place}", size, partial(self._delete, keys))

    def _required(self, key: str) -> bytes:
        content = self._get(key)
        if content is None:
            raise ArchiveError(f"{key}: not in {self.address}")
        return content

    def _get(self, key: str) -> bytes | None:
        """None when there is no such object."""
        import obstore

        with self._errors():
            try:
                found = obstore.get(self._store, key)
                require_size(f"{self.address}/{key}", found.meta["size"])
                return bytes(found.bytes())
            except FileNotFoundError:
                return None

    def _head(self, key: str) -> dict[str, Any] | None:
        import obstore

        with self._errors():
            try:
                return dict(obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def _size(self, key: str) -> int | None:
        found = self._head(key)
        return None if found is None else int(found["size"])

    def _put(self, key: str, content: bytes) -> None:
        import obstore

        with self._errors():
            obstore.put(self._store, key, content, use_multipart=False)

    def _delete(self, keys: Sequence[str]) -> None:
        import obstore

        with self._errors():
            for key in keys:  # one by one: not every server has the request for many
                try:
                    obstore.delete(self._store, key)
                except FileNotFoundError:
                    continue

    def _list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Keys and sizes below a prefix, in the order of the keys."""
        return ((found["path"], found["size"]) for found in self._objects(prefix))

    def _objects(self, prefix: str) -> "Iterator[ObjectMeta]":
        import obstore

        with self._errors():
            for chunk in obstore.list(self._store, prefix or None, chunk_size=LISTED_AT_ONCE):
                yield from chunk

    def _folders(self) -> list[str]:
        import obstore

        with self._errors():
            found = obstore.list_with_delimiter(self._store)["common_prefixes"]
        return sorted(name for name in found if is_directory_name(name))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raises ArchiveUnavailable for whatever the server or the network answers; keys and secrets are not repeated."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as e:
            raise ArchiveUnavailable(f"{self.address}: {_first_line(e)}") from e


def _place(path: JobPath) -> str:
    """Raises ArchiveError when the parts do not form a key of the archive."""
    if not is_directory_name(path.cluster) or path.job_id < 0 or path.start_time < 0:
        raise ArchiveError(f"no archive path for job {path.job_id} of the cluster {path.cluster!r} started at {path.start_time}")
    return path.relative


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
