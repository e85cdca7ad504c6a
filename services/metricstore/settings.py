"""Settings of the metric store."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from shared.settings import Address, NatsSettings, SettingsGroup, group_config, load

ED25519_KEY_BYTES = 32


class MetricStoreSettings(SettingsGroup):
    """The metric store."""

    section: ClassVar[str] = "metricstore"
    model_config = group_config("metricstore")

    health: Address = Field("127.0.0.1:8085", description="Address of /healthz, /readyz and /metrics; port 0 is any free one.")
    http: Address = Field("127.0.0.1:8086", description="Address of the HTTP API for reading and writing; port 0 is any free one.")
    jwt_public_key: str = Field(
        "",
        description="Base64 of the Ed25519 public key that checks tokens of the HTTP API. Empty: no token is needed.",
    )
    subject_clusters: dict[str, str] = Field(
        {},
        description="Cluster of lines without a `cluster` tag, by subject of `metric_subjects` (JSON object);"
        " a subject with `{cluster}` needs none.",
    )
    clusters: list[str] = Field(
        [], description="Clusters that this service stores (JSON list); empty: all. Another service stores those that are not listed."
    )
    path: Path = Field(Path("var/samples"), description="Folder of the files of samples; created when missing, used by one service only.")
    memory_hours: float = Field(3.0, ge=1, le=1000, description="Samples of this many hours are held in memory, older ones in files only.")
    save_s: float = Field(
        900.0,
        ge=1,
        le=3600,
        description="Samples are in files after this, seconds; what is not is read from the stream again after a restart.",
    )
    retention_days: float = Field(
        30.0, gt=0, le=36_500, description="Files are removed after this, days, unless a job that is not archived yet needs them."
    )
    max_retention_days: float = Field(
        120.0, gt=0, le=36_500, description="Files that such a job needs are removed after this, days, if it is more than `retention_days`."
    )
    max_gib: float = Field(50.0, gt=0, le=1_000_000, description="Files take at most this much, GiB; the oldest are removed first.")
    max_series: int = Field(1_000_000, ge=1000, le=50_000_000, description="Most series; lines of further ones are refused and counted.")
    max_ahead_s: int = Field(600, ge=0, le=86_400, description="Samples this far ahead of the broker's clock are refused, seconds.")
    batch: int = Field(500, ge=1, le=10_000, description="Messages per fetch from the stream.")
    max_body_mb: int = Field(64, ge=1, le=1024, description="Largest body of a request, MiB.")
    max_samples: int = Field(
        20_000_000, ge=10_000, le=1_000_000_000, description="Most samples of one answer; a larger request is refused with 400."
    )

    @field_validator("jwt_public_key")
    @classmethod
    def _key_is_ed25519(cls, value: str) -> str:
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as e:
            raise ValueError("base64 is expected") from e
        if value and len(raw) != ED25519_KEY_BYTES:
            raise ValueError(f"a public key has {ED25519_KEY_BYTES} bytes, not {len(raw)}")
        return value


@dataclass(frozen=True, slots=True)
class Settings:
    nats: NatsSettings
    metricstore: MetricStoreSettings


def load_settings() -> Settings:
    return Settings(load(NatsSettings), load(MetricStoreSettings))
