"""The command palette and the list of keys, over any page."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import WAIT_MS, OpenTab

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)


def test_the_palette_finds_a_job_by_its_number_and_the_keys_are_listed(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/")
    page = tab.page
    number = page.locator("[data-job] a[href^='monitoring/job/']").first.inner_text()
    tab.mark()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Show the new jobs")
    assert tab.axe() == []
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search and commands")
    expect(page.get_by_role("option", name="Sign out")).to_be_visible()
    field.fill(number)
    found = page.get_by_role("group", name="Jobs", exact=True).get_by_role("option", name=number)
    expect(found).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", found.get_attribute("id") or "")
    assert tab.axe() == []
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/monitoring/job/\d+$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text(number)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert not tab.was_reloaded()
    assert tab.faults == []


def test_on_a_phone_the_palette_opens_by_the_button_and_does_what_is_chosen(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/nothing", viewport={"width": 360, "height": 740}, color_scheme="light")
    page = tab.page
    page.get_by_role("button", name="Search and commands").click()
    page.get_by_role("combobox").fill("theme same")
    with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
        page.get_by_role("option", name="Theme: same as system").click()
    expect(page.locator(":root")).to_have_css("color-scheme", "light dark")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.faults == []
