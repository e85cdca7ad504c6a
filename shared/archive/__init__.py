"""The job archive: format version 3 in folders. Nothing here starts threads or awaits; what touches files blocks."""

from shared.archive.data import pack, render_data
from shared.archive.imports import ArchivedJob, UnreadableEntry, copy_entries, imported_job, iter_entries
from shared.archive.kept import Kept, kept_of
from shared.archive.layout import (
    ArchiveError,
    JobPath,
    check_version,
    cluster_names,
    job_directories,
    job_path_of,
    open_archive,
)
from shared.archive.meta import meta_of_row, render_meta, with_annotations
from shared.archive.reader import (
    data_file,
    data_of,
    decoded,
    is_complete,
    read_cluster_text,
    read_data,
    read_data_document,
    read_data_file,
    read_data_texts,
    read_meta,
    read_meta_file,
)
from shared.archive.verify import Finding, verify
from shared.archive.writer import Entry, write_cluster, write_entries

__all__ = [
    "ArchiveError",
    "ArchivedJob",
    "Entry",
    "Finding",
    "JobPath",
    "Kept",
    "UnreadableEntry",
    "check_version",
    "cluster_names",
    "copy_entries",
    "data_file",
    "data_of",
    "decoded",
    "imported_job",
    "is_complete",
    "iter_entries",
    "job_directories",
    "job_path_of",
    "kept_of",
    "meta_of_row",
    "open_archive",
    "pack",
    "read_cluster_text",
    "read_data",
    "read_data_document",
    "read_data_file",
    "read_data_texts",
    "read_meta",
    "read_meta_file",
    "render_data",
    "render_meta",
    "verify",
    "with_annotations",
    "write_cluster",
    "write_entries",
]
