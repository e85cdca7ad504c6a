"""Settings of one Prometheus or InfluxDB server."""

import re
from base64 import b64encode
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from shared.metricdata.http import Credentials

HOSTS = re.compile(r"\{\{\s*(?:hosts|\.Nodes)\s*\}\}")

ElementScope = Literal["hwthread", "core", "memoryDomain", "socket", "accelerator"]


class ServerSettings(BaseModel):
    """What both kinds of server have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(pattern=r"^https?://")
    clusters: tuple[str, ...] = Field(min_length=1)
    token: SecretStr | None = None
    user: str = ""
    password: SecretStr | None = None
    ca_file: str = ""

    @property
    def address(self) -> str:
        """Names the server in health and metrics."""
        return self.url.rstrip("/")

    def credentials(self, scheme: str) -> Credentials:
        """``scheme`` stands before the token in the header."""
        authorization = ""
        if self.token is not None:
            authorization = f"{scheme} {self.token.get_secret_value()}"
        elif self.user:
            pair = f"{self.user}:{self.password.get_secret_value() if self.password is not None else ''}"
            authorization = f"Basic {b64encode(pair.encode()).decode()}"
        return Credentials(authorization, self.ca_file)

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        if self.token is not None and self.user:
            raise ValueError("token and user: a server takes one of them")
        return self


class PrometheusSettings(ServerSettings):
    """``queries`` has one PromQL expression per metric, with ``{{hosts}}`` in place of the regular expression of the hosts.

    ``scope_labels`` names the label that has the element's id, by scope. A metric of a scope without a label is read at node scope.
    """

    kind: Literal["prometheus"]
    queries: dict[str, str] = Field(min_length=1)
    host_label: str = Field("instance", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")
    host_suffix: str = ""
    scope_labels: dict[ElementScope, str] = {}

    @field_validator("queries")
    @classmethod
    def _queries_name_hosts(cls, queries: dict[str, str]) -> dict[str, str]:
        for metric, query in queries.items():
            if not HOSTS.search(query):
                raise ValueError(f"the query of {metric} does not contain {{{{hosts}}}}")
        return queries


class InfluxSettings(ServerSettings):
    """``influxdb`` is version 1 (InfluxQL), ``influxdb2`` is version 2 (Flux), where ``database`` is the bucket.

    ``measurements`` maps metrics whose measurement or field differs from the metric's name and ``value``: ``measurement/field``.
    Points carry the host, the scope and the element's id in tags. With an empty ``type_tag`` all points belong to nodes.
    """

    kind: Literal["influxdb", "influxdb2"]
    database: str = Field(min_length=1)
    org: str = ""
    retention_policy: str = ""
    measurements: dict[str, str] = {}
    host_tag: str = "hostname"
    type_tag: str = "type"
    id_tag: str = "type-id"
    cluster_tag: str = ""

    @property
    def address(self) -> str:
        return f"{super().address}/{self.database}"

    def measurement_of(self, metric: str) -> tuple[str, str]:
        """Measurement and field."""
        measurement, _, field = self.measurements.get(metric, metric).partition("/")
        return measurement, field or "value"

    @model_validator(mode="after")
    def _version_2_has_an_organisation(self) -> Self:
        if self.kind == "influxdb2" and not self.org:
            raise ValueError("org: version 2 needs an organisation")
        return self


StoreSettings = Annotated[PrometheusSettings | InfluxSettings, Field(discriminator="kind")]
