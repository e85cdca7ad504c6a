"""Settings: read once, at the edge, from the environment and one TOML file, into frozen objects.

A setting ``url`` of the group ``nats`` is the variable ``JOBTIDE_NATS_URL``, and the key ``url`` of the table ``[nats]``
in the file that ``JOBTIDE_CONFIG`` names. The environment wins. Nothing else in the code reads the environment.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from shared.addresses import checked_address
from shared.errors import UserError

PREFIX = "JOBTIDE_"
CONFIG_VARIABLE = "JOBTIDE_CONFIG"
# Of all processes: they may read one file, and none of them has the settings groups of the others.
SECTIONS = (
    "nats",
    "database",
    "archive",
    "log",
    "metrics",
    "ingest",
    "jobstore",
    "archiver",
    "metricstore",
    "gateway",
    "auth",
    "graphql",
    "series",
    "ldap",
    "oidc",
    "up",
)

Address = Annotated[str, AfterValidator(checked_address)]


@cache
def _read_toml(path: str) -> dict[str, Any]:
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise UserError(f"{CONFIG_VARIABLE}: cannot read {path}: {e.strerror}") from e
    except tomllib.TOMLDecodeError as e:
        raise UserError(f"{CONFIG_VARIABLE}: {path} is not TOML: {e}") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{CONFIG_VARIABLE}: {path} is not UTF-8") from e
    for section in tables:
        if section not in SECTIONS:
            near = _near(section, SECTIONS)
            raise UserError(f"{path}: [{section}] is not a section" + (f"; did you mean [{near}]?" if near else ""))
    return tables


def _near(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)), None)


def _variable(section: str, name: str) -> str:
    return f"{PREFIX}{section}_{name}".upper()


def setting_name(section: str, name: str) -> str:
    """Where a person finds the setting: in the file when the value comes from there, else its variable."""
    path = os.environ.get(CONFIG_VARIABLE)
    variable = _variable(section, name)
    if path and variable not in map(str.upper, os.environ) and name in _read_toml(path).get(section, {}):
        return f"{path}: [{section}] {name}"
    return variable


def doubtful_variables() -> dict[str, str]:
    """Variables that look like settings of a misspelt section, with the most similar section.

    They are not necessarily mistakes: other programs may have variables with our prefix too.
    """
    doubtful = {}
    for variable in sorted(os.environ):
        section, _, name = variable.upper().removeprefix(PREFIX).lower().partition("_")
        if variable.upper().startswith(PREFIX) and name and section not in SECTIONS and (near := _near(section, SECTIONS)):
            doubtful[variable] = near
    return doubtful


class _TomlTable(PydanticBaseSettingsSource):
    """The table of one settings group in the TOML file."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("the whole table is given at once")

    def __call__(self) -> dict[str, Any]:
        path = os.environ.get(CONFIG_VARIABLE)
        if not path:
            return {}
        group = self.settings_cls
        assert issubclass(group, SettingsGroup)
        table = _read_toml(path).get(group.section, {})
        if not isinstance(table, dict):
            raise UserError(f"[{group.section}] in {path} is not a table")
        return table


class SettingsGroup(BaseSettings):
    """Base of every group; ``section`` is its TOML table and the middle of its variable names."""

    section: ClassVar[str] = ""
    other_variables: ClassVar[frozenset[str]] = frozenset()  # named like settings of the group, but read by another program
    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _TomlTable(settings_cls)


def group_config(section: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=f"{PREFIX}{section.upper()}_", frozen=True, extra="forbid")


G = TypeVar("G", bound=SettingsGroup)


