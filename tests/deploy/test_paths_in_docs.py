"""Paths that docs/contributing.md and docs/architecture.md mention exist."""

import re
from collections.abc import Iterator

import pytest

from tests.deploy.conftest import ROOT

PAGES = ("docs/contributing.md", "docs/architecture.md")
_FOLDERS = "services|shared|cli|bench|deploy|tests|docs|web"


def mentioned(page: str) -> Iterator[str]:
    """Paths from the root in code marks and commands, and modules started with ``python -m``."""
    text = (ROOT / page).read_text()
    yield from re.findall(rf"(?<![\w./-])((?:{_FOLDERS})/[\w./-]*[\w/])", text)
    yield from (module.replace(".", "/") + ".py" for module in re.findall(r"python -m ((?:services|shared)[\w.]+\w)", text))


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_a_page_exists(page: str) -> None:
    paths = set(mentioned(page))
    assert len(paths) > 3
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []
