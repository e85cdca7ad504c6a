"""The configuration of a cc-backend as settings of jobtide: TOML, with a comment for each key that has no counterpart.

Secrets are never written: they are settings from the environment, or remain in the variables that both programs read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from cli.takeover.entries import archive_of
from cli.takeover.source import Source
from shared.archive.files import FileStore

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(slots=True)
class Translation:
    """``tables`` are the settings by section; ``notes`` say what became of the other keys."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def set(self, section: str, name: str, value: Any) -> None:
        self.tables.setdefault(section, {})[name] = value

    def note(self, key: str, text: str) -> None:
        self.notes.append(f"{key}: {text}")


_Translate = Callable[[Translation, str, Any], None]


def translated(source: Source, highest_id: int) -> Translation:
    """``highest_id`` is the highest job id of the database."""
    result = Translation()
    result.set("nats", "first_job_id", first_job_id(highest_id))
    for section, content in source.config.items():
        if section == "archive":
            continue  # below, as a whole
        if section == "metric-store-external":
            _external_stores(result, content)
        elif section in ("ui", "ui-defaults"):
            result.note(section, _UI)
        elif isinstance(content, dict):
            _translate(result, section, content)
        else:
            result.note(section, _REASONS.get(section, "not a section of cc-backend"))
    _archive(result, source)
    for name in source.env:
        result.note(name, _ENV.get(name, "not a variable of cc-backend or jobtide") + ", in .env")
    return result


def first_job_id(highest_id: int) -> int:
    """Well above the ids that cc-backend has given, and will give until it is switched off."""
    bound = 1000
    while bound < 2 * highest_id:
        bound *= 10
    return bound


def as_toml(translation: Translation, source: Source) -> str:
    lines = [f"# Settings of jobtide, translated from {source.folder}.", ""]
    for section, values in translation.tables.items():
        lines += [f"[{section}]", *(f"{name} = {_value(value)}" for name, value in values.items()), ""]
    lines += ["# Not translated:", *(f"# {note}" for note in translation.notes)]
    return "\n".join(lines) + "\n"


def _translate(result: Translation, prefix: str, content: Mapping[str, Any]) -> None:
    for name, value in content.items():
        key = f"{prefix}.{name}"
        if (translate := _KEYS.get(key)) is not None:
            translate(result, key, value)
        elif isinstance(value, dict) and any(known.startswith(f"{key}.") for known in _KEYS):
            _translate(result, key, value)
        else:
            result.note(key, _REASONS.get(key) or _REASONS.get(prefix) or "not a key of cc-backend 1.5")


def _to(section: str, name: str) -> _Translate:
    def translate(result: Translation, key: str, value: Any) -> None:
        result.set(section, name, value)

    return translate


def _text(section: str, name: str) -> _Translate:
    """Like ``_to``; an empty text is the same as an absent one."""

    def translate(result: Translation, key: str, value: Any) -> None:
        if value:
            result.set(section, name, value)

    return translate


def _duration(section: str, name: str, unit_s: float, *, zero: str | None = None) -> _Translate:
    """A duration such as ``1h30m``. ``zero`` explains why 0 or nothing is not translated."""

    def translate(result: Translation, key: str, value: Any) -> None:
        seconds = seconds_of(str(value))
        if seconds is None or (not seconds and zero is not None):
            result.note(key, zero if seconds is not None and zero is not None else f"{value!r} is not a duration")
            return
        amount = seconds / unit_s
        result.set(section, name, int(amount) if amount == int(amount) else amount)

    return translate


def seconds_of(text: str) -> float | None:
    """None for a text that is not a duration."""
    if text in ("", "0"):
        return 0.0
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _address(result: Translation, key: str, value: Any) -> None:
    text = str(value)
    result.set("gateway", "http", f"0.0.0.0{text}" if text.startswith(":") else text)  # noqa: S104 - as configured there


def _resampling(result: Translation, key: str, value: Any) -> None:
    if value:
        result.set("series", "resolutions", sorted(value, reverse=True))


