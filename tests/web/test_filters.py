"""Filters of the job list in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import WAIT_MS, OpenTab

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)


def test_filters_are_chosen_in_a_panel_by_keyboard(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?user=nobody&numNodes=morethan-900", viewport={"width": 360, "height": 800})
    page = tab.page
    expect(page.get_by_text("No job matches these filters.")).to_be_visible()
    page.get_by_role("button", name="nodes ≥ 900").first.focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="Filters")
    field = panel.get_by_role("textbox", name="Nodes from", exact=True)
    expect(field).to_be_focused()
    expect(panel.get_by_role("status")).to_have_text("0 match")
    page.keyboard.type("x")
    expect(panel.get_by_text("This is no whole number.")).to_be_visible()
    expect(panel.get_by_role("button", name="Show jobs")).to_be_disabled()
    assert tab.axe() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    field.fill("")
    panel.get_by_role("textbox", name="User").fill("")
    panel.get_by_label("Started").select_option("last24h")
    panel.get_by_role("textbox", name=re.compile("mem.* max from", re.IGNORECASE)).fill("0.5")
    expect(panel.get_by_role("status")).to_have_text(re.compile(r"^[1-9][\d,]* match$"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?startTime=last24h&stat=mem_used_max-morethan-0.5$"))
    expect(page.locator("[data-job]").first).to_be_visible()
    page.get_by_role("button", name="Filters").click()
    expect(panel).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="Filters")).to_be_focused()
    page.get_by_role("searchbox").fill("foo:bar")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("“foo:” is not a filter")
    assert tab.axe() == []
    assert tab.faults == []
