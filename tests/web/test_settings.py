"""Tags, personal settings and administration."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import WAIT_MS, OpenTab

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)

NAME = """<img src=x onerror="window.hacked=1"> 🦊"""


def test_a_tag_is_created_found_and_deleted(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/tags/")
    page = tab.page
    form = page.get_by_role("form", name="Create tag")
    form.get_by_label("Type").fill("webtest")
    form.get_by_label("Name").fill(NAME)
    form.get_by_role("button", name="Create tag").click()
    row = page.get_by_role("listitem").filter(has_text=NAME)
    expect(row).to_contain_text("only me")
    expect(row).to_contain_text("0 jobs")
    page.get_by_role("searchbox", name="Search tags").fill("webtest onerror")
    expect(page).to_have_url(re.compile(r"\?search=webtest\+onerror$"))
    expect(page.get_by_role("listitem").filter(has=page.get_by_role("button", name="Delete"))).to_have_count(1)
    expect(row.get_by_role("link")).to_have_attribute("href", re.compile(r"^monitoring/jobs/\?tag=\d+$"))
    row.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Remove this tag from all jobs?")).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No tag fits to this text.")).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert tab.faults == []


def test_a_token_is_shown_once_and_revoked_and_times_are_shown_in_the_chosen_zone(open_tab: OpenTab) -> None:
    tab = open_tab("/config", timezone_id="Asia/Tokyo")
    page = tab.page
    page.get_by_label("Purpose").fill(NAME)
    page.get_by_role("button", name="Issue a token").click()
    token = page.get_by_label("The new token").input_value()
    assert token.count(".") == 2
    row = page.get_by_role("listitem").filter(has_text=NAME)
    expect(row).to_contain_text("issued")
    now = page.locator("fieldset time")
    local = now.get_attribute("title") or ""
    page.get_by_role("radio", name="In UTC").check()
    expect(now).not_to_have_attribute("title", local)
    with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
        page.get_by_role("radio", name="In the zone of the browser").check()
    expect(now).to_have_attribute("title", local)
    row.get_by_role("button", name="Revoke").click()
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    assert tab.faults == []


def test_an_admin_creates_a_user_gives_a_role_and_deletes_it(open_tab: OpenTab) -> None:
    tab = open_tab("/config")
    page = tab.page
    page.get_by_text("New user").click()
    form = page.get_by_role("form", name="New user")
    form.get_by_label("User name").fill("webber")
    form.get_by_label("Real name").fill(NAME)
    form.get_by_role("button", name="Create user").click()
    expect(form.get_by_role("alert")).to_contain_text("password: required")
    form.get_by_label("Password").fill("a-long-enough-password")
    form.get_by_role("button", name="Create user").click()
    row = page.get_by_role("listitem").filter(has_text="webber")
    expect(row).to_contain_text(NAME)
    row.get_by_label("Add a role: webber").select_option("support")
    expect(row.get_by_role("button", name="Remove support: webber")).to_be_visible()
    row.get_by_role("button", name="Delete webber").click()
    expect(row.get_by_text("Delete webber with all settings and tokens?")).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert page.evaluate("window.hacked") is None
    assert [fault for fault in tab.faults if "400" not in fault] == []  # the refused password
