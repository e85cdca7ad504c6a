"""Settings of sign-in by an OpenID Connect provider."""

from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from shared.addresses import is_loopback_host
from shared.settings import SettingsGroup, group_config


class OidcSettings(SettingsGroup):
    """Sign-in by an OpenID Connect provider, at `/oidc-login`; off without `provider`."""

    section: ClassVar[str] = "oidc"
    model_config = group_config("oidc") | {"populate_by_name": True}

    provider: str = Field("", description="Issuer URL, exactly as the provider gives it; unset: no sign-in by OpenID Connect.")
    client_id: str = Field(
        "",
        validation_alias=AliasChoices("jobtide_oidc_client_id", "oid_client_id"),
        description="Our name at the provider; `OID_CLIENT_ID` is read too.",
    )
    client_secret: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("jobtide_oidc_client_secret", "oid_client_secret"),
        description="Our secret there, never logged; unset for a public client. `OID_CLIENT_SECRET` is read too.",
    )
    scopes: str = Field("openid profile roles", description="What is asked for, separated by blanks; `openid` must be among them.")
    redirect_base_url: str = Field(
        "",
        description="URL under which browsers reach this server; `/oidc-callback` below it is registered at the provider."
        " Unset: as the browser's request names the host.",
    )
    roles_clients: list[str] = Field(
        [],
        description="Clients whose roles (`resource_access`) count beside those of the realm (JSON list); empty: only our own,"
        " `*` first: all, whatever their roles were meant for.",
    )
    other_sources: list[Literal["local", "ldap", "token"]] = Field(
        [],
        description="Accounts of these sources too may be used by the provider's user of the same name, with their own roles (JSON list)."
        " Only where the provider's names are those of the site for certain.",
    )
    sync_user_on_login: bool = Field(False, description="A user whom the database does not know is added at sign-in.")
    update_user_on_login: bool = Field(False, description="Sign-in brings a known user's name, roles and projects up to date.")
    ca_file: Path | None = Field(
        None, description="Certificates (PEM) that may have signed the provider's; without it those of the system."
    )
    timeout_s: float = Field(10.0, gt=0, le=30, description="All that the provider is asked in one request, seconds; then 503.")
    sign_in_max_age_s: float = Field(600.0, ge=30, le=3600, description="Time for a person to sign in at the provider, seconds.")
    leeway_s: float = Field(30.0, ge=0, le=300, description="How far the clocks may differ, seconds.")

    @property
    def is_on(self) -> bool:
        return bool(self.provider)

    @field_validator("provider", "redirect_base_url")
    @classmethod
    def _url_is_safe(cls, url: str) -> str:
        if url and not is_safe_url(url):
            raise ValueError("not https://… (or http:// on this machine), without user, query or fragment")
        return url

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if not self.provider:
            if given := sorted(self.model_fields_set - {"provider", "client_id", "client_secret"}):
                raise ValueError(f"provider is needed where {given[0]} is set")
            return self
        if not self.client_id:
            raise ValueError("client_id is needed where provider is set")
        if "openid" not in self.scopes.split():
            raise ValueError("scopes: openid is missing")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ValueError(f"ca_file: {self.ca_file} is not a file")
        return self


def is_safe_url(url: str, *, with_query: bool = False) -> bool:
    """``https``, or ``http`` to this machine, where nobody listens on the way."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or (parts.query and not with_query):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host))
