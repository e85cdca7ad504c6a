"""Selected jobs in a real browser: compare, tag, export."""

import csv
import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import WAIT_MS, OpenTab

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)


def test_selected_jobs_are_compared_tagged_and_exported(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?sort=jobId")
    page = tab.page
    checks = page.get_by_role("checkbox", name=re.compile("Select the job"))
    expect(checks.nth(2)).to_be_visible()
    numbers = [page.locator("[data-job] .job").nth(row).inner_text() for row in range(3)]
    checks.nth(0).check()
    bar = page.get_by_role("region", name="Selected jobs")
    expect(bar.get_by_role("button", name="Compare")).to_be_disabled()
    checks.nth(2).click(modifiers=["Shift"])
    expect(bar).to_contain_text("3 jobs selected")
    expect(bar.get_by_role("link", name="Compare")).to_have_attribute("href", re.compile(r"^monitoring/compare/\?job=\d+&job=\d+&job=\d+$"))
    assert tab.axe() == []

    bar.get_by_role("button", name="Tag …").click()
    dialog = page.get_by_role("dialog", name="Tag 3 jobs")
    dialog.get_by_role("combobox").first.select_option("new")
    dialog.get_by_label("Type").fill("review")
    dialog.get_by_label("Name").fill("look <again>")
    assert tab.axe() == []
    dialog.get_by_role("button", name="Add to the jobs").click()
    expect(dialog.get_by_role("status")).to_have_text("Added to 3 jobs.")
    page.keyboard.press("Escape")

    bar.get_by_label("Export the selected jobs").click()
    with page.expect_download() as started:
        bar.get_by_role("button", name="CSV").click()
    with started.value.path().open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["jobId"] for row in rows) == sorted(numbers)
    assert all("review: look <again>" in row["tags"] for row in rows)
    assert tab.faults == []
