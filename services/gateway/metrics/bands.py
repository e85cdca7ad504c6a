"""The bands of a page of jobs, for small plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.gateway.metrics.archived import Texts
from services.gateway.metrics.cache import Cache
from services.gateway.metrics.jobs import MIB, JobMetrics
from services.gateway.metrics.model import Numbers, short_numbers
from services.gateway.metrics.selection import NODE, MetricSelection
from services.gateway.metrics.statistics import JobStatistics
from services.gateway.metrics.stored import stored_numbers
from services.gateway.reading.model import StoredJob
from shared.archive import THUMBNAIL_POINTS, StoredBand, Thumbnail, metric_data, stored_scopes
from shared.domain.values import ARCHIVED
from shared.metricdata.bands import Band, bands_of, fewer_points
from shared.metricdata.model import Unit

_BYTES_PER_BAND = 500  # size of a cache entry without its numbers


@dataclass(frozen=True, slots=True)
class NamedBand:
    name: str
    scope: str
    unit: Unit
    timestep: int
    min: Numbers
    median: Numbers
    max: Numbers

    @property
    def size(self) -> int:
        return _BYTES_PER_BAND + len(self.min.text) + len(self.median.text) + len(self.max.text)


@dataclass(frozen=True, slots=True)
class JobBands:
    job: int
    metrics: Sequence[NamedBand]


class Bands:
    def __init__(self, jobs: JobMetrics, statistics: JobStatistics, cache_mb: float) -> None:
        self._jobs = jobs
        self._statistics = statistics
        self._cache: Cache[Sequence[NamedBand]] = Cache(int(cache_mb * MIB), lambda bands: sum(band.size for band in bands))

    async def close(self) -> None:
        await self._cache.close()

    async def of(self, jobs: Sequence[StoredJob], metrics: Sequence[str] | None, points: int) -> list[JobBands]:
        """In the order of ``jobs``, and of ``metrics``. None means all metrics. Jobs whose data cannot be read are left out."""
        chosen = None if metrics is None else tuple(metrics)
        found: dict[int, Sequence[NamedBand]] = {}
        if points <= THUMBNAIL_POINTS and chosen != ():
            archived = [job for job in jobs if job.monitoring_status == ARCHIVED and not self._jobs.comes_from_store(job)]
            found = await self._jobs.archive.thumbnails(archived, lambda thumbnail: _of_thumbnail(thumbnail, chosen, points))
        rest = [job for job in jobs if job.id not in found]
        found |= await self._statistics.each(rest, lambda job: self._of(job, chosen, points))
        return [JobBands(job.id, found[job.id]) for job in jobs if job.id in found]

    async def _of(self, job: StoredJob, metrics: tuple[str, ...] | None, points: int) -> Sequence[NamedBand]:
        if metrics == ():
            return []
        version = await self._jobs.version(job)
        if version is None:
            return []
        return await self._cache.get((version.key, metrics, points), version.lifetime_s, lambda: self._load(job, metrics, points))

    async def _load(self, job: StoredJob, metrics: tuple[str, ...] | None, points: int) -> Sequence[NamedBand]:
        if self._jobs.comes_from_store(job):
            data = await self._jobs.stored(job, MetricSelection(metrics, (NODE,)))
            return await self._jobs.archive.in_thread(lambda: _named(bands_of(data, points), metrics))
        return await self._jobs.archive.texts(job, metrics, lambda texts: _named(_archived(texts, points), metrics))


def _of_thumbnail(thumbnail: Thumbnail, metrics: Sequence[str] | None, points: int) -> Sequence[NamedBand]:
    """Raises ValueError, TypeError."""
    names = thumbnail if metrics is None else [name for name in metrics if name in thumbnail]
    return [_of_stored(name, thumbnail[name], points) for name in names]


def _of_stored(name: str, band: StoredBand, points: int) -> NamedBand:
    """The lines are answered unchanged if they have at most ``points`` values."""
    lines = [stored_numbers(line) for line in (band.min, band.median, band.max)]
    if lines[0].text.count(b",") < points:
        return NamedBand(name, band.scope, Unit(band.unit.base or "", band.unit.prefix or ""), band.timestep, *lines)
    return _text(name, fewer_points(band.decoded(), points))


def _archived(texts: Texts, points: int) -> dict[str, Band]:
    return bands_of(
        {name: {scope: metric_data(metric) for scope, metric in stored_scopes(text).items()} for name, text in texts.items()}, points
    )


def _named(bands: Mapping[str, Band], metrics: Sequence[str] | None) -> Sequence[NamedBand]:
    names = bands if metrics is None else [name for name in metrics if name in bands]
    return [_text(name, bands[name]) for name in names]


def _text(name: str, band: Band) -> NamedBand:
    lines = (short_numbers(line) for line in (band.min, band.median, band.max))
    return NamedBand(name, band.scope, band.unit, band.timestep, *lines)