def load(group: type[G], **overrides: Any) -> G:
    """Read one group. ``overrides`` (None means not given) win over environment and file.

    Raises UserError with one line that names the setting.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    _refuse_unknown_variables(group)
    try:
        return group(**given)
    except ValidationError as e:
        first = e.errors()[0]
        if not first["loc"]:
            raise UserError(f"[{group.section}]: {_said(first['msg'])}") from e
        name, *inside = (str(part) for part in first["loc"])
        name = name.removeprefix(_variable(group.section, "").lower())  # a field with aliases is reported by its first name
        setting = _variable(group.section, name) if name in given else setting_name(group.section, name)
        if first["type"] == "extra_forbidden":
            raise UserError(f"{setting} is not a setting{_did_you_mean(name, group)}") from e
        raise UserError(f"{'.'.join([setting, *inside])}: {_said(first['msg'])}") from e
    except SettingsError as e:  # a list or object that is not JSON; only the text names the field
        named = re.search(r'field "(\w+)"', str(e))
        setting = _variable(group.section, named[1]) if named else f"[{group.section}]"
        raise UserError(f"{setting}: lists and objects are written as JSON in the environment") from e


def _refuse_unknown_variables(group: type[SettingsGroup]) -> None:
    prefix = _variable(group.section, "")
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(prefix).lower()
        if variable.upper().startswith(prefix) and name not in group.model_fields and name not in group.other_variables:
            near = _near(name, group.model_fields)
            raise UserError(f"{variable} is not a setting" + (f"; did you mean {_variable(group.section, near)}?" if near else ""))


def _did_you_mean(name: str, group: type[SettingsGroup]) -> str:
    near = _near(name, group.model_fields)
    return f"; did you mean {near}?" if near else ""


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


class NatsSettings(SettingsGroup):
    """The broker, and the streams on it."""

    section: ClassVar[str] = "nats"
    other_variables: ClassVar[frozenset[str]] = frozenset({"publish"})  # of docker-compose.yml
    model_config = group_config("nats")

    url: str = Field("nats://127.0.0.1:4222", description="Servers, separated by commas.")
    user: str | None = Field(None, description="User name; needs a password too.")
    password: SecretStr | None = Field(None, description="Password of the user; never logged.")
    creds_file: Path | None = Field(None, description="NATS credentials file (JWT and NKey seed).")
    connect_timeout_s: float = Field(5.0, gt=0, le=60, description="One connection attempt, seconds.")
    prefix: str = Field(
        "jobtide",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="First token of every event subject. Anything but `jobtide` also names the streams (`<PREFIX>_EVENTS`).",
    )
    job_subjects: list[str] = Field(
        ["cc.job.event"],
        min_length=1,
        description="Intake subjects of job events (JSON list). A token `{cluster}` names the cluster: the payload must agree.",
    )
    node_subjects: list[str] = Field(["cc.node.state"], min_length=1, description="Intake subjects of node states (JSON list), as above.")
    metric_subjects: list[str] = Field(
        ["cc.metric"],
        min_length=1,
        description="Subjects of metric lines (JSON list), wildcards `*` and `>` allowed."
        " A token `{cluster}` names the cluster: tags of the lines must agree.",
    )
    first_job_id: int = Field(
        1,
        ge=1,
        le=2**40,
        description="Ids of jobs begin here: EVENTS begins at this sequence when it is created. Smaller ids are those that jobs had in"
        " cc-backend before they were taken over. Set it before the first start.",
    )
    replicas: int = Field(1, ge=1, le=5, description="Copies of each stream in a broker cluster.")
    intake_max_age_days: float = Field(30.0, ge=0, description="Raw messages are kept this long, days; 0 keeps them forever.")
    events_max_age_days: float = Field(0.0, ge=0, description="Domain events are kept this long, days; 0 keeps them forever.")
    nodes_max_age_days: float = Field(7.0, ge=0, description="Node reports are kept this long, days; 0 keeps them forever.")
    rejections_max_age_days: float = Field(
        30.0, ge=0, description="Rejections of ingest and the gateway are kept this long on the broker, days; 0 keeps them forever."
    )

    metrics_max_age_hours: float = Field(
        6.0,
        ge=0.1,
        le=8760,
        description="Metric lines stay on the broker this long, hours: the longest time that the metric store may be down.",
    )
    metrics_max_gib: float = Field(
        4.0,
        gt=0,
        le=1_000_000,
        description="Metric lines take at most this much of the broker's storage, GiB; the oldest are removed first.",
    )

    @field_validator("metric_subjects")
    @classmethod
    def _metric_subjects_are_filters(cls, subjects: list[str]) -> list[str]:
        for subject in subjects:
            tokens = subject.split(".")
            if any(not t or " " in t or (t == ">" and i < len(tokens) - 1) for i, t in enumerate(tokens)) or tokens.count("{cluster}") > 1:
                raise ValueError(f"{subject!r} is not a subject or a filter with at most one {{cluster}}")
        return subjects

    @field_validator("job_subjects", "node_subjects")
    @classmethod
    def _subjects_are_plain(cls, subjects: list[str]) -> list[str]:
        for subject in subjects:
            tokens = subject.split(".")
            if any(not t or t in ("*", ">") or " " in t for t in tokens) or tokens.count("{cluster}") > 1:
                raise ValueError(f"{subject!r} is not a subject of plain tokens with at most one {{cluster}}")
        return subjects

    @field_validator("url")
    @classmethod
    def _servers_have_a_host(cls, value: str) -> str:
        for server in value.split(","):
            try:
                parts = urlsplit(server.strip() if "://" in server else f"nats://{server.strip()}")
                is_address = parts.scheme in ("nats", "tls", "ws", "wss") and parts.hostname and parts.port != 0
            except ValueError:
                is_address = False
            if not is_address:
                raise ValueError("an address such as nats://HOST:4222 is expected, or several with commas")
        return value

    @model_validator(mode="after")
    def _a_user_has_a_password(self) -> Self:
        if self.user and self.creds_file is None and not (self.password and self.password.get_secret_value()):
            raise ValueError("user: a password is needed too")
        return self

    def stream(self, name: str) -> str:
        """The stream's name on the broker: ``EVENTS``, or ``SITE_EVENTS`` with the prefix ``site``."""
        return name if self.prefix == "jobtide" else f"{self.prefix.upper()}_{name}"


