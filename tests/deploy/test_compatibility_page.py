"""The commands and settings that docs/compatibility.md names for those of cc-backend exist."""

import re
import shlex

import pytest
import typer

from cli.main import app
from cli.settings_page import groups
from tests.deploy.conftest import ROOT

PAGE = (ROOT / "docs" / "compatibility.md").read_text()


def rows_of(title: str) -> list[tuple[str, str]]:
    """The first two cells of the rows of the table below a heading."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line.startswith("| ")]
    return [(cells[0], cells[1]) for cells in rows[1:]]


COMMANDS = [found for _, here in rows_of("Command line") for found in re.findall(r"`jobtide ([a-z][^`]*)`", here)]


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_exist_with_their_options(words: str) -> None:
    command = typer.main.get_command(app)
    rest = shlex.split(words)
    while rest and hasattr(command, "commands") and rest[0] in command.commands:
        command = command.commands[rest[0]]
        rest = rest[1:]
    assert not hasattr(command, "commands")
    assert {word for word in rest if word.startswith("--")} <= {name for one in command.params for name in one.opts}


def test_settings_exist_in_their_sections() -> None:
    known = {group.section: set(group.model_fields) for group in groups()}
    named = 0
    for _, here in rows_of("Configuration"):
        for names, section in re.findall(r"((?:`[a-z0-9_]+`(?:, | or )?)+)(?: \([^)]*\))? in `\[([a-z]+)\]`", here):
            wanted = set(re.findall(r"`([a-z0-9_]+)`", names))
            assert wanted <= known[section], here
            named += len(wanted)
    assert named > 25


def test_every_option_of_cc_backend_has_a_row() -> None:
    options = (
        "-server -init -init-db -import-job -add-user -del-user -sync-ldap -jwt -apply-tags -migrate-db -revert-db -force-db -optimize-db"
        " -cleanup-checkpoints -dev -gops -config -loglevel -logdate -version"
    )
    named = {word.split()[0] for there, _ in rows_of("Command line") for word in re.findall(r"`(-[^`]+)`", there)}
    assert set(options.split()) <= named


def keys_of(cell: str) -> set[str]:
    """The full names of the keys in a cell, in which a name without a section is beside the one before it."""
    found, section = set(), ""
    for word in re.findall(r"`([a-z0-9.-]+)`", cell):
        section = word.rpartition(".")[0] or section
        found.add(f"{section}.{word.rpartition('.')[2]}")
    return found


KEYS = {
    "main": "addr api-allowed-ips user group disable-authentication embed-static-files static-files db enable-job-taggers validate"
    " session-max-age https-cert-file https-key-file redirect-http-to machine-state-dir stop-jobs-exceeding-walltime"
    " short-running-jobs-duration emission-constant systemd-unit",
    "main.resampling": "trigger resolutions minimum-points",
    "main.api-subjects": "subject-job-event subject-node-state job-concurrency node-concurrency",
    "main.nodestate-retention": "policy age target-kind target-path target-endpoint target-bucket target-access-key target-secret-key"
    " target-region target-use-path-style max-file-size-mb",
    "main.db-config": "cache-size-mb soft-heap-limit-mb max-open-connections max-idle-connections max-idle-time-minutes busy-timeout-ms",
    "auth.jwts": "max-age cookie-name validate-user trusted-issuer sync-user-on-login update-user-on-login",
    "auth.ldap": "url user-base search-dn user-bind user-filter username-attr uid-attr sync-interval sync-del-old-users"
    " sync-user-on-login update-user-on-login",
    "auth.oidc": "provider sync-user-on-login update-user-on-login",
    "cron": "commit-job-worker duration-worker footprint-worker",
    "archive": "kind path db-path endpoint access-key secret-key bucket region use-path-style compression",
    "archive.retention": "policy format age include-db omit-tagged target-kind target-path target-endpoint target-bucket target-access-key"
    " target-secret-key target-region target-use-path-style max-file-size-mb",
    "metric-store": "retention-in-memory memory-cap num-workers checkpoint-interval checkpoints cleanup nats-subscriptions debug",
    "metric-store-external": "scope url token",
    "nats": "address username password creds-file-path",
    "ui": "job-list node-list job-view metric-config plot-configuration",
}


def test_every_key_of_cc_backend_has_a_row() -> None:
    named = set().union(*(keys_of(there) for there, _ in rows_of("Configuration")))
    assert named == {f"{section}.{key}" for section, keys in KEYS.items() for key in keys.split()}


def test_every_known_fault_of_the_archive_has_a_row() -> None:
    numbers = {
        int(number)
        for there, _ in rows_of("The archive")
        for number in re.findall(r"^Q(\d\d)|, Q(\d\d)", there)
        for number in number
        if number
    }
    assert numbers == set(range(35, 64))
