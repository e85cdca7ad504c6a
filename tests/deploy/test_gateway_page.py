"""The settings, roles, paths and limits in docs/gateway.md exist."""

import re

from cli.settings_page import groups
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.people.identity import ROLES
from services.gateway.rest import GROUPS
from tests.deploy.conftest import ROOT

PAGE = (ROOT / "docs" / "gateway.md").read_text()
WORDS = set(re.findall(r"`([^`\n]+)`", PAGE))
NO_SETTINGS = {"job_deleted", "mem_used_max", "columns_not_loaded", "connection_init", "sign_in_attempt"} | {
    "token_issued",
    "token_revoked",
    "tokens_ended",
    "password_changed",
    "rejections_replayed",
    "out_of_memory",
    "boot_fail",
    "node_fail",
    "cpu_load",
    "acc_utilization",
}


def test_settings_of_the_page_exist() -> None:
    known = {name for group in groups() for name in group.model_fields}
    mentioned = {word for word in WORDS if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", word)} - NO_SETTINGS
    assert len(mentioned) > 20
    assert mentioned <= known


def test_limits_of_the_page_are_the_defaults() -> None:
    limits = dict(re.findall(r"^\| .* \| `(\w+)` \| ([\d,]+) \|$", PAGE, re.MULTILINE))
    assert len(limits) == 6
    assert {name: int(value.replace(",", "")) for name, value in limits.items()} == GraphqlSettings().model_dump(include=set(limits))


def test_roles_and_paths_of_the_page_exist() -> None:
    assert set(re.findall(r"^\| `(\w+)`(?: alone)? \| (?:all|own)", PAGE, re.MULTILINE)) == set(ROLES)
    served = {route.path.rstrip("/") for group in GROUPS for route in group.routes} | {"/query", "/playground", "/swagger"}
    paths = {word.split()[-1].partition("?")[0].rstrip("/") for word in WORDS if re.match(r"(?:(?:GET|POST) )?/", word)}
    prefixes = {"/api", "/userapi", "/config", "/frontend"}
    assert paths - prefixes <= served


def test_links_of_the_page_resolve() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", PAGE) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
