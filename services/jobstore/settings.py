"""Settings of jobstore."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from services.jobstore.rules import Limits
from shared.settings import Address, DatabaseSettings, NatsSettings, SettingsGroup, group_config, load


class JobstoreSettings(SettingsGroup):
    """Applying events to the tables."""

    section: ClassVar[str] = "jobstore"
    model_config = group_config("jobstore")

    health: Address = Field("127.0.0.1:8082", description="Address of /healthz, /readyz and /metrics; port 0 is any free one.")
    batch: int = Field(1000, ge=1, le=10_000, description="Most events per transaction.")
    superseded_after_s: int = Field(
        600, ge=1, description="A run waits this long for its stop after a later run of its id began, seconds by the broker's clock."
    )
    stop_tolerance_s: int = Field(
        300, ge=0, description="A stop that names no start ends a job at once if it is up to this much before the start, seconds."
    )
    parked_stop_ttl_s: int = Field(600, ge=1, description="A stop waits this long for its start, seconds by the broker's clock.")
    rejection_retention_days: float = Field(30.0, gt=0, description="Rejections are kept this long, days.")
    walltime_grace_s: int | None = Field(
        None, ge=0, description="Running jobs are marked failed this long after their walltime, seconds; unset switches it off."
    )
    node_history_days: float = Field(7.0, gt=0, description="Node states are kept this long, days.")
    node_unchanged_s: int = Field(
        3600, ge=0, description="An unchanged node gets a row of history this often, seconds; 0 keeps every report."
    )

    @property
    def limits(self) -> Limits:
        return Limits(
            superseded_after_s=self.superseded_after_s,
            stop_tolerance_s=self.stop_tolerance_s,
        )


@dataclass(frozen=True, slots=True)
class Settings:
    nats: NatsSettings
    database: DatabaseSettings
    jobstore: JobstoreSettings


def load_settings() -> Settings:
    return Settings(load(NatsSettings), load(DatabaseSettings), load(JobstoreSettings))
