"""docker-compose.yml and related files, without Docker: names exist, secrets are not included."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.keys import PRIVATE_KEY_VARIABLES
from cli.settings_page import groups
from shared.settings import CONFIG_VARIABLE, PREFIX
from tests.deploy.conftest import ROOT, USERS

SERVICES = ("ingest", "jobstore", "archiver", "metricstore", "gateway")
ONE_SHOT = ("provision", "migrate", "tools")
OF_COMPOSE_ONLY = {"JOBTIDE_VERSION", "JOBTIDE_HTTP_PUBLISH", "JOBTIDE_NATS_PUBLISH"}
REFERENCE = re.compile(r"\$\{([A-Z_]+):([?-])([^}]*)\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def known_variables() -> set[str]:
    names = {f"{PREFIX}{group.section}_{name}".upper() for group in groups() for name in group.model_fields}
    return names | set(PRIVATE_KEY_VARIABLES) | {CONFIG_VARIABLE} | OF_COMPOSE_ONLY


@pytest.mark.parametrize("file", ["docker-compose.yml", "deploy/Dockerfile", "deploy/systemd/env-files.sh", ".env.example"])
def test_every_setting_that_is_named_exists(file: str) -> None:
    assert set(re.findall(r"JOBTIDE_[A-Z_]+", (ROOT / file).read_text())) <= known_variables()


def test_every_unit_names_settings_that_exist() -> None:
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        assert set(re.findall(r"JOBTIDE_[A-Z_]+", unit.read_text())) <= known_variables(), unit.name


def test_the_site_file_names_settings_that_exist() -> None:
    by_section = {group.section: set(group.model_fields) for group in groups()}
    section = ""
    for line in (ROOT / "deploy" / "jobtide.toml").read_text().splitlines():
        if header := re.fullmatch(r"\[([a-z]+)\]", line):
            section = header[1]
            assert section in by_section
        elif setting := re.fullmatch(r"#? ?([a-z_]+) = .*", line):
            assert setting[1] in by_section[section]


def test_every_secret_comes_from_the_environment_and_is_required(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|PRIVATE|SECRET|TOKEN|_KEY$|DATABASE_URL", variable):
                (reference,) = REFERENCE.findall(value)
                assert reference[1] == "?", f"{name}: {variable} is empty when .env is missing"
                assert "init-env.sh" in reference[2]


def test_every_reference_is_explained_in_the_example(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {name for name, _, _ in REFERENCE.findall(text)} == explained


def test_the_example_holds_no_secret() -> None:
    for line in (ROOT / ".env.example").read_text().splitlines():
        if re.match(r"[A-Z_]+=", line):
            assert line.endswith("=")


def test_each_container_has_the_secrets_of_its_own_user_only(compose: dict[str, Any]) -> None:
    for user in SERVICES:
        environment = compose["services"][user]["environment"]
        assert environment["JOBTIDE_NATS_USER"] == user
        used = {name for value in environment.values() for name, _, _ in REFERENCE.findall(str(value))}
        assert {name for name in used if name.startswith("NATS_")} == {f"NATS_{user.upper()}_PASSWORD"}
        assert ("JWT_PRIVATE_KEY" in used) == (user == "gateway")  # people take tokens at /frontend/jwt/
        assert ("POSTGRES_PASSWORD" in used) == (user not in ("ingest", "metricstore"))
    assert set(compose["services"]["nats"]["environment"]) == {f"NATS_{user.upper()}_PASSWORD" for user in USERS}


def test_long_running_containers_are_restarted_and_monitored(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "HEALTHCHECK" in dockerfile
    for name, service in compose["services"].items():
        if name in ONE_SHOT:
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped"
        assert name in SERVICES or "test" in service["healthcheck"]
        assert service["logging"]["options"]["max-size"]


def test_services_start_after_streams_and_schema(compose: dict[str, Any]) -> None:
    for name in SERVICES:
        waits_for = compose["services"][name]["depends_on"]
        assert waits_for["provision"] == {"condition": "service_completed_successfully"}
        assert ("migrate" in waits_for) == (name not in ("ingest", "metricstore"))


def test_the_containers_of_the_services_are_confined(compose: dict[str, Any]) -> None:
    for name in (*SERVICES, *ONE_SHOT):
        service = compose["services"][name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert not service.get("privileged")
    assert re.search(r"^USER jobtide$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert "archive:/var/lib/jobtide/archive:ro" in compose["services"]["gateway"]["volumes"]
    assert "archive:/var/lib/jobtide/archive" in compose["services"]["archiver"]["volumes"]


def test_persistent_data_are_on_named_volumes(compose: dict[str, Any]) -> None:
    assert set(compose["volumes"]) == {"nats-data", "postgres-data", "archive", "samples"}
    for name, folder in (("nats", "/data"), ("postgres", "/var/lib/postgresql/data")):
        mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in compose["services"][name]["volumes"]}
        assert mounts[folder] in compose["volumes"]
    assert compose["services"]["nats"]["command"][-2:] == ["--store_dir", "/data"]


def test_the_image_is_built_from_existing_files() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    for line in (ROOT / "deploy" / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            source = line.split()[1]
            assert (ROOT / source).exists()
            assert f"!{source.removesuffix('/')}" in ignore


def test_the_image_has_the_drivers_of_all_engines() -> None:
    """The list of what is installed, made as the build makes it."""
    (script,) = re.findall(r'python3 -c "(import tomllib[^"]*)"', (ROOT / "deploy" / "Dockerfile").read_text())
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert {"aiosqlite", "asyncpg", "asyncmy"} <= {re.match(r"[\w-]*", line)[0] for line in done.stdout.splitlines()}  # type: ignore[index]


def test_the_documented_change_to_mariadb_reaches_every_container_with_the_database(compose: dict[str, Any]) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    (override,) = (yaml.safe_load(block) for block in blocks if "mariadb-data" in block)
    with_database = {name for name, service in compose["services"].items() if "JOBTIDE_DATABASE_URL" in service.get("environment", {})}
    assert set(override["services"]) == with_database | {"mariadb"}
    for name in with_database:
        assert override["services"][name]["environment"]["JOBTIDE_DATABASE_URL"].endswith("@mariadb:3306/jobtide")


def test_bind_mounted_files_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / Path(volume.split(":")[0])).is_file()
                assert volume.endswith(":ro")
