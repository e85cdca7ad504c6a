"""Settings of sign-in by an LDAP directory."""

import re
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from shared.addresses import is_loopback_host
from shared.settings import SettingsGroup, group_config

NAME_PLACE = "{username}"
PORTS = {"ldap": 389, "ldaps": 636}
SEARCHING = ("user_base", "search_dn", "search_password", "user_filter")


class LdapSettings(SettingsGroup):
    """Sign-in by an LDAP directory; off without `url`. Either `user_bind` gives the DN of a person, or the search finds it."""

    section: ClassVar[str] = "ldap"
    model_config = group_config("ldap") | {"populate_by_name": True}

    url: str = Field("", description="`ldap://HOST[:PORT]` or `ldaps://HOST[:PORT]`; unset: no sign-in by LDAP.")
    start_tls: bool = Field(False, description="Encrypt an `ldap://` connection before anything else is sent.")
    ca_file: Path | None = Field(None, description="Authorities (PEM) for the server's certificate; unset: those of the system.")
    allow_plaintext: bool = Field(False, description="Allow passwords over an unencrypted `ldap://` connection to another machine.")
    user_bind: str = Field(
        "",
        description="DN to sign in with, such as `uid={username},ou=people,dc=site,dc=example`; unset: the DN that the search finds.",
    )
    user_base: str = Field(
        "", description="Base DN of searches. Searches need this and the next three; only `user_bind` alone works without them."
    )
    search_dn: str = Field("", description="DN to search with.")
    search_password: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("jobtide_ldap_search_password", "ldap_admin_password"),
        description="Its password; never logged. `LDAP_ADMIN_PASSWORD` is read too.",
    )
    user_filter: str = Field("", description="Filter of valid users, such as `(&(objectClass=posixAccount))`.")
    username_attr: str = Field("gecos", pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="Attribute with the name to show.")
    uid_attr: str = Field("uid", pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="Attribute with the login name.")
    sync_interval_s: float = Field(
        0.0, ge=0, le=30 * 86_400, description="Synchronize users from the directory at this interval, seconds; 0: never."
    )
    sync_del_old_users: bool = Field(
        False, description="Synchronization removes LDAP users that the directory no longer has, unless its answer was empty or incomplete."
    )
    sync_update_names: bool = Field(True, description="Synchronization updates the shown names of known LDAP users.")
    sync_user_on_login: bool = Field(False, description="Sign-in adds a valid user that the database does not have.")
    update_user_on_login: bool = Field(False, description="Sign-in updates the shown name of a known LDAP user.")
    timeout_s: float = Field(10.0, gt=0, le=60, description="Deadline of one sign-in or search of one user, seconds; then 503.")
    sync_timeout_s: float = Field(300.0, gt=0, le=3600, description="Deadline of one synchronization, seconds.")
    page_size: int = Field(500, ge=1, le=10_000, description="Entries asked for at once when all users are read.")
    connections: int = Field(8, ge=1, le=64, description="Connections to the directory at the same time.")

    @property
    def is_on(self) -> bool:
        return bool(self.url)

    @property
    def can_search(self) -> bool:
        return not self.missing_for_search

    @property
    def missing_for_search(self) -> list[str]:
        values = (self.user_base, self.search_dn, self.search_password.get_secret_value(), self.user_filter)
        return [name for name, value in zip(SEARCHING, values, strict=True) if not value]

    @property
    def address(self) -> tuple[str, int, bool]:
        """Host, port, and whether TLS comes first."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or PORTS[parts.scheme], parts.scheme == "ldaps"

    @field_validator("url")
    @classmethod
    def _url_is_of_ldap(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in PORTS or not parts.hostname or parts.port == 0 or _has_more(parts)):
            raise ValueError("not ldap://HOST[:PORT] or ldaps://HOST[:PORT]")
        return url

    @field_validator("user_bind")
    @classmethod
    def _pattern_has_one_place(cls, pattern: str) -> str:
        if pattern and pattern.count(NAME_PLACE) != 1:
            raise ValueError(f"must contain {NAME_PLACE} once")
        return pattern

    @field_validator("user_filter")
    @classmethod
    def _filter_is_one(cls, text: str) -> str:
        if text:
            from ldap3.core.exceptions import LDAPExceptionError
            from ldap3.operation.search import parse_filter

            try:
                parse_filter(text, None, auto_escape=False, auto_encode=False, validator=None, check_names=False)
            except (LDAPExceptionError, IndexError, ValueError, AttributeError) as e:
                raise ValueError(f"not a filter in parentheses: {str(e)[:100]}") from e
            if re.fullmatch(r"\(.*\)", text, re.DOTALL) is None:
                raise ValueError("not a filter in parentheses")
        return text

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if not self.url:
            if given := sorted(self.model_fields_set - {"url", "search_password"}):
                raise ValueError(f"url is needed where {given[0]} is set")
            return self
        host, _, is_ldaps = self.address
        if is_ldaps and self.start_tls:
            raise ValueError("start_tls is for ldap:// only: an ldaps:// connection is encrypted already")
        if not is_ldaps and not self.start_tls and not self.allow_plaintext and not is_loopback_host(host):
            raise ValueError(f"{self.url} would carry passwords unencrypted: use ldaps://, start_tls, or allow_plaintext")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ValueError(f"ca_file: {self.ca_file} is not a file")
        searches = [name for name in ("sync_interval_s", "sync_user_on_login", "update_user_on_login") if getattr(self, name)]
        if (searches or not self.user_bind) and self.missing_for_search:
            why = f"where {searches[0]} is set" if searches else "where user_bind is not set"
            raise ValueError(f"{', '.join(self.missing_for_search)} needed {why}")
        if 0 < self.sync_interval_s < 10:
            raise ValueError("sync_interval_s must be 0 or at least 10")
        return self


def _has_more(parts: SplitResult) -> bool:
    return bool(parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment)
