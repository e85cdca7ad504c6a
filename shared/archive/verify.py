"""Checking an archive for errors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from shared.archive.imports import imported_job
from shared.archive.layout import (
    CLUSTER_FILE,
    META_FILE,
    TEMPORARY_PREFIX,
    ArchiveError,
    check_version,
    cluster_names,
    job_directories,
    job_path_of,
    require_version,
    without_place,
)
from shared.archive.meta import known_spelling, require_same_job
from shared.archive.reader import data_file, read_cluster_text, read_data_file, read_meta_file
from shared.archive.store import ArchiveStore, Stray
from shared.domain.clusters import Cluster, read_cluster
from shared.metricdata.model import SCOPE_RANK, JobData

Kind = Literal["incomplete", "invalid", "mismatch", "leftover", "cluster"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``incomplete``: a file is missing. ``invalid``: a file cannot be used. ``mismatch``: the entry is at the path of another
    job. ``leftover``: a temporary file, of a dead or an active writer. ``cluster``: a cluster.json is missing or wrong.
    """

    kind: Kind
    path: Path
    text: str


def verify(root: Path, *, reads_data: bool = True, show: Callable[[int], object] = lambda _: None) -> Iterator[Finding]:
    """Walk an archive. Without ``reads_data`` data files must exist, but are not decoded. Blocks.

    ``show`` gets the number of entries so far.

    Raises UserError when ``root`` is not an archive of this version.
    """
    check_version(root)
    clusters: dict[str, Cluster] = {}
    names = cluster_names(root)
    for name in names:
        try:
            clusters[name] = read_cluster(read_cluster_text(root, name))
            if clusters[name].name != name:
                yield Finding("cluster", root / name / CLUSTER_FILE, f"names the cluster {clusters[name].name!r}")
        except (ArchiveError, ValidationError) as e:
            yield _finding("cluster", root / name / CLUSTER_FILE, e)
    without_definition: set[str] = set()
    for number, directory in enumerate(job_directories(root)):
        show(number)
        cluster = directory.relative_to(root).parts[0]
        if cluster not in names and cluster not in without_definition:
            without_definition.add(cluster)
            yield Finding("cluster", root / cluster, f"{CLUSTER_FILE} is missing")
        if directory.name.startswith(TEMPORARY_PREFIX):
            yield Finding("leftover", directory, "a temporary folder")
        else:
            yield from _entry(root, directory, clusters.get(cluster), reads_data=reads_data)


def verify_store(store: ArchiveStore, *, reads_data: bool = True, show: Callable[[int], object] = lambda _: None) -> Iterator[Finding]:
    """Like ``verify``, of an archive in any place. Raises UserError, ArchiveUnavailable."""
    require_version(store.version(), store.address)
    clusters: dict[str, Cluster] = {}
    for name in store.clusters():
        try:
            clusters[name] = read_cluster(store.cluster_text(name))
        except (ArchiveError, ValidationError) as e:
            yield _finding("cluster", Path(name) / CLUSTER_FILE, e)
    for number, path in enumerate(store.paths()):
        show(number)
        if isinstance(path, Stray):
            yield Finding("mismatch", Path(path.place), path.why)
            continue
        place = Path(path.relative)
        try:
            meta = known_spelling(store.document(path))
            require_same_job(path, meta)
            if path.cluster in clusters:
                imported_job(meta, clusters[path.cluster])
        except ArchiveError as e:
            yield _finding("invalid", place, e)
            continue
        try:
            if not reads_data:
                store.data_stamp(path)
                continue
            hosts = {one.get("hostname") for one in meta.get("resources") or [] if isinstance(one, dict)}
            for text in _data_problems(store.job_data(path), hosts):
                yield Finding("invalid", place, text)
        except ArchiveError as e:
            yield _finding("invalid" if store.is_complete(path) else "incomplete", place, e)


def _entry(root: Path, directory: Path, cluster: Cluster | None, *, reads_data: bool) -> Iterator[Finding]:
    for file in directory.iterdir():
        if file.name.startswith(TEMPORARY_PREFIX):
            yield Finding("leftover", file, "a temporary file")
    meta: Mapping[str, Any] | None = None
    if not (directory / META_FILE).is_file():
        yield Finding("incomplete", directory, f"{META_FILE} is missing")
    else:
        try:
            meta = known_spelling(read_meta_file(directory / META_FILE))
        except ArchiveError as e:
            yield _finding("invalid", directory / META_FILE, e)
    try:
        path = job_path_of(root, directory)
        if meta is not None:
            require_same_job(path, meta)
    except ArchiveError as e:
        yield _finding("mismatch", directory, e)
        return
    if meta is not None and cluster is not None:
        try:
            imported_job(meta, cluster)
        except ArchiveError as e:
            yield _finding("invalid", directory / META_FILE, e)
    yield from _data(directory, meta, reads_data=reads_data)


def _data(directory: Path, meta: Mapping[str, Any] | None, *, reads_data: bool) -> Iterator[Finding]:
    try:
        file = data_file(directory)
    except ArchiveError:
        yield Finding("incomplete", directory, "the data file is missing")
        return
    if not reads_data:
        return
    try:
        data = read_data_file(file)
    except ArchiveError as e:
        yield _finding("invalid", file, e)
        return
    hosts = {one.get("hostname") for one in (meta or {}).get("resources") or [] if isinstance(one, dict)}
    for text in _data_problems(data, hosts if meta is not None else None):
        yield Finding("invalid", file, text)


def _finding(kind: Kind, path: Path, error: Exception) -> Finding:
    return Finding(kind, path, without_place(error, path))


def _data_problems(data: JobData, hosts: set[Any] | None) -> Iterator[str]:
    for metric, scopes in data.items():
        for scope, found in scopes.items():
            where = f"{metric}.{scope}"
            if scope not in SCOPE_RANK:
                yield f"{where}: not a scope"
            if found.timestep < 1:
                yield f"{where}: a timestep of {found.timestep} s"
            strangers = {series.hostname for series in found.series} - hosts if hosts is not None else set()
            if strangers:
                yield f"{where}: series of {min(strangers)}, which is not a host of the job"
