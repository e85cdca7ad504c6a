"""All settings that the gateway reads."""

from dataclasses import dataclass, field

from services.gateway.frame.settings import GatewaySettings
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.metrics.settings import SeriesSettings
from services.gateway.people.auth.ldap.settings import LdapSettings
from services.gateway.people.auth.oidc.settings import OidcSettings
from services.gateway.people.auth.settings import AuthSettings
from shared.metricdata.settings import MetricsSettings
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings, load


@dataclass(frozen=True, slots=True)
class Settings:
    nats: NatsSettings
    database: DatabaseSettings
    archive: ArchiveSettings
    gateway: GatewaySettings
    auth: AuthSettings = field(default_factory=AuthSettings)
    graphql: GraphqlSettings = field(default_factory=GraphqlSettings)
    metrics: MetricsSettings = field(default_factory=lambda: MetricsSettings(kind="none"))
    series: SeriesSettings = field(default_factory=SeriesSettings)
    ldap: LdapSettings = field(default_factory=LdapSettings)
    oidc: OidcSettings = field(default_factory=OidcSettings)


def load_settings() -> Settings:
    return Settings(
        nats=load(NatsSettings),
        database=load(DatabaseSettings),
        archive=load(ArchiveSettings),
        gateway=load(GatewaySettings),
        auth=load(AuthSettings),
        graphql=load(GraphqlSettings),
        metrics=load(MetricsSettings),
        series=load(SeriesSettings),
        ldap=load(LdapSettings),
        oidc=load(OidcSettings),
    )
