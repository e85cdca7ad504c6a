"""The configuration of a cc-backend as settings: each key is translated or explained, and the result can be loaded."""

import base64
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.embedded.services import SERVICES
from cli.takeover.settings import as_toml, first_job_id, seconds_of, translated
from cli.takeover.source import read_source
from shared.errors import UserError
from shared.settings import CONFIG_VARIABLE

CONFIG: dict[str, Any] = {
    "main": {
        "addr": ":9090",
        "api-allowed-ips": ["10.0.0.1"],
        "user": "cc",
        "group": "cc",
        "disable-authentication": False,
        "embed-static-files": True,
        "static-files": "web",
        "db": "./var/job.db",
        "enable-job-taggers": True,
        "validate": True,
        "session-max-age": "12h",
        "https-cert-file": "c.pem",
        "https-key-file": "k.pem",
        "redirect-http-to": "https://x.example",
        "machine-state-dir": "/var/state",
        "stop-jobs-exceeding-walltime": 3600,
        "short-running-jobs-duration": 120,
        "emission-constant": 300,
        "resampling": {"trigger": 30, "resolutions": [60, 600], "minimum-points": 500},
        "systemd-unit": "cc.service",
        "api-subjects": {"subject-job-event": "a.job", "subject-node-state": "a.node", "job-concurrency": 8, "node-concurrency": 2},
        "nodestate-retention": {"policy": "move", "age": 48, "target-kind": "file", "target-path": "/x"},
        "db-config": {"cache-size-mb": 100},
    },
    "auth": {
        "jwts": {
            "max-age": "720h",
            "cookie-name": "portal",
            "validate-user": True,
            "trusted-issuer": "portal.example",
            "sync-user-on-login": True,
            "update-user-on-login": True,
        },
        "ldap": {
            "url": "ldaps://ldap.example",
            "user-base": "ou=p,dc=x",
            "search-dn": "cn=s,dc=x",
            "user-bind": "uid={username},ou=p,dc=x",
            "user-filter": "(objectClass=posixAccount)",
            "username-attr": "cn",
            "uid-attr": "uid",
            "sync-interval": "24h",
            "sync-del-old-users": True,
            "sync-user-on-login": True,
            "update-user-on-login": True,
        },
        "oidc": {"provider": "https://id.example/realm", "sync-user-on-login": True, "update-user-on-login": True},
    },
    "cron": {"commit-job-worker": "2m", "duration-worker": "5m", "footprint-worker": "10m"},
    "archive": {"kind": "file", "path": "./var/job-archive", "compression": 7, "retention": {"policy": "move", "age": 365}},
    "metric-store": {
        "retention-in-memory": "48h",
        "memory-cap": 8,
        "num-workers": 4,
        "checkpoint-interval": "12h",
        "checkpoints": {"file-format": "wal"},
        "cleanup": {"mode": "delete"},
        "debug": {},
        "nats-subscriptions": [{"subscribe-to": "hpc-nats", "cluster-tag": "fritz"}],
    },
    "metric-store-external": [{"scope": "*", "url": "http://m.example:8082", "token": "t0ken"}],
    "nats": {"address": "nats://n.example:4222", "username": "u", "password": "s3cret", "creds-file-path": ""},
    "ui": {"job-list": {"use-paging": True}},
}


def write(folder: Path, config: dict[str, Any]) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / ".env").write_text('# keys\nexport JWT_PUBLIC_KEY="abc"\nSESSION_KEY=hidden\nOTHER=1\n')
    return folder


@pytest.fixture
def toml(tmp_path: Path) -> str:
    source = read_source(write(tmp_path, CONFIG))
    return as_toml(translated(source, 843_112), source)


