"""Settings of sign-in."""

import base64
import binascii
from typing import ClassVar, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from services.gateway.frame.settings import ED25519_KEY_BYTES
from shared.settings import SettingsGroup, group_config

MIN_SECRET_BYTES = 32


class AuthSettings(SettingsGroup):
    """Sessions, passwords and tokens. The variables of cc-backend for keys are read too: `SESSION_KEY`, `CROSS_LOGIN_JWT_HS512_KEY`,
    `CROSS_LOGIN_JWT_PUBLIC_KEY`."""

    section: ClassVar[str] = "auth"
    model_config = group_config("auth") | {"populate_by_name": True}

    session_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("jobtide_auth_session_key", "session_key"),
        description="Base64 of at least 32 random bytes that sign session cookies; `SESSION_KEY` is read too. Needed when the gateway"
        " listens beyond loopback; without it there, sessions end with the process.",
    )
    session_max_age_hours: float = Field(168.0, gt=0, le=24 * 366, description="How long a session lasts, hours.")
    session_cookie_secure: Literal["auto", "always", "never"] = Field(
        "auto",
        description="The attribute `Secure` of the session cookie: `auto` leaves it out only for plain HTTP to a gateway on loopback;"
        " `never` is refused when the gateway listens elsewhere.",
    )
    min_password_characters: int = Field(
        10, ge=1, le=72, description="Shortest local password that can be set; shorter ones set earlier keep working."
    )
    login_attempts: int = Field(5, ge=1, le=1000, description="Failed sign-ins at once, per user name and source address; then 429.")
    login_pause_s: float = Field(180.0, gt=0, le=86_400, description="One more attempt is allowed every this many seconds.")
    login_attempts_per_address: int = Field(
        500,
        ge=1,
        le=1_000_000,
        description="The same for all user names together, at least `login_attempts`; they are all back after the same time.",
    )
    jwt_issuer: str = Field("", description="Tokens must have this issuer (`iss`); empty: any. Issued tokens carry it.")
    jwt_audience: str = Field("", description="Tokens must be for this audience (`aud`); empty: any. Issued tokens carry it.")
    jwt_require_expiry: bool = Field(False, description="Refuse tokens that never expire.")
    jwt_validate_user: bool = Field(
        False,
        description="Take name, roles and projects of a token's user from the database, where the user must exist, not from the token.",
    )
    jwt_max_age_hours: float = Field(
        24.0 * 90, ge=0, le=24 * 3660, description="Lifetime of tokens issued at `/frontend/jwt/`, hours; 0: they do not expire."
    )
    wall_link_max_age_hours: float = Field(
        24.0 * 366, ge=0, le=24 * 3660, description="Lifetime of links to wall screens, hours; 0: they do not expire."
    )
    jwt_sync_user_on_login: bool = Field(False, description="Sign-in by token adds an unknown user to the database.")
    jwt_update_user_on_login: bool = Field(False, description="Sign-in by token brings a known user's name, roles and projects up to date.")
    jwt_cookie_name: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,64}$", description="Cookie with a token for sign-in; empty: none is read.")
    trusted_issuer: str = Field("", description="Issuer (`iss`) whose tokens in that cookie `cross_login_public_key` verifies.")
    cross_login_hs512_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("jobtide_auth_cross_login_hs512_key", "cross_login_jwt_hs512_key"),
        description="Base64 of at least 32 bytes, shared with a portal whose tokens (HS256, HS512) sign in at `/jwt-login`;"
        " `CROSS_LOGIN_JWT_HS512_KEY` is read too.",
    )
    cross_login_public_key: str = Field(
        "",
        validation_alias=AliasChoices("jobtide_auth_cross_login_public_key", "cross_login_jwt_public_key"),
        description="Base64 of the Ed25519 public key of `trusted_issuer`; `CROSS_LOGIN_JWT_PUBLIC_KEY` is read too.",
    )

    @field_validator("session_key", "cross_login_hs512_key")
    @classmethod
    def _secrets_are_long(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        raw = _decoded(text)
        if text and len(raw) < MIN_SECRET_BYTES:
            raise ValueError(f"{len(raw)} bytes instead of at least {MIN_SECRET_BYTES}")
        if text and len(set(raw)) < 8:
            raise ValueError("not random; make one with `openssl rand -base64 32`")
        return key

    @field_validator("cross_login_public_key")
    @classmethod
    def _key_is_ed25519(cls, text: str) -> str:
        if text and len(_decoded(text)) != ED25519_KEY_BYTES:
            raise ValueError(f"{len(_decoded(text))} bytes instead of {ED25519_KEY_BYTES}")
        return text

    @model_validator(mode="after")
    def _foreign_issuer_has_a_key(self) -> "AuthSettings":
        if bool(self.trusted_issuer) != bool(self.cross_login_public_key):
            raise ValueError("trusted_issuer and cross_login_public_key belong together: give both or none")
        if self.trusted_issuer and self.trusted_issuer == self.jwt_issuer:
            raise ValueError("trusted_issuer is somebody else, and jwt_issuer is this site: they must differ")
        return self

    def secret(self, name: Literal["session_key", "cross_login_hs512_key"]) -> bytes:
        """The decoded bytes; empty when it is not set."""
        value: SecretStr = getattr(self, name)
        return _decoded(value.get_secret_value())


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise ValueError("not base64") from e
