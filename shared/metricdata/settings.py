"""Settings of the metric source."""

from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from shared.metricdata.http import HttpLimits
from shared.metricdata.store_settings import StoreSettings
from shared.settings import SettingsGroup, group_config


class MetricsSettings(SettingsGroup):
    """Source of the metric data of jobs."""

    section: ClassVar[str] = "metrics"
    model_config = group_config("metrics")

    kind: Literal["none", "cc-metric-store"] = Field(
        "none", description="`none`: jobs are archived with metadata only; `cc-metric-store`: its HTTP API."
    )
    url: str = Field("", description="Address of the metric store, without `/api`.")
    cluster_urls: dict[str, str] = Field(
        {},
        description="Addresses for individual clusters (JSON object, cluster to address), preferred to `url`."
        " A cluster without an address has no metric data.",
    )
    stores: list[StoreSettings] = Field(
        [],
        description="Prometheus and InfluxDB servers with the data of individual clusters (JSON array; `[[metrics.stores]]` in the file),"
        " preferred to `url` and `cluster_urls`. docs/metrics.md lists their keys.",
    )
    token: SecretStr | None = Field(None, description="JSON web token of the metric store; never logged.")
    timeout_s: float = Field(30.0, gt=0, le=600, description="Time limit of a request, seconds.")
    tries: int = Field(3, ge=1, le=20, description="Attempts for a request that gets no answer or a server error.")
    requests: int = Field(4, ge=1, le=64, description="Concurrent requests.")
    queries: int = Field(1000, ge=1, le=100_000, description="Most queries per request.")
    max_answer_mb: int = Field(256, ge=1, le=4096, description="Largest accepted answer, MiB.")
    max_window_days: float = Field(
        60.0, gt=0, le=3650, description="Longest job whose data are requested, days: the store allocates memory for the whole window."
    )

    @model_validator(mode="after")
    def _a_store_has_an_address(self) -> Self:
        addresses = [*self.cluster_urls.values(), *([self.url] if self.url or self.kind == "none" else [])]
        if self.kind != "none" and not addresses:
            raise ValueError("url: a metric store needs an address")
        if bad := [address for address in addresses if address and not address.startswith(("http://", "https://"))]:
            raise ValueError(f"url: {bad[0]!r} does not begin with http:// or https://")
        served = [cluster for store in self.stores for cluster in store.clusters]
        if twice := sorted({cluster for cluster in served if served.count(cluster) > 1}):
            raise ValueError(f"stores: cluster {twice[0]} has two stores")
        return self

    @property
    def http_limits(self) -> HttpLimits:
        return HttpLimits(timeout_s=self.timeout_s, tries=self.tries, requests=self.requests, max_answer_mb=self.max_answer_mb)
