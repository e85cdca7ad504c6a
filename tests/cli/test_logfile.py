"""The log file of a site on a terminal."""

import stat
from pathlib import Path

import pytest

from cli.embedded.logfile import OLDER_FILES, Problems, RotatingFile, one_line


def test_a_full_log_file_is_renamed_and_the_oldest_one_is_dropped(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "site.log", max_bytes=20)
    for number in range(10):
        file.write(f"line number {number}\n")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["site.log", *(f"site.log.{number + 1}" for number in range(OLDER_FILES))]
    assert [(tmp_path / name).read_text() for name in names] == ["line number 9\n", "line number 8\n", "line number 7\n"]


def test_a_log_file_is_appended_to_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    for text in ("first\n", "second\n"):
        RotatingFile(tmp_path / "site.log").write(text)
    assert (tmp_path / "site.log").read_text() == "first\nsecond\n"
    assert stat.S_IMODE((tmp_path / "site.log").stat().st_mode) == 0o600


def test_text_that_is_not_unicode_is_logged_escaped(tmp_path: Path) -> None:
    RotatingFile(tmp_path / "site.log").write("user \udcff\n")
    assert (tmp_path / "site.log").read_text() == "user \\udcff\n"


def test_a_problem_is_one_line_without_terminal_control_characters() -> None:
    assert one_line("warning", {"event": "odd", "why": "a\nb\x1b[2J", "level": "warning", "timestamp": "now"}) == (
        "warning: odd why=a\\nb\\x1b[2J"
    )


def test_problems_are_printed_until_a_display_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    problems = Problems()
    problems.add("error", {"event": "first"})
    problems.are_printed = False
    problems.add("error", {"event": "second"})
    assert capsys.readouterr().err == "error: first\n"
    assert (problems.count, problems.latest) == (2, "error: second")
