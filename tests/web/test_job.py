"""The page of a job in a real browser, over a demo site."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.waiting import until_blocking
from tests.web.conftest import WAIT_MS, OpenTab, WebSite

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)


def test_plots_and_maps_of_a_job_share_zoom_cursor_and_chosen_nodes(web_site: WebSite, open_tab: OpenTab) -> None:
    until_blocking(lambda: web_site.up.jobs("?cluster=alex&state=completed"), 120, "a job of the demo ends")
    tab = open_tab("/monitoring/jobs/?cluster=alex&sort=-duration&state=completed")
    page = tab.page
    page.locator("[data-job] a[href^='monitoring/job/']").first.click()
    page.get_by_label("Maps").check()
    expect(page).to_have_url(re.compile(r"[?&]maps=1$"))
    plot = page.get_by_role("figure", name=re.compile(r"^(?!Map).* of job \d+: mean .+, largest .+")).first
    chart = page.get_by_role("figure", name=re.compile(r"^Map of .+ of job \d+: .+ over time")).first
    expect(plot.locator("canvas")).to_be_visible()
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas").first).to_be_visible()
    assert tab.axe() == []

    plot.scroll_into_view_if_needed()
    area = plot.locator(".u-over")
    area.drag_to(area, source_position={"x": 40, "y": 60}, target_position={"x": 160, "y": 60})
    expect(page).to_have_url(re.compile(r"[?&]t=[\d.]+-[\d.]+"))
    page.reload()
    page.get_by_role("button", name="Whole duration").click()
    expect(page).not_to_have_url(re.compile(r"[?&]t="))

    page.mouse.move(0, 0)  # a plot that comes below a resting pointer would move the cursor
    chart.scroll_into_view_if_needed()  # only then it is loaded
    expect(chart.locator("canvas").first).to_be_visible()
    chart.focus()
    chart.press("ArrowDown")
    chart.press("Home")
    expect(page.locator("[aria-live=polite]").filter(has_text=re.compile(r"^\S.*, 0 s: "))).to_have_count(1)
    chart.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]host=\w+"))
    chart.press("t")
    table = page.get_by_role("dialog", name="Map of ")
    expect(table.get_by_role("row")).not_to_have_count(1)
    with page.expect_download() as saved:
        table.get_by_role("button", name="CSV").click()
    assert saved.value.path().read_text().startswith("time since the start (s),")
    table.get_by_role("button", name="Close").click()
    page.get_by_label("Time axis").select_option("clock")
    expect(page).to_have_url(re.compile(r"[?&]axis=clock"))
    assert tab.faults == []


def test_tags_and_the_note_of_a_job_are_changed_on_its_page(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?state=completed")
    page = tab.page
    page.locator("[data-job] a[href^='monitoring/job/']").first.click()
    card = page.get_by_role("region", name="Tags and note")
    card.get_by_label("Tag to add").fill("no tag")
    card.get_by_role("button", name="Add", exact=True).click()
    expect(card.get_by_role("alert")).to_be_visible()
    card.get_by_label("Tag to add").fill("browser: <b>one</b>")
    card.get_by_role("button", name="Add", exact=True).click()
    expect(card.get_by_role("link", name="browser: <b>one</b>")).to_be_visible()
    card.get_by_role("button", name=re.compile("^(Add a|Edit the) note$")).click()
    card.get_by_label("Note").fill("Node <f0101> was slow.")
    card.get_by_role("button", name="Save the note").click()
    expect(card.get_by_text("Node <f0101> was slow.")).to_be_visible()
    page.reload()
    expect(card.get_by_text("Node <f0101> was slow.")).to_be_visible()
    card.get_by_role("button", name="Remove the tag browser: <b>one</b>").click()
    expect(card.get_by_role("link", name="browser: <b>one</b>")).to_have_count(0)
    statistics = page.get_by_role("region", name="Statistics")
    statistics.get_by_role("button", name="Maximum").click()
    expect(statistics.locator("th[aria-sort=descending]")).to_contain_text("Maximum")
    assert tab.axe() == []
    assert tab.faults == []


def test_the_nodes_of_a_job_are_sorted_by_a_metric_and_saved(web_site: WebSite, open_tab: OpenTab) -> None:
    until_blocking(lambda: web_site.up.jobs("?cluster=alex&state=completed"), 120, "a job of the demo ends")
    tab = open_tab("/monitoring/jobs/?cluster=alex&sort=-duration&state=completed")
    page = tab.page
    page.locator("[data-job] a[href^='monitoring/job/']").first.click()
    page.get_by_text("Statistics of each node").click()
    table = page.get_by_role("region", name="Nodes and metrics")
    expect(table.get_by_role("row").nth(1)).to_be_visible()
    table.get_by_role("button", name="cpu_load").click()
    expect(table.locator("th[aria-sort=descending]")).to_contain_text("cpu_load")
    card = page.get_by_role("group").filter(has=table)
    with page.expect_download() as saved:
        card.get_by_role("button", name="CSV").click()
    assert saved.value.path().read_text().startswith("node,part,")
    assert tab.axe() == []
    card.get_by_label("Scope").select_option("accelerator")
    expect(table.get_by_role("columnheader", name="Part").or_(card.get_by_role("status"))).to_be_visible()
    assert tab.faults == []
