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
