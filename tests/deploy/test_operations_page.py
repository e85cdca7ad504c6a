"""The commands, settings, metrics and containers in docs/operations.md exist."""

import re
import shlex
from collections.abc import Iterator

import pytest
import typer
import yaml

from cli.main import app
from cli.settings_page import groups
from services.gateway import prometheus as gateway_prometheus
from services.gateway.frame import loop_lag
from shared import prometheus
from shared.prometheus import MetricName
from tests.deploy.conftest import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()


def code_lines() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", PAGE)


def jobtide_commands() -> Iterator[list[str]]:
    for line in code_lines():
        for part in re.split(r" && |; | > ", line):
            if found := re.search(r"(?:^|tools )jobtide ([a-z].*)$", part):
                yield shlex.split(found[1], comments=True)


def test_the_page_shows_commands() -> None:
    assert len(list(jobtide_commands())) > 10


@pytest.mark.parametrize("words", list(jobtide_commands()), ids=" ".join)
def test_every_command_of_the_page_exists(words: list[str]) -> None:
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words[0]]
        words = words[1:]
    assert not hasattr(command, "commands"), f"no such command: {words}"
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_metrics_of_the_page_are_those_of_the_services() -> None:
    known = {
        metric.name
        for module in (prometheus, gateway_prometheus, loop_lag)
        for metric in vars(module).values()
        if isinstance(metric, MetricName)
    }
    assert set(re.findall(r"\bjobtide_[a-z_]+", PAGE)) == known


def test_containers_of_the_page_are_those_of_the_compose_file() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for names in re.findall(r"docker compose (?:stop|start|restart|logs|up)((?: [a-z]+)+)$", "\n".join(code_lines()), re.MULTILINE):
        assert set(names.split()) <= set(compose["services"])
    for volume in re.findall(r"main_([a-z-]+)", PAGE):
        assert volume in compose["volumes"]


def test_settings_of_the_page_exist() -> None:
    known = {name for group in groups() for name in group.model_fields}
    mentioned = {
        *("trusted_proxies", "allowed_ips", "rejection_retention_days", "intake_max_age_days"),
        *("parked_stop_ttl_s", "retry_first_s", "tries", "replicas"),
        *("session_key", "session_cookie_secure", "jwt_private_key", "cors_origins", "columns_memory_mb", "cache_mb", "live_keepalive_s"),
        *("sync_interval_s", "sync_del_old_users"),
    }
    assert all(f"`{name}`" in PAGE for name in mentioned)
    assert mentioned <= known


def test_files_of_the_page_exist() -> None:
    for path in re.findall(r"\bdeploy/[A-Za-z./_-]+[a-z]\b", PAGE):
        assert (ROOT / path).exists(), path
