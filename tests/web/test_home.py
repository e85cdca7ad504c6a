"""The first page: a user's own jobs, and the site for those who see all of it."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.support.builders import start_line, stop_line
from tests.support.waiting import until_blocking
from tests.web.conftest import PASSWORD, WAIT_MS, OpenContext, OpenTab, Tab, WebSite, sign_in

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)


def test_a_user_sees_own_jobs_and_what_went_wrong_without_a_reload(web_site: WebSite, new_context: OpenContext) -> None:
    web_site.up.run("user", "add", "homer", "--role", "user", "--password-stdin", text=f"{PASSWORD}\n".encode())
    tab = Tab(new_context().new_page()).watch()
    page = tab.page
    page.goto("/login")
    sign_in(page, "homer")
    expect(page).to_have_title(re.compile("Overview"))
    expect(page.get_by_text("None of your jobs is running.")).to_be_visible()
    expect(page.get_by_role("heading", name="Clusters")).to_have_count(0)
    expect(page.locator(".stream.live")).to_be_visible()
    tab.mark()
    now = int(time.time())
    web_site.up.publish(start_line(771001, user="homer", project="p", startTime=now - 60))
    until_blocking(lambda: any(job["jobId"] == 771001 for job in web_site.up.jobs("?project=p")), 120, "the job")
    running, wrong = (page.get_by_role("region", name=re.compile(name)) for name in ("Running", "Went wrong"))
    expect(running.get_by_role("link", name="771001")).to_be_visible()
    web_site.up.publish(stop_line(771001, startTime=now - 60, stopTime=now, jobState="failed"))
    expect(wrong.get_by_role("link", name="771001")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^failed 1 0$"))).to_be_visible()
    assert tab.axe() == []
    assert not tab.was_reloaded()
    assert tab.faults == []


def test_an_admin_sees_the_clusters_their_nodes_and_what_was_refused(web_site: WebSite, open_tab: OpenTab) -> None:
    tab = open_tab("/")
    for cluster in ("alex", "fritz"):
        section = tab.page.get_by_role("region", name=cluster)
        expect(section.get_by_text(re.compile(r"\d+ (allocated|mixed|idle)"))).not_to_have_count(0)
    expect(tab.page.get_by_role("region", name="Nodes that need attention")).to_be_visible()
    refused = tab.page.get_by_role("region", name=re.compile("^Refused today"))
    expect(refused).to_be_visible()
    expect(tab.page.locator(".stream.live")).to_be_visible()
    web_site.up.publish(start_line(771002, cluster="nowhere"))
    expect(refused.get_by_role("link", name="unknown_cluster")).to_be_visible()
    failed = tab.page.get_by_role("region", name=re.compile("^Went wrong in the last 24 hours"))
    now = int(time.time())
    web_site.up.publish(start_line(771003, startTime=now - 60))
    web_site.up.publish(stop_line(771003, startTime=now - 60, stopTime=now, jobState="failed"))
    expect(failed.locator("[data-job]", has_text="failed")).not_to_have_count(0)  # others of the demo may be newer
    expect(tab.page.get_by_role("region", name=re.compile("^Running jobs with warnings"))).not_to_have_attribute("aria-busy", "true")
    tab.page.get_by_role("region", name="fritz").get_by_role("link", name=re.compile("jobs$")).click()
    expect(tab.page).to_have_url(re.compile(r"/monitoring/jobs/\?cluster=fritz&state=running$"))
    assert tab.faults == []
