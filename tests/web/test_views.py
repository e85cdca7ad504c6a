"""Named views, histograms and check boxes of the job list in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.waiting import until_blocking
from tests.web.conftest import WAIT_MS, OpenTab

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)

NAME = """<b>mine</b> "q" 🦊"""


def test_a_list_is_saved_under_a_name_found_again_renamed_and_deleted(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?cluster=fritz&sort=-duration&page=1")
    page = tab.page
    menu = page.locator("summary[aria-label='Views']")
    menu.click()
    field = page.get_by_label("Save what the list shows as")
    expect(field).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Give a name of 1 to 60 characters.")).to_be_visible()
    field.fill(NAME)
    with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
        page.get_by_role("button", name="Save", exact=True).click()
    box = field.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    view = page.get_by_role("list", name="Views").get_by_role("link", name=NAME)
    expect(view).to_have_attribute("aria-current", "true")
    assert tab.axe() == []

    page.goto("/monitoring/jobs/")
    menu.click()
    view.click()
    expect(page).to_have_url(re.compile(r"/monitoring/jobs/\?cluster=fritz&sort=-duration$"))
    expect(page.locator("summary").filter(has_text=NAME)).to_be_visible()
    expect(view).to_be_hidden()
    page.locator("summary", has_text=NAME).click()
    page.get_by_role("button", name=f"Rename {NAME}").click()
    page.get_by_label(f"New name of {NAME}").fill("theirs")
    page.get_by_role("button", name="Rename", exact=True).click()
    page.get_by_role("button", name="Delete theirs").click()
    with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
        page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("A view is a list with its filters")).to_be_visible()
    assert tab.faults == []


def test_a_bar_of_a_histogram_is_a_filter_and_jobs_are_selected_in_every_view(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?cluster=alex&view=plots")
    page = tab.page
    page.get_by_role("button", name="Histograms").click()
    expect(page).to_have_url(re.compile(r"histograms=1"))
    region = page.get_by_role("region", name="Histograms of the jobs of this list")
    durations = region.get_by_role("figure", name=re.compile("^Duration of "))
    expect(durations).to_be_visible()
    expect(region.get_by_role("figure", name=re.compile("^Nodes of "))).to_be_visible()
    assert tab.axe() == []
    durations.focus()
    durations.press("End")
    chosen = region.locator("figcaption", has_text="Duration")
    expect(chosen).to_contain_text(re.compile(r"– .*: [1-9]\d* jobs?$"))
    jobs = re.search(r": (\d+) jobs?$", chosen.inner_text())
    assert jobs is not None
    durations.press("Enter")
    expect(page).to_have_url(re.compile(r"duration=\d+-\d+"))

    def shown() -> int:
        return int(page.locator(".count").inner_text().split()[0].replace(",", ""))

    # Jobs of the demo start and end meanwhile.
    until_blocking(lambda: abs(shown() - int(jobs[1])) <= 10, 60, "the jobs of the bar")
    page.get_by_role("button", name=re.compile("^Remove duration")).click()
    expect(page).not_to_have_url(re.compile(r"duration="))
    plot = region.get_by_role("figure", name=re.compile("^Nodes of "))
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    assert box is not None
    plot.drag_to(plot, source_position={"x": 2, "y": 40}, target_position={"x": box["width"] - 2, "y": 40})
    expect(page).to_have_url(re.compile(r"numNodes="))

    for view in ("plots", "cards"):
        page.goto(f"/monitoring/jobs/?cluster=alex&rows=25&view={view}&sort=jobId")
        checks = page.get_by_role("checkbox", name=re.compile("Select the job"))
        expect(checks.nth(2)).to_be_visible()
        checks.nth(0).check()
        checks.nth(2).click(modifiers=["Shift"])
        expect(page.get_by_role("region", name="Selected jobs")).to_contain_text("3 jobs selected")
        assert tab.axe() == []
        page.get_by_role("checkbox", name="Select all jobs on this page").check()
        rows = page.locator("[data-job]").count()
        expect(page.get_by_role("region", name="Selected jobs")).to_contain_text(f"{rows} jobs selected")

    search = page.get_by_role("searchbox", name="Search jobs")
    search.fill("ran:soon")
    search.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("“soon” is no time such as last24h")
    search.fill("ran:last24h")
    search.press("Enter")
    expect(page).to_have_url(re.compile(r"overlaps=last24h"))
    expect(page.locator("[data-job]").first).to_be_visible()
    page.get_by_role("button", name="ran last 24 hours").first.click()
    expect(page.get_by_role("dialog", name="Filters").get_by_label("Ran")).to_be_focused()
    assert tab.faults == []