def _subject(name: str) -> _Translate:
    def translate(result: Translation, key: str, value: Any) -> None:
        result.set("nats", name, [value])

    return translate


def _subscriptions(result: Translation, key: str, value: Any) -> None:
    subjects = [one["subscribe-to"] for one in value if one.get("subscribe-to")]
    result.set("nats", "metric_subjects", subjects)
    clusters = {one["subscribe-to"]: one["cluster-tag"] for one in value if one.get("cluster-tag")}
    if clusters:
        result.set("metricstore", "subject_clusters", clusters)


def _external_stores(result: Translation, content: Any) -> None:
    """``*`` is the default store; a scope of cluster and subcluster has no counterpart."""
    result.set("metrics", "kind", "cc-metric-store")
    clusters = {}
    for one in content if isinstance(content, list) else ():
        scope, url = str(one.get("scope")), str(one.get("url"))
        if scope == "*":
            result.set("metrics", "url", url)
        else:
            clusters[scope] = url
    if clusters:
        result.set("metrics", "cluster_urls", clusters)
        result.note("metric-store-external", "a scope of cluster and subcluster has no counterpart: a cluster has one store")
    result.note("metric-store-external[].token", "a secret: set JOBTIDE_METRICS_TOKEN")


def _archive(result: Translation, source: Source) -> None:
    settings, store = source.section("archive"), archive_of(source)
    result.note(
        "archive.path" if isinstance(store, FileStore) else f"archive.kind = {settings.get('kind')}",
        f"{store.address}: entries are copied into the archive of jobtide, which may be a folder, an SQLite file or a bucket ([archive])",
    )
    for name in settings:
        if name in ("compression", "retention"):
            result.note(f"archive.{name}", _REASONS[f"archive.{name}"])


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_value(key)} = {_value(item)}" for key, item in value.items()) + " }"
    return orjson.dumps(value).decode()  # texts, numbers, booleans and lists of them are written alike


_KEYS: dict[str, _Translate] = {
    "main.addr": _address,
    "main.api-allowed-ips": _to("gateway", "allowed_ips"),
    "main.session-max-age": _duration("auth", "session_max_age_hours", 3600, zero="0 means 30 days there; the default here is a week"),
    "main.machine-state-dir": _text("gateway", "machine_state_dir"),
    "main.stop-jobs-exceeding-walltime": lambda result, key, value: result.set("jobstore", "walltime_grace_s", value) if value else None,
    "main.short-running-jobs-duration": _to("graphql", "short_job_s"),
    "main.resampling.resolutions": _resampling,
    "main.resampling.minimum-points": _to("series", "minimum_points"),
    "main.api-subjects.subject-job-event": _subject("job_subjects"),
    "main.api-subjects.subject-node-state": _subject("node_subjects"),
    "main.nodestate-retention.age": lambda result, key, value: result.set("jobstore", "node_history_days", value / 24),
    "auth.jwts.max-age": _duration("auth", "jwt_max_age_hours", 3600),
    "auth.jwts.cookie-name": _text("auth", "jwt_cookie_name"),
    "auth.jwts.validate-user": _to("auth", "jwt_validate_user"),
    "auth.jwts.trusted-issuer": _text("auth", "trusted_issuer"),
    "auth.jwts.sync-user-on-login": _to("auth", "jwt_sync_user_on_login"),
    "auth.jwts.update-user-on-login": _to("auth", "jwt_update_user_on_login"),
    "auth.ldap.url": _to("ldap", "url"),
    "auth.ldap.user-base": _text("ldap", "user_base"),
    "auth.ldap.search-dn": _text("ldap", "search_dn"),
    "auth.ldap.user-bind": _text("ldap", "user_bind"),
    "auth.ldap.user-filter": _text("ldap", "user_filter"),
    "auth.ldap.username-attr": _text("ldap", "username_attr"),
    "auth.ldap.uid-attr": _text("ldap", "uid_attr"),
    "auth.ldap.sync-interval": _duration("ldap", "sync_interval_s", 1),
    "auth.ldap.sync-del-old-users": _to("ldap", "sync_del_old_users"),
    "auth.ldap.sync-user-on-login": _to("ldap", "sync_user_on_login"),
    "auth.ldap.update-user-on-login": _to("ldap", "update_user_on_login"),
    "auth.oidc.provider": _to("oidc", "provider"),
    "auth.oidc.sync-user-on-login": _to("oidc", "sync_user_on_login"),
    "auth.oidc.update-user-on-login": _to("oidc", "update_user_on_login"),
    "cron.footprint-worker": _duration("archiver", "footprints_s", 1),
    "nats.address": _text("nats", "url"),
    "nats.username": _text("nats", "user"),
    "nats.creds-file-path": _text("nats", "creds_file"),
    "metric-store.retention-in-memory": _duration("metricstore", "memory_hours", 3600),
    "metric-store.nats-subscriptions": _subscriptions,
}

