"""Settings of ingest."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from shared.settings import Address, NatsSettings, SettingsGroup, group_config, load


class IngestSettings(SettingsGroup):
    """Translation of raw messages to events."""

    section: ClassVar[str] = "ingest"
    model_config = group_config("ingest")

    health: Address = Field("127.0.0.1:8081", description="Address of /healthz, /readyz and /metrics; port 0 is any free one.")
    batch: int = Field(500, ge=1, le=5000, description="Most messages per fetch.")
    ack_wait_s: float = Field(30.0, ge=5, le=600, description="An unacknowledged message is redelivered after this, seconds.")


@dataclass(frozen=True, slots=True)
class Settings:
    nats: NatsSettings
    ingest: IngestSettings


def load_settings() -> Settings:
    return Settings(load(NatsSettings), load(IngestSettings))
