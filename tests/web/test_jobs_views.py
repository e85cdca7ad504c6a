"""The views of the job list in a real browser."""

import json
import re

import pytest
from playwright.sync_api import Request, expect

from tests.web.conftest import WAIT_MS, OpenTab

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)

IS_DRAWN = """() => {
    const canvas = document.querySelector("figure canvas")
    return canvas?.width && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value)
}"""


def test_plots_of_the_rows_in_view_come_in_one_request_and_their_metrics_are_chosen(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?cluster=alex&sort=-duration")
    page = tab.page
    asked: list[int] = []
    page.on("request", lambda request: asked.append(jobs_in(request)) if "JobsBands" in (request.post_data or "") else None)
    page.get_by_role("button", name="Plots").click()
    expect(page).to_have_url(re.compile(r"\?cluster=alex&sort=-duration&view=plots$"))
    rows = page.locator("li[data-job]")
    expect(rows.first.get_by_role("figure").first).to_have_attribute("aria-label", re.compile(r" of job \d+: mean .+, largest "))
    assert asked[0] > 1
    page.wait_for_function(IS_DRAWN)
    assert tab.axe() == []
    added = rows.first.get_by_role("figure", name="CPU clock")
    expect(added).to_have_count(0)
    for is_shown in (1, 0):  # the setting is that of all tests
        page.get_by_label("Metrics").click()
        with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
            page.get_by_role("checkbox", name="CPU clock").click()
        page.keyboard.press("Escape")
        expect(added).to_have_count(is_shown)
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.axe() == []
    page.get_by_role("button", name="Cards").click()
    expect(page).to_have_url(re.compile(r"\?cluster=alex&sort=-duration$"))
    expect(page.get_by_role("figure")).to_have_count(0)
    assert tab.faults == []


def test_a_job_is_previewed_below_the_list_and_the_keyboard_goes_along_the_rows(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?sort=jobId")
    page = tab.page
    rows = page.locator("tr[data-job]")
    preview = page.get_by_role("complementary", name="Preview of the job")
    expect(rows.nth(1)).to_be_visible()
    numbers = [row.locator("a[href^='monitoring/job/']").inner_text() for row in (rows.first, rows.nth(1))]
    page.keyboard.press("j")
    expect(rows.first).to_be_focused()
    page.keyboard.press("Space")
    expect(preview.get_by_role("heading")).to_contain_text(numbers[0])
    expect(preview.get_by_role("figure").first).to_have_attribute("aria-label", re.compile(rf" of job {numbers[0]}: "))
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    expect(preview.get_by_role("heading")).to_contain_text(numbers[1])
    assert tab.axe() == []
    page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    page.get_by_role("button", name="Preview").click()
    expect(preview.get_by_role("heading")).to_contain_text(numbers[1])
    preview.get_by_role("button", name="Close the preview").click()
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(numbers[1])
    page.go_back()
    expect(rows.first).to_be_visible()
    assert tab.faults == []


def jobs_in(request: Request) -> int:
    return len(json.loads(request.post_data or "")["variables"]["ids"])
