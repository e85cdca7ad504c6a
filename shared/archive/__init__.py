"""The job archive, format version 3 on a file system. Functions that touch files block; callers run them in threads."""

from shared.archive.data import pack, render_data
from shared.archive.imports import ArchivedJob, UnreadableEntry, entries_of, imported_job
from shared.archive.layout import (
    ArchiveError,
    ArchiveUnavailable,
    JobPath,
    check_version,
    cluster_names,
    job_directories,
    job_path_of,
    open_archive,
    require_archive,
)
from shared.archive.meta import annotations, meta_of_row, render_meta, with_annotations
from shared.archive.preserved import Preserved, read_preserved
from shared.archive.reader import (
    data_file,
    data_of,
    is_complete,
    read_cluster_text,
    read_data,
    read_data_file,
    read_data_texts,
    read_meta,
    read_meta_file,
)
from shared.archive.series import StoredMetric, metric_data, stored_scopes
from shared.archive.store import ArchiveStore
from shared.archive.thumbnails import (
    THUMBNAIL_POINTS,
    StoredBand,
    Thumbnail,
    add_thumbnail,
    bands_in,
    render_thumbnail,
)
from shared.archive.verify import Finding, verify
from shared.archive.writer import Entry, write_cluster, write_entries

__all__ = [
    "THUMBNAIL_POINTS",
    "ArchiveError",
    "ArchiveStore",
    "ArchiveUnavailable",
    "ArchivedJob",
    "Entry",
    "Finding",
    "JobPath",
    "Preserved",
    "StoredBand",
    "StoredMetric",
    "Thumbnail",
    "UnreadableEntry",
    "add_thumbnail",
    "annotations",
    "bands_in",
    "check_version",
    "cluster_names",
    "data_file",
    "data_of",
    "entries_of",
    "imported_job",
    "is_complete",
    "job_directories",
    "job_path_of",
    "meta_of_row",
    "metric_data",
    "open_archive",
    "pack",
    "read_cluster_text",
    "read_data",
    "read_data_file",
    "read_data_texts",
    "read_meta",
    "read_meta_file",
    "read_preserved",
    "render_data",
    "render_meta",
    "render_thumbnail",
    "require_archive",
    "stored_scopes",
    "verify",
    "with_annotations",
    "write_cluster",
    "write_entries",
]
