"""The analysis of many jobs in a real browser: from a value to its jobs."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import PASSWORD, WAIT_MS, OpenContext, OpenTab, Tab, WebSite, sign_in

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)


def test_charts_over_many_jobs_lead_to_the_jobs_behind_them(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/analysis/")
    page = tab.page
    expect(page).to_have_url(re.compile(r"/monitoring/analysis/alex$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Analysis of alex")
    expect(page.get_by_role("button", name="Remove started last 30 days")).to_be_visible()
    expect(page.locator("tr[data-group]").first).to_be_visible()
    page.get_by_role("heading", name="Duration").scroll_into_view_if_needed()  # charts are loaded near the view
    expect(page.get_by_role("figure", name="node hours by Duration")).to_be_visible()
    page.get_by_label("Weigh by").select_option("jobs")
    expect(page).to_have_url(re.compile(r"alex\?weight=jobs$"))
    durations = page.get_by_role("figure", name="jobs by Duration")
    expect(durations).to_be_visible()
    durations.focus()
    page.keyboard.press("End")  # short jobs come and go meanwhile
    spoken = page.locator("p[aria-live]").filter(has_text=re.compile(r"^Duration .*: \d+ jobs?$"))
    expect(spoken).to_be_attached()
    found = re.search(r"(\d+) jobs?$", spoken.inner_text())
    assert found is not None
    page.keyboard.press("t")
    dialog = page.get_by_role("dialog", name="jobs by Duration")
    expect(dialog.get_by_role("link").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    durations.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/monitoring/jobs/\?cluster=alex&duration=[\d.]+-[\d.]+&startTime=last30d$"))
    expect(page.locator("[data-job]").first).to_be_visible()
    about = range(max(0, int(found[1]) - 10), int(found[1]) + 11)
    expect(page.locator(".count")).to_have_text(re.compile(rf"^({'|'.join(f'{number:,}' for number in about)}) in total"))
    page.go_back()
    page.get_by_role("button", name="Remove started last 30 days").click()
    expect(page).to_have_url(re.compile(r"alex\?startTime=0-0&weight=jobs$"))
    page.get_by_label("Across").select_option("duration")
    expect(page).to_have_url(re.compile(r"across=duration"))
    expect(page.get_by_role("figure", name=re.compile("^jobs by Duration and "))).to_be_visible()
    assert tab.faults == []


def test_people_see_the_analysis_of_their_own_jobs(web_site: WebSite, new_context: OpenContext) -> None:
    web_site.up.run("user", "add", "nobodys", "--role", "user", "--password-stdin", text=f"{PASSWORD}\n".encode())
    tab = Tab(new_context().new_page()).watch()
    tab.page.goto("/monitoring/jobs/")
    sign_in(tab.page, "nobodys")
    tab.page.get_by_role("link", name="Analysis").click()
    expect(tab.page.get_by_text("No job matches these filters.")).to_be_visible()
    assert tab.faults == []