def test_the_settings_are_accepted_by_every_service(tmp_path: Path, toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobtide.toml").write_text(toml)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "jobtide.toml"))
    monkeypatch.setenv("JOBTIDE_NATS_PASSWORD", "s3cret")  # as the comments say
    monkeypatch.setenv("CROSS_LOGIN_JWT_PUBLIC_KEY", base64.b64encode(bytes(range(32))).decode())
    monkeypatch.setenv("LDAP_ADMIN_PASSWORD", "s3cret")
    monkeypatch.setenv("OID_CLIENT_ID", "jobtide")
    settings = {name: importlib.import_module(f"services.{name}.settings").load_settings() for name in SERVICES}
    nats, gateway = settings["gateway"].nats, settings["gateway"]
    assert (nats.url, nats.user, nats.first_job_id) == ("nats://n.example:4222", "u", 10_000_000)
    assert (nats.job_subjects, nats.node_subjects, nats.metric_subjects) == (["a.job"], ["a.node"], ["hpc-nats"])
    assert (gateway.gateway.http, gateway.gateway.allowed_ips, gateway.auth.session_max_age_hours) == ("0.0.0.0:9090", ["10.0.0.1"], 12)
    assert (gateway.auth.jwt_max_age_hours, gateway.auth.jwt_validate_user, gateway.ldap.sync_interval_s) == (720, True, 86_400)
    assert (gateway.series.resolutions, gateway.metrics.url) == ([600, 60], "http://m.example:8082")
    assert (settings["jobstore"].jobstore.walltime_grace_s, settings["jobstore"].jobstore.node_history_days) == (3600, 2)
    assert settings["archiver"].archiver.footprints_s == 600
    assert settings["metricstore"].metricstore.subject_clusters == {"hpc-nats": "fritz"}


def test_every_key_without_a_counterpart_is_explained(toml: str) -> None:
    assert "not a key of cc-backend" not in toml
    for key in ("main.db", "main.https-cert-file", "main.nodestate-retention.target-path", "archive.retention", "metric-store.checkpoints"):
        assert f"# {key}: " in toml
    assert "# JWT_PUBLIC_KEY: read under the same name" in toml
    assert "# OTHER: not a variable of cc-backend or jobtide" in toml


def test_no_secret_is_written(toml: str) -> None:
    assert not [secret for secret in ("s3cret", "t0ken", "hidden", "abc") if secret in toml]


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    source = read_source(write(tmp_path, {"main": {"addr": "x:1", "typo": 1}}))
    assert "main.typo: not a key of cc-backend 1.5" in translated(source, 0).notes


def test_a_section_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "nats.json").write_text('{"address": "nats://other.example:4222"}')
    source = read_source(write(tmp_path, {"main": {}, "nats-file": "nats.json"}))
    assert translated(source, 0).tables["nats"]["url"] == "nats://other.example:4222"


def test_a_flat_configuration_of_an_earlier_release_is_translated(tmp_path: Path) -> None:
    flat = {
        "addr": "x:1",
        "apiAllowedIPs": ["*"],
        "db": "a.db",
        "jwts": {"cookieName": "c", "max-age": "2h"},
        "ldap": {"user_base": "ou=p"},
    }
    source = read_source(write(tmp_path, flat | {"archive": {"kind": "file", "path": "a"}, "clusters": [{"name": "x"}]}))
    with pytest.raises(UserError, match=re.escape(f"there is no database {tmp_path / 'a.db'}")):
        source.open_database()
    found = translated(source, 0)
    assert found.tables["gateway"] == {"http": "x:1", "allowed_ips": ["*"]}
    assert (found.tables["auth"], found.tables["ldap"]) == ({"jwt_cookie_name": "c", "jwt_max_age_hours": 2}, {"user_base": "ou=p"})
    assert [note for note in found.notes if note.startswith("clusters: ")]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "not the configuration"),
        ({"db-driver": "postgres", "db": "x"}, "'postgres' is neither sqlite3 nor mysql"),
        ({"db-driver": "mysql", "db": "x"}, "not a data source name"),
        ({"db-driver": "mysql", "db": "u:p@tcp(host:port)/name"}, "'port' is not a port"),
    ],
)
def test_what_cannot_be_read_is_a_user_error(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_source(write(tmp_path, config)).open_database()


def test_durations_are_read_as_there() -> None:
    assert [seconds_of(text) for text in ("1h30m", "90s", "0", "", "2.5h", "1d", "x")] == [5400, 90, 0, 0, 9000, None, None]


def test_ids_of_jobs_begin_well_above_those_of_the_database() -> None:
    assert [first_job_id(highest) for highest in (0, 243, 600, 843_112)] == [1000, 1000, 10_000, 10_000_000]