_CLUSTERS = "clusters come from the archive, metric stores are settings: [metrics] or [[metrics.stores]], see docs/metrics.md"
_TLS = "jobtide speaks HTTP; a proxy in front of it has the certificate"
_WORKER = "there is no such step: jobs are visible at once"
_TUNING = "there is nothing to tune"
_UI = "the defaults of the pages are those of jobtide; personal settings are taken over"
_REASONS = {
    "clusters": _CLUSTERS,
    "main.db-driver": "the database has another layout; its content is taken over",
    "main.user": "the service manager starts jobtide as an unprivileged user",
    "main.group": "the service manager starts jobtide as an unprivileged user",
    "main.disable-authentication": "there is always a sign-in",
    "main.embed-static-files": "the pages are part of the package",
    "main.static-files": "the pages are part of the package",
    "main.db": "the database has another layout; its content is taken over",
    "main.enable-job-taggers": "rules and applications are always evaluated, see [archiver] advice",
    "main.validate": "everything is validated",
    "main.https-cert-file": _TLS,
    "main.https-key-file": _TLS,
    "main.redirect-http-to": _TLS,
    "main.emission-constant": "no estimate of emissions is shown",
    "main.systemd-unit": "set [gateway] systemd_unit to the name of the new unit",
    "main.resampling.trigger": "the pages request the resolution that fits their width",
    "main.api-subjects.job-concurrency": _TUNING,
    "main.api-subjects.node-concurrency": _TUNING,
    "main.nodestate-retention": "history of nodes is removed after [jobstore] node_history_days; it is not moved elsewhere",
    "main.db-config": _TUNING,
    "cron.commit-job-worker": _WORKER,
    "cron.duration-worker": "durations of running jobs are computed when they are read",
    "nats.password": "a secret: set JOBTIDE_NATS_PASSWORD",
    "metric-store.memory-cap": "samples older than [metricstore] memory_hours are only in files; max_gib bounds these",
    "metric-store.num-workers": _TUNING,
    "metric-store.checkpoint-interval": "[metricstore] save_s: samples are in files after 15 minutes, and nothing is lost before",
    "metric-store.checkpoints": "the files have another format; let both programs receive the metrics until the old ones are not needed",
    "metric-store.cleanup": "[metricstore] retention_days: older files are removed",
    "metric-store.debug": "unused there as well",
    "archive.compression": "entries are always written compressed",
    "archive.retention": "set [archive] retention after the move, since it would remove entries while they are compared",
}
_ENV = {
    "JWT_PUBLIC_KEY": "read under the same name, so tokens in use stay valid",
    "JWT_PRIVATE_KEY": "read under the same name",
    "SESSION_KEY": "read under the same name; it needs 32 bytes, see docs/configuration.md",
    "CROSS_LOGIN_JWT_PUBLIC_KEY": "read under the same name",
    "CROSS_LOGIN_JWT_HS512_KEY": "read under the same name",
    "LDAP_ADMIN_PASSWORD": "read under the same name",
    "OID_CLIENT_ID": "read under the same name",
    "OID_CLIENT_SECRET": "read under the same name",
}
