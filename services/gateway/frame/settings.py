"""Settings of the HTTP interface."""

import base64
import binascii
import ipaddress
import zoneinfo
from pathlib import Path
from typing import ClassVar

from pydantic import AliasChoices, Field, SecretStr, field_validator

from shared.http.limits import HttpLimits
from shared.settings import Address, SettingsGroup, group_config

EVERYBODY = "*"
ED25519_KEY_BYTES = 32
PUBLISHED_KEY = "kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0="  # from the samples of cc-backend; its private key is public too


class GatewaySettings(SettingsGroup):
    """The HTTP interface."""

    section: ClassVar[str] = "gateway"
    model_config = group_config("gateway") | {"populate_by_name": True}

    http: Address = Field("127.0.0.1:8080", description="Address of the API and of /healthz, /readyz and /metrics; port 0 is any free one.")
    pages: bool = Field(True, description="Serve the web interface; without it the gateway is an API with a sign-in page.")
    base_path: str = Field(
        "/",
        pattern=r"^/(?:[A-Za-z0-9._~-]+/)*$",
        max_length=200,
        description="Path under which browsers reach the gateway, with a slash at both ends; a proxy must remove it from requests.",
    )
    site_name: str = Field(
        "jobtide", min_length=1, max_length=60, description="Name of the site in titles, in the bar and on the sign-in page."
    )
    time_zone: str = Field(
        "",
        description="Time zone of the site, such as `Europe/Berlin`: pages show times in it unless a user chose another one;"
        " unset: the zone of the browser.",
    )
    jwt_public_key: str = Field(
        "",
        # JWT_PUBLIC_KEY is the variable of cc-backend; existing installations keep working.
        validation_alias=AliasChoices("jobtide_gateway_jwt_public_key", "jwt_public_key"),
        description="Base64 of the 32 bytes of an Ed25519 public key that verifies tokens; several, separated by commas, during a"
        " key rotation. `JWT_PUBLIC_KEY` is read too. Without one every token is refused.",
    )
    jwt_private_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("jobtide_gateway_jwt_private_key", "jwt_private_key"),
        description="Base64 of the Ed25519 private key (its seed, or seed and public key) that signs tokens issued by `/frontend/jwt/` and"
        " `jobtide token`. `JWT_PRIVATE_KEY` is read too. Without it none is issued.",
    )
    outcome_timeout_s: float = Field(5.0, gt=0, le=60, description="Wait for the outcome of a published event, seconds; then 503.")
    request_timeout_s: float = Field(60.0, gt=0, le=3600, description="Time limit of a request, up to its complete answer, seconds.")
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024, le=1024**3, description="Largest request body, bytes; above it 413.")
    max_connections: int = Field(
        4096,
        ge=1,
        le=30_000,
        description="Open connections at once, fewer if the process may not open that many files. Further ones get health pages only.",
    )
    max_connections_per_address: int = Field(
        512,
        ge=1,
        le=30_000,
        description="Open connections of one address (IPv6: of one /64) at once, except for `trusted_proxies`."
        " Further ones get health pages only.",
    )
    head_timeout_s: float = Field(10.0, ge=0.1, le=600, description="Time for a client to send the head of a request, seconds.")
    idle_timeout_s: float = Field(
        75.0,
        ge=0.1,
        le=3600,
        description="Connections without a request are closed after this, seconds; longer than proxies keep theirs open.",
    )
    stall_timeout_s: float = Field(
        60.0, ge=0.1, le=3600, description="A client that reads nothing of its answer for this long is disconnected, seconds."
    )
    chunk_rows: int = Field(1000, ge=1, le=10_000, description="Rows per database query; longer pages are streamed in chunks of this size.")
    export_jobs: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="Jobs in one file of `/frontend/export/`; above it 400. Parquet takes 1 kB of disk per job.",
    )
    allowed_ips: list[str] = Field(
        [],
        description="Addresses or networks that may use `/api` (JSON list), except `/api/events/`, which web pages follow as well;"
        " empty, or `*` first, allows all.",
    )
    node_unknown_after_s: float = Field(
        3600.0, ge=0, description="A node that was not reported for this long is shown as `unknown`, seconds; 0: never."
    )
    machine_state_dir: Path | None = Field(
        None, description="Folder of `/api/machine_state/…`, one JSON file per host; unset: these paths do not exist."
    )
    systemd_unit: str = Field(
        "jobtide-gateway.service", pattern=r"^[A-Za-z0-9@._:-]{1,200}$", description="Unit whose journal `/frontend/logs/` shows."
    )
    trusted_proxies: list[str] = Field(
        [],
        description="Addresses or networks of proxies whose `X-Forwarded-For` or `X-Real-Ip` is trusted (JSON list).",
    )
    cors_origins: list[str] = Field(["*"], description="Origins whose pages may use the API (JSON list); `*` allows all, `[]` none.")

    max_private_tags: int = Field(500, ge=0, le=1_000_000, description="Private tags per user, except admins; above it 422.")
    max_tag_changes: int = Field(
        300,
        ge=1,
        le=1_000_000,
        description="Tag changes per minute and user, except admins; each is an event; above it 429.",
    )
    max_settings: int = Field(1000, ge=1, le=1_000_000, description="Personal settings of one user; above it 422.")
    max_settings_characters: int = Field(
        1_000_000, ge=1000, le=1_000_000_000, description="Characters of all personal settings of one user; above it 422."
    )

    columns: bool = Field(
        True,
        description="Hold the columns used by filters in memory, for all jobs; otherwise the slower database answers every query.",
    )
    columns_memory_mb: int = Field(
        2048,
        ge=64,
        le=1_048_576,
        description="Memory limit of these columns, MB; a million jobs take about 100, plus some per query."
        " If the jobs do not fit, the database answers.",
    )
    columns_threads: int = Field(2, ge=1, le=64, description="Threads per query on these columns, and concurrent queries.")

    live_poll_s: float = Field(
        0.25,
        ge=0.01,
        le=60,
        description="Interval of sending changes to followers, seconds; without followers the database is not queried.",
    )
    live_keepalive_s: float = Field(15.0, ge=0.05, le=600, description="Interval of keep-alive messages on idle event streams, seconds.")
    live_recheck_s: float = Field(60.0, ge=0.05, le=3600, description="Interval of checking a follower's sign-in, seconds.")
    live_clients: int = Field(1000, ge=1, le=100_000, description="Maximum followers at once; above it 503. One user may have a quarter.")
    live_buffered: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Recent changes held in memory; followers further behind read the database.",
    )

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        if name and name not in zoneinfo.available_timezones():
            raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin")
        return name

    @field_validator("jwt_public_key")
    @classmethod
    def _keys_are_ed25519(cls, text: str) -> str:
        for key in public_keys(text):
            if len(key) != ED25519_KEY_BYTES:
                raise ValueError(f"a key has {len(key)} bytes instead of {ED25519_KEY_BYTES}")
        if PUBLISHED_KEY in text:
            raise ValueError("a key whose private half was published; make a pair with `jobtide keys`")
        return text

    @field_validator("jwt_private_key")
    @classmethod
    def _private_key_is_ed25519(cls, key: SecretStr) -> SecretStr:
        raw = public_keys(key.get_secret_value())
        if len(raw) > 1 or any(len(part) not in (ED25519_KEY_BYTES, 2 * ED25519_KEY_BYTES) for part in raw):
            raise ValueError(f"one key of {ED25519_KEY_BYTES} or {2 * ED25519_KEY_BYTES} bytes is expected")
        return key

    @field_validator("allowed_ips", "trusted_proxies")
    @classmethod
    def _networks_are_readable(cls, entries: list[str]) -> list[str]:
        for entry in entries:
            if entry != EVERYBODY:
                ipaddress.ip_network(entry, strict=False)
        return entries

    @property
    def http_limits(self) -> HttpLimits:
        return HttpLimits(
            max_connections=self.max_connections,
            max_connections_per_address=self.max_connections_per_address,
            head_timeout_s=self.head_timeout_s,
            idle_timeout_s=self.idle_timeout_s,
            stall_timeout_s=self.stall_timeout_s,
            proxies=[
                ipaddress.ip_network(network, strict=False)
                for entry in self.trusted_proxies
                for network in (("0.0.0.0/0", "::/0") if entry == EVERYBODY else (entry,))
            ],
        )


def public_keys(text: str) -> list[bytes]:
    """Decode the keys of the setting. Raises ValueError."""
    try:
        return [base64.b64decode(part.strip(), validate=True) for part in text.split(",") if part.strip()]
    except binascii.Error as e:
        raise ValueError("not base64") from e
