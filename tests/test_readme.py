"""What the README says can be typed."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    missing = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http") and not (ROOT / link).exists()]
    assert missing == []