class DatabaseSettings(SettingsGroup):
    """The database of jobs, nodes and users."""

    section: ClassVar[str] = "database"
    model_config = group_config("database")

    url: SecretStr = Field(
        SecretStr("sqlite:///var/jobtide.db"),
        description=(
            "`sqlite:///PATH`, `postgresql://USER:PASSWORD@HOST:PORT/NAME`"
            " or `mysql://USER:PASSWORD@HOST:PORT/NAME` (MariaDB 10.6 or newer); never logged."
        ),
    )
    pool_size: int = Field(5, ge=1, le=100, description="Connections per service; over SQLite the gateway opens as many again for reading.")
    timeout_s: float = Field(
        30.0, gt=0, le=600, description="One statement, or the wait for a connection or a lock, seconds; over SQLite all of a read."
    )


class ArchiveSettings(SettingsGroup):
    """Where the job archive is."""

    section: ClassVar[str] = "archive"
    model_config = group_config("archive")

    path: Path = Field(Path("var/archive"), description="Folder of the job archive; created when missing.")
    url: str | None = Field(
        None, description="Another place for the archive than `path`: `sqlite:///PATH`, or `s3://BUCKET` with or without `/PREFIX`."
    )
    clusters: dict[str, str] = Field(
        {}, description="Places of single clusters, paths or URLs as above, instead of the common one (JSON object)."
    )
    retention: Literal["none", "delete", "move", "copy"] = Field(
        "none",
        description="What the archiver does with old entries: nothing, `delete` them, or `move` or `copy` them to `retention_target`.",
    )
    retention_days: float | None = Field(
        None, gt=0, le=100_000, description="Entries of jobs that started longer ago than this are old, days; needed for `retention`."
    )
    retention_omit_tagged: Literal["none", "all", "user"] = Field(
        "none", description="Entries to keep: of jobs with any tag (`all`), or with a tag that was not added automatically (`user`)."
    )
    retention_target: str | None = Field(
        None, description="Place of moved and copied entries, a path or URL as above; entries there stay readable whatever `retention` is."
    )
    retention_database: bool = Field(False, description="With `delete`: whether the jobs are removed from the database too.")
    retention_every_h: float = Field(24.0, gt=0, le=8760, description="Interval of `retention`, hours.")
    s3_endpoint: str | None = Field(None, description="URL of the S3 server, such as `https://s3.example:9000`; by default AWS.")
    s3_region: str = Field("us-east-1", description="Region of the S3 server.")
    s3_access_key: str | None = Field(None, description="Access key for S3; without one that of the environment or the machine is used.")
    s3_secret_key: SecretStr | None = Field(None, description="Secret key for S3; never logged.")
    s3_virtual_hosted: bool = Field(False, description="Whether the bucket is part of the host name instead of the path.")

    @field_validator("url", "retention_target")
    @classmethod
    def _url_is_an_address(cls, value: str | None) -> str | None:
        return None if value is None else _archive_address(value)

    @field_validator("clusters")
    @classmethod
    def _clusters_have_addresses(cls, value: dict[str, str]) -> dict[str, str]:
        return {cluster: _archive_address(address) for cluster, address in value.items()}

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("s3_access_key and s3_secret_key go together")
        return self

    @model_validator(mode="after")
    def _retention_is_complete(self) -> Self:
        if self.retention != "none" and self.retention_days is None:
            raise ValueError(f"retention: {self.retention} needs retention_days")
        if self.retention in ("move", "copy") and self.retention_target is None:
            raise ValueError(f"retention: {self.retention} needs retention_target")
        if self.retention_target is not None and self.retention_target in (self.address, *self.clusters.values()):
            raise ValueError("retention_target: is the archive itself")
        if self.retention_database and self.retention != "delete":
            raise ValueError("retention_database: goes with retention = delete")
        return self

    @property
    def address(self) -> str:
        """The common place."""
        return self.url or str(self.path)


def _archive_address(value: str) -> str:
    scheme, has_scheme, rest = value.partition("://")
    if not value or (has_scheme and (scheme not in ("sqlite", "s3") or not rest.strip("/"))) or (scheme == "sqlite" and rest[:1] != "/"):
        raise ValueError(f"{value!r} is not a path, sqlite:///PATH or s3://BUCKET/PREFIX")
    return value


class LogSettings(SettingsGroup):
    """How services log, to standard error."""

    section: ClassVar[str] = "log"
    model_config = group_config("log")

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum level that is written.")
    format: Literal["auto", "json", "text"] = Field("auto", description="`auto` is text on a terminal and JSON elsewhere.")
