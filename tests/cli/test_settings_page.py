from cli.settings_page import groups, page
from shared.settings import PREFIX, SECTIONS
from tests.cli.sites import jobtide
from tests.support.processes import REPOSITORY

PAGE = REPOSITORY / "docs" / "configuration.md"


def test_the_configuration_page_matches_the_code() -> None:
    """Bring it up to date with `jobtide settings --markdown > docs/configuration.md`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_setting_has_a_meaning_and_a_place_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for group in groups():
        assert group.__doc__
        for name, field in group.model_fields.items():
            assert field.description, f"{group.__name__}.{name}"
            assert f"`{PREFIX}{group.section}_{name}`".upper() in text.upper()


def test_in_a_pipe_no_meaning_is_cut() -> None:
    lines = jobtide("settings", COLUMNS="60").stdout.splitlines()
    for group in groups():
        for field in group.model_fields.values():
            assert any(line.endswith(field.description or "?") for line in lines), field.description


def test_the_sections_that_the_file_may_have_are_those_of_the_groups() -> None:
    assert {group.section for group in groups()} == set(SECTIONS)
