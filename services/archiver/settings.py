"""Settings of the archiver."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from shared.metricdata.settings import MetricsSettings
from shared.settings import Address, ArchiveSettings, DatabaseSettings, NatsSettings, SettingsGroup, group_config, load


class ArchiverSettings(SettingsGroup):
    """Archiving of stopped jobs."""

    section: ClassVar[str] = "archiver"
    model_config = group_config("archiver")

    health: Address = Field("127.0.0.1:8083", description="Address of /healthz, /readyz and /metrics; port 0 is any free one.")
    jobs: int = Field(8, ge=1, le=256, description="Jobs whose metric data are loaded at the same time.")
    threads: int = Field(2, ge=1, le=32, description="Threads that compute statistics and write files.")
    batch: int = Field(250, ge=1, le=1000, description="Messages per fetch from the queue.")
    group: int = Field(64, ge=1, le=256, description="Most entries written as one group; their flushes share journal commits.")
    ack_wait_s: float = Field(30.0, ge=5, le=600, description="Jobs of a dead replica are redelivered to another one after this, seconds.")
    max_waiting: int = Field(
        20_000, ge=1000, le=1_000_000, description="Most jobs that wait for a retry or a late start; further jobs stay in the queue."
    )
    tries: int = Field(
        12, ge=1, le=1000, description="Attempts before a job is marked as failed; outages of the archive or the metric store do not count."
    )
    retry_first_s: float = Field(5.0, gt=0, le=3600, description="Pause before the second attempt, seconds; doubled for each further one.")
    retry_max_s: float = Field(900.0, gt=0, le=86_400, description="Longest pause between two attempts, seconds.")
    gives_up_when_full: bool = Field(False, description="Whether attempts count while the archive cannot be written; otherwise jobs wait.")
    memory_mb: int = Field(
        256, ge=16, le=65_536, description="Memory for loaded metric data, MiB (estimated); a larger job is loaded alone."
    )
    grace_s: float = Field(
        10.0, ge=0, le=300, description="Time to finish jobs in progress at shutdown, seconds; the others are handed back."
    )
    finest_scope_nodes: int = Field(8, ge=0, le=10_000, description="Jobs with more nodes are archived without data below node scope.")
    gives_way_from: int = Field(
        2000, ge=0, description="Archiving pauses while jobstore is this many events behind and catching up; 0: never."
    )
    node_health_s: float = Field(
        60.0, ge=0, le=86_400, description="Interval of the checks whether nodes deliver their metrics, seconds; 0: never."
    )
    footprints_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="Interval of computing footprint, energy and advice of running jobs, seconds (1/20 of an old job's age); 0: never.",
    )
    footprints_from_s: float = Field(600.0, ge=0, description="Shortest run time of jobs for `footprints_s`, seconds.")
    footprints_settling_s: float = Field(
        120.0,
        ge=0,
        le=3600,
        description="Age of the newest samples used for `footprints_s`, seconds; those of all cores must be there.",
    )
    advice: bool = Field(True, description="Whether rules are evaluated for jobs and applications detected in their scripts.")
    advice_rules: Path | None = Field(
        None, description="Folder of the site's own rules (TOML, or cc-backend's JSON); it is read again when a file changes."
    )
    advice_parameters: dict[str, float] = Field(
        {},
        description="Values of rule parameters, such as `min_duration_s`, instead of the rules' own (JSON object).",
    )
    advice_applications: Path | None = Field(None, description="TOML file with patterns of applications, instead of the shipped one.")
    nice: int = Field(10, ge=0, le=19, description="Niceness of an archiver that runs as its own process.")

    @model_validator(mode="after")
    def _pauses_grow(self) -> Self:
        if self.retry_max_s < self.retry_first_s:
            raise ValueError("retry_max_s must not be less than retry_first_s")
        return self


@dataclass(frozen=True, slots=True)
class Settings:
    nats: NatsSettings
    database: DatabaseSettings
    archive: ArchiveSettings
    metrics: MetricsSettings
    archiver: ArchiverSettings


def load_settings() -> Settings:
    return Settings(load(NatsSettings), load(DatabaseSettings), load(ArchiveSettings), load(MetricsSettings), load(ArchiverSettings))
