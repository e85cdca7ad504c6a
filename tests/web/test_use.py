"""Users, projects and reports: from a table to a name, and from a report to its jobs."""

import csv
import json
import re

import pytest
from playwright.sync_api import expect

from tests.support.builders import start_line, stop_line
from tests.support.waiting import until_blocking
from tests.web.conftest import WAIT_MS, OpenTab, WebSite

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)


def test_users_are_sorted_by_the_server_and_saved_and_lead_to_their_jobs(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/users/")
    page = tab.page
    rows = page.locator("[data-group]")
    expect(rows.first).to_be_visible()
    page.get_by_role("button", name="Core hours").first.click()
    expect(page).to_have_url(re.compile(r"\?sort=coreHours$"))
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Core hours")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    table = list(csv.reader(download.value.path().read_text().splitlines()))
    assert table[0][:3] == ["User", "Name", "Jobs"]
    assert len(table) >= 2
    user = rows.first.get_by_role("link").inner_text()
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(user)
    expect(page.locator("[data-job]").first).to_contain_text(user)
    page.get_by_label("Export all jobs of the list").click()
    with page.expect_download() as export:
        page.get_by_role("button", name="NDJSON").click()
    assert {json.loads(line)["user"] for line in export.value.path().read_text().splitlines()} == {user}
    expect(page.get_by_role("img", name=re.compile("Core hours of"))).to_be_visible()
    assert tab.axe() == []
    assert tab.faults == []


def test_a_report_leads_to_the_jobs_of_a_group(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/reports/?by=state")
    page = tab.page
    page.get_by_role("combobox", name="per").select_option("day")
    expect(page).to_have_url(re.compile(r"\?by=state&bin=day$"))
    expect(page.get_by_role("button", name="Remove started last 30 days")).to_be_visible()
    expect(page.get_by_role("img", name="Core hours per day by state")).to_be_visible()
    page.get_by_role("combobox", name="By", exact=True).select_option("user")
    expect(page).to_have_url(re.compile(r"\?.*by=user"))
    row = page.locator("[data-group]").first
    expect(page.get_by_role("columnheader", name="user")).to_be_visible()
    user = row.get_by_role("link").inner_text()
    row.get_by_role("link").click()
    expect(page).to_have_url(re.compile(rf"/monitoring/jobs/\?.*user={re.escape(user)}&userMatch=eq"))
    expect(page.locator("[data-job]").first).to_contain_text(user)
    assert tab.faults == []


def test_the_page_of_a_user_counts_jobs_by_advice_and_leads_to_them(web_site: WebSite, open_tab: OpenTab) -> None:
    user, number = "advised", 772001
    web_site.up.publish(start_line(number, user=user))
    web_site.up.publish(stop_line(number, jobState="out_of_memory"))

    def is_advised() -> bool:
        jobs = web_site.up.jobs("?state=out_of_memory&items-per-page=1000")
        return any(job["user"] == user and "outofmemory" in {tag["name"] for tag in job.get("tags", ())} for job in jobs)

    until_blocking(is_advised, 120, "the advice of the job")
    tab = open_tab(f"/monitoring/user/{user}")
    page = tab.page
    counts = page.get_by_role("region", name="Jobs by advice")
    expect(counts.get_by_role("listitem").filter(has_text="Out of memory")).to_contain_text("1 job")
    assert tab.axe() == []
    counts.get_by_role("link", name="Out of memory").click()
    expect(page).to_have_url(re.compile(rf"/monitoring/jobs/\?.*user={re.escape(user)}.*tagAll=[0-9]+"))
    expect(page.locator("[data-job]")).to_have_count(1)
    assert tab.faults == []
