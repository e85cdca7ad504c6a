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
        description="Client id of this server at the provider; `OID_CLIENT_ID` is read too.",
    )
    client_secret: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("jobtide_oidc_client_secret", "oid_client_secret"),
        description="Client secret, never logged; unset for a public client. `OID_CLIENT_SECRET` is read too.",
    )
    scopes: str = Field("openid profile roles", description="Requested scopes, separated by blanks; `openid` must be among them.")
    redirect_base_url: str = Field(
        "",
        description="URL under which browsers reach this server; `/oidc-callback` below it is registered at the provider."
        " Unset: the host named by the browser's request.",
    )
    roles_clients: list[str] = Field(
        [],
        description="Clients whose roles (`resource_access`) count in addition to those of the realm (JSON list); empty: only `client_id`,"
        " `*` first: all clients, whatever their roles are meant for.",
    )
    other_sources: list[Literal["local", "ldap", "token"]] = Field(
        [],
        description="The provider's users may use accounts of the same name from these sources, with the roles of the account (JSON list)."
        " Only safe where the provider and the site give the same names to the same people.",
    )
    sync_user_on_login: bool = Field(False, description="Sign-in adds a user that the database does not have.")
    update_user_on_login: bool = Field(False, description="Sign-in updates the name, roles and projects of a known user.")
    ca_file: Path | None = Field(None, description="Authorities (PEM) for the provider's certificate; unset: those of the system.")
    timeout_s: float = Field(10.0, gt=0, le=30, description="Deadline of the requests to the provider in one request, seconds; then 503.")
    sign_in_max_age_s: float = Field(600.0, ge=30, le=3600, description="Time for a person to sign in at the provider, seconds.")
    leeway_s: float = Field(30.0, ge=0, le=300, description="Allowed difference of the clocks, seconds.")

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
    """``https``, or ``http`` to this machine, where nobody can intercept it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or (parts.query and not with_query):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(host))
