"""Settings of metric data queries."""

from typing import ClassVar

from pydantic import Field, field_validator

from services.gateway.metrics.resampling import Resolution
from shared.metricdata.lttb import DEFAULT_MINIMUM_POINTS
from shared.settings import SettingsGroup, group_config


class SeriesSettings(SettingsGroup):
    """How the gateway answers queries for metric data."""

    section: ClassVar[str] = "series"
    model_config = group_config("series")

    resolutions: list[int] = Field(
        [],
        description="Resolutions that clients may request, in seconds (JSON list). Queries without a resolution get the largest;"
        " with an empty list, series are answered as measured.",
    )
    minimum_points: int = Field(DEFAULT_MINIMUM_POINTS, ge=3, le=1_000_000, description="Series with fewer samples are not reduced.")
    cache_mb: int = Field(128, ge=1, le=65_536, description="Memory for cached answers, MiB.")
    readers: int = Field(2, ge=1, le=64, description="Threads that read each place of the archive, and threads that process metric data.")
    loads: int = Field(8, ge=1, le=256, description="Jobs that a query loads concurrently.")
    analysis_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="After this, queries over many jobs return what they have loaded, seconds."
    )
    analysis_jobs: int = Field(500, ge=1, le=100_000, description="Maximum number of jobs of a footprint or roofline query.")
    comparison_jobs: int = Field(
        2000, ge=1, le=1_000_000, description="Maximum number of jobs that `jobsMetricStats` returns, newest first."
    )

    band_jobs: int = Field(
        200, ge=1, le=10_000, description="Maximum number of jobs of a `jobsMetrics` query with 64 points; fewer with more points."
    )

    @field_validator("resolutions")
    @classmethod
    def _resolutions_are_positive(cls, seconds: list[int]) -> list[int]:
        if any(one < 1 for one in seconds):
            raise ValueError("a resolution is a positive number of seconds")
        return seconds

    def resolution(self, seconds: int | None) -> Resolution:
        """None selects the coarsest resolution, 0 the measured one."""
        return Resolution(max(self.resolutions, default=0) if seconds is None else max(seconds, 0), self.minimum_points)
