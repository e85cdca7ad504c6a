"""Renders archive entries from database rows and metric data, and writes them. Blocks, so it runs in worker threads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from services.archiver.advice import Adviser
from services.archiver.jobs import JobRecord
from services.archiver.queue import Delivery
from shared.archive import (
    ArchiveError,
    ArchiveStore,
    ArchiveUnavailable,
    Entry,
    meta_of_row,
    pack,
    render_data,
    render_meta,
    render_thumbnail,
    with_annotations,
)
from shared.domain.clusters import Cluster, Metric
from shared.domain.events import JobAdvised
from shared.metricdata.model import JobData
from shared.metricdata.results import Results, results_of


@dataclass(eq=False, slots=True)
class Work:
    """A job and the events that require work on its entry. ``metrics`` are those of its subcluster.

    ``archives``: write the entry; with ``is_archived``, only if there is no complete one. ``annotates``: update tags and
    metadata of the existing entry, which a new entry includes anyway.
    """

    job: JobRecord
    deliveries: list[Delivery]
    archives: bool = False
    is_archived: bool = False
    annotates: bool = False
    taken_at: float = 0.0
    metrics: Sequence[Metric] = ()
    cluster: Cluster | None = None  # None: it is not configured
    advised: JobAdvised | None = None
    data: JobData | None = None  # None: the site has no metric data
    weight: int = 0
    results: Results | None = None
    error: Exception | None = None
    size: int = 0  # bytes of the rendered entry
    changed_job: JobRecord | None = None  # has a different end than the entry

    def skip_archiving(self) -> None:
        """The entry exists and is complete."""
        self.archives = False

    @property
    def sequence(self) -> int:
        return self.deliveries[0].sequence

    def release_data(self) -> None:
        self.data = None


def perform(archive: ArchiveStore, works: Sequence[Work], adviser: Adviser | None = None) -> None:
    """Write the entries of several jobs as one group. Sets ``results``, ``advised`` or ``error`` of each work."""
    entries: list[tuple[Work, Entry]] = []
    unavailable = _unavailable(archive, works)
    for work in works:
        try:
            if (why := unavailable.get(archive.part_of(work.job.cluster))) is not None:
                raise why
            entry = _archived(archive, work, adviser) if work.archives else _annotated(archive, work)
        except Exception as e:  # noqa: BLE001 - one job's failure must not affect the others
            work.error = e
            continue
        if entry is not None:
            work.size = len(entry.meta) + len(entry.data or b"")
            entries.append((work, entry))
    for (work, _), error in zip(entries, archive.write([entry for _, entry in entries]), strict=True):
        work.error = error


def _unavailable(archive: ArchiveStore, works: Sequence[Work]) -> dict[ArchiveStore, Exception]:
    """The places that the works need and that are not the archive, as when they are not mounted."""
    found: dict[ArchiveStore, Exception] = {}
    for part in dict.fromkeys(archive.part_of(work.job.cluster) for work in works):
        try:
            part.require()
        except ArchiveUnavailable as e:
            found[part] = e
    return found


def _archived(archive: ArchiveStore, work: Work, adviser: Adviser | None) -> Entry:
    if work.data is None or not _has_series(work.data):
        return _archived_without_series(archive, work, adviser)
    job = work.job
    row = job.row
    work.results = results_of(work.data, work.metrics, num_nodes=int(row["num_nodes"]), duration_s=int(row["duration"]))
    statistics = work.results.statistics_document()
    if adviser is not None:
        work.advised = adviser.advise(job, work.cluster, statistics, work.results.data)
    text = render_data(work.results.data)
    work.release_data()
    data, is_packed = pack(text)
    thumbnail = render_thumbnail(work.results.data, len(data))
    meta = _document(job, work.results, statistics)
    work.results = work.results.without_data()
    return Entry(job.path, render_meta(meta), data, is_packed, thumbnail)


def _archived_without_series(archive: ArchiveStore, work: Work, adviser: Adviser | None) -> Entry:
    """Keeps results and data of an existing entry: the store may have expired samples that the entry has."""
    job = work.job
    work.release_data()
    existing = archive.preserved(job.path)
    sent = _results_as_sent(job.row)
    work.results = replace(
        sent,
        footprint=existing.footprint or sent.footprint,
        energy_footprint=existing.energy_footprint or sent.energy_footprint,
        energy=existing.energy or sent.energy,
    )
    statistics = existing.statistics or sent.statistics_document()
    if adviser is not None:
        work.advised = adviser.advise(job, work.cluster, statistics, {})
    meta = _document(job, work.results, statistics) | existing.others
    data, is_packed = (b"{}\n", False) if existing.data is None else (existing.data, existing.is_packed)
    return Entry(job.path, render_meta(meta), data, is_packed, existing.thumbnail)


def _has_series(data: JobData) -> bool:
    return any(metric.series for scopes in data.values() for metric in scopes.values())


def _document(job: JobRecord, results: Results, statistics: Mapping[str, Any]) -> dict[str, Any]:
    return meta_of_row(
        job.row,
        job.tags,
        statistics=statistics,
        footprint=results.footprint,
        energy_footprint=results.energy_footprint,
        energy=results.energy,
    )


def _results_as_sent(row: Any) -> Results:
    """Without metric data the values sent with the job are used."""
    return Results.as_sent(
        statistics=orjson.loads(row["statistics"] or "{}"),
        footprint=orjson.loads(row["footprint"] or "{}"),
        energy_footprint=orjson.loads(row["energy_footprint"] or "{}"),
        energy=float(row["energy"] or 0.0),
    )


def _annotated(archive: ArchiveStore, work: Work) -> Entry | None:
    """None when there is nothing to do, or no entry because the job was imported without copying its files."""
    if not work.annotates:
        return None
    try:
        document = archive.document(work.job.path)
    except ArchiveError:
        if not archive.is_complete(work.job.path):
            return None
        raise
    return Entry(work.job.path, render_meta(with_annotations(document, work.job.row, work.job.tags)), None)
