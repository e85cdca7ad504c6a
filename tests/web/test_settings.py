"""Tags, personal settings and administration."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import PASSWORD, WAIT_MS, OpenContext, OpenTab, Tab, WebSite, sign_in

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
    expect(page.get_by_text("No tag matches.")).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert tab.faults == []


def test_a_token_is_shown_once_and_revoked_and_times_are_shown_in_the_chosen_zone(open_tab: OpenTab) -> None:
    tab = open_tab("/config", timezone_id="Asia/Tokyo")
    page = tab.page
    own = page.get_by_role("region", name="API tokens")
    own.get_by_label("Purpose").fill(NAME)
    own.get_by_role("button", name="Issue a token").click()
    token = own.get_by_label("The new token").input_value()
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


def test_the_rules_in_use_are_shown_with_their_parameters_and_jobs(open_tab: OpenTab) -> None:
    tab = open_tab("/config")
    card = tab.page.get_by_role("region", name="Advice and applications")
    expect(card).to_contain_text(re.compile(r"\d+ rules are in use, 0 of them are rules of this site."))
    line = card.get_by_role("listitem").filter(has_text="lowload")
    line.get_by_text("Low CPU load").click()
    expect(line).to_contain_text("low-load.toml (shipped)")
    expect(line).to_contain_text(re.compile(r"min_duration_s = \d+"))
    assert tab.axe() == []
    card.get_by_role("link", name=re.compile(r"\d jobs?$")).first.click()
    expect(tab.page).to_have_url(re.compile(r"/monitoring/jobs/\?tag=\d+$"))
    expect(tab.page.locator("[data-job]").first).to_be_visible()
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


def test_a_user_changes_the_password_and_an_admin_sets_it_and_issues_a_token_for_a_program(
    web_site: WebSite, new_context: OpenContext, open_tab: OpenTab
) -> None:
    web_site.up.run("user", "add", "wendy", "--role", "user", "--password-stdin", text=f"{PASSWORD}\n".encode())
    tab = Tab(new_context().new_page())
    page = tab.page
    page.goto("/login?redirect=/config")
    sign_in(page, "wendy")
    card = page.get_by_role("region", name="Password")
    for field, text in (
        ("Present password", "wrong-password"),
        ("New password", "another-password"),
        ("New password again", "another-passw0rd"),
    ):
        card.get_by_label(field, exact=True).fill(text)
    card.get_by_role("button", name="Change the password").click()
    expect(card.get_by_role("alert")).to_have_text("The two new passwords differ.")
    card.get_by_label("New password again").fill("another-password")
    card.get_by_role("button", name="Change the password").click()
    expect(card.get_by_role("alert")).to_have_text("current: this is not the present password")
    card.get_by_label("Present password").fill(PASSWORD)
    card.get_by_role("button", name="Change the password").click()
    expect(card.get_by_role("status")).to_have_text("The password is changed.")
    expect(page.get_by_role("heading", name="Users")).to_have_count(0)
    lists = page.get_by_role("region", name="Lists and plots")
    with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
        lists.get_by_label("Rows of a job list").select_option("25")
    with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
        lists.get_by_label("Height of the plots of a job").select_option("320")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--plot-height')") == "320px"
    page.goto("/monitoring/jobs/")  # with the new session
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")

    admin = open_tab("/config")
    rows = admin.page.get_by_role("list", name="Users").get_by_role("listitem").filter(has_text="wendy")
    rows.get_by_role("button", name="Set a password: wendy").click()
    rows.get_by_label("New password: wendy").fill("the-third-password")
    rows.get_by_role("button", name="Set a password").click()
    expect(rows.get_by_text("The password is set.")).to_be_visible()
    page.goto("/monitoring/jobs/")
    expect(page).to_have_title("jobtide: sign in")  # that session ended

    form = admin.page.get_by_role("form", name="Issue a token for this user")
    form.get_by_label("User name").fill("wendy")
    form.get_by_label("Purpose").fill(NAME)
    form.get_by_label("For a program").check()
    form.get_by_role("button", name="Issue a token").click()
    tokens = admin.page.get_by_role("region", name="Tokens of users and programs")
    expect(tokens.get_by_label("The new token")).to_be_visible()
    line = tokens.get_by_role("listitem").filter(has_text="wendy")
    expect(line).to_contain_text("program")
    expect(line).to_contain_text("by chief")
    assert admin.axe() == []
    line.get_by_role("button", name=f"Revoke {NAME}").click()
    line.get_by_role("button", name="Revoke", exact=True).click()
    expect(line).to_have_count(0)
    assert admin.page.evaluate("window.hacked") is None
    assert admin.faults == []
