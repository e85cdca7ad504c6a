"""The pages in a real browser, over a demo site."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.builders import start_line, stop_line
from tests.support.built_pages import first_view_bytes
from tests.support.waiting import until_blocking
from tests.web.conftest import PASSWORD, WAIT_MS, OpenContext, OpenTab, Tab, WebSite, sign_in

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)

NAME = """<img src=x onerror="window.hacked=1"> 'q' "q" & 🦊 \u202eabc"""
# Beside the job list; a new page is added here.
PAGES = (
    "",
    "monitoring/users/",
    "monitoring/projects/",
    "monitoring/reports/",
    "monitoring/analysis/alex",
    "monitoring/job/{job}",
    "monitoring/compare/?job={job}",
    "monitoring/tags/",
    "config",
    "monitoring/nothing",
    "monitoring/pipeline/",
    "monitoring/rejections/",
    "monitoring/systems/",
    "monitoring/systems/alex?by=cpu_load",
    "monitoring/systems/list/alex",
    "monitoring/node/alex/a0121",
    "monitoring/status/alex",
    "monitoring/dashboard/alex",
)
# Words of up to 30 letters that stand on more than one line.
_BROKEN_WORDS = """() => [...document.querySelectorAll('td, th, dd, dt, h1, h2, h3, p, a, button, span, bdi')].flatMap((part) =>
  [...part.childNodes].filter((node) => node.nodeType === 3).flatMap((node) =>
    [...node.data.matchAll(/[\\p{L}\\p{N}_]{2,30}/gu)].filter(({ index, 0: word }) => {
      const range = document.createRange()
      range.setStart(node, index)
      range.setEnd(node, index + word.length)
      return new Set([...range.getClientRects()].filter(({ width }) => width > 0).map(({ top }) => Math.round(top))).size > 1
    }).map(([word]) => word)))"""
SCRIPT_BYTES, STYLE_BYTES = 60_000, 10_000


def test_a_sign_in_leads_to_the_list_that_was_asked_for(new_context: OpenContext) -> None:
    tab = Tab(new_context().new_page()).watch()
    tab.page.goto("/monitoring/jobs/?state=running&state=completed")
    expect(tab.page).to_have_title("jobtide: sign in")
    sign_in(tab.page)
    expect(tab.page).to_have_url(re.compile(r"/monitoring/jobs/\?state=running&state=completed$"))
    expect(tab.page.locator("[data-job]").first).to_be_visible()
    expect(tab.page.locator(".stream")).to_have_text("live")
    assert tab.faults == []


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_accessible_and_without_errors(open_tab: OpenTab, theme: str, width: int) -> None:
    tab = open_tab("/monitoring/jobs/", color_scheme=theme, viewport={"width": width, "height": 800})
    expect(tab.page.locator("[data-job]").first).to_be_visible()
    expect(tab.page.locator(".stream.live")).to_be_visible()
    found = {"list": tab.axe()}
    job = tab.page.locator("[data-job]").first.get_attribute("data-job")
    for page in PAGES:
        path = page.format(job=job)
        tab.page.goto(f"/{path}")
        expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
        expect(tab.page.locator("[aria-busy=true]")).to_have_count(0)
        found[path] = tab.axe()
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert tab.page.evaluate(_BROKEN_WORDS) == [], path
    assert {name: faults for name, faults in found.items() if faults} == {}
    assert tab.faults == []


def test_a_bar_that_has_no_room_for_all_pages_says_that_there_are_more(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/tags/", viewport={"width": 360, "height": 800})
    page = tab.page
    bar = page.get_by_role("navigation", name="Pages")
    expect(bar.get_by_role("link", name="Tags")).to_be_in_viewport(ratio=0.9)  # scrolled to the page that is shown
    sign = "(bar) => Number(getComputedStyle(bar.querySelector('ul'), '::after').opacity)"
    until_blocking(lambda: bar.evaluate(sign) == 1, 60, "the sign")
    bar.evaluate("(bar) => bar.scrollTo({ left: bar.scrollWidth, behavior: 'instant' })")
    until_blocking(lambda: bar.evaluate(sign) == 0, 60, "no sign at the end")
    page.set_viewport_size({"width": 1440, "height": 800})
    until_blocking(lambda: bar.evaluate(sign) == 0, 60, "no sign where all pages have room")
    assert tab.faults == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_that_the_gateway_writes_are_accessible(new_context: OpenContext, theme: str) -> None:
    for width in (1440, 360):
        tab = Tab(new_context(color_scheme=theme, viewport={"width": width, "height": 800}).new_page())
        for path in ("/login", "/nothing/here"):
            tab.page.goto(path)
            expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
            assert tab.axe() == [], (path, width)
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_somebody_with_the_name_of_a_scope_sees_every_page_and_one_that_fails_says_so(new_context: OpenContext, web_site: WebSite) -> None:
    tab = Tab(new_context().new_page()).watch()
    page = tab.page
    page.goto("/monitoring/jobs/")
    sign_in(page, "admin", (web_site.up.data / "demo-password").read_text().strip())
    page.locator("[data-job] a[href^='monitoring/job/']").first.click()
    expect(page.get_by_role("region", name="Tags and note").locator("select option")).to_have_text(["global", "admin"])
    page.get_by_role("link", name="Tags", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Tags")).to_be_visible()
    assert tab.faults == []

    tag = {"id": "1", "type": "t", "name": "n", "scope": "global"}
    page.route("**/query", lambda route: route.fulfill(json={"data": {"tags": [tag, tag]}}))
    page.reload()
    expect(page.get_by_role("alert").filter(has_text="This page failed")).to_be_visible()
    page.unroute("**/query")
    page.get_by_role("link", name="Nodes", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Clusters")).to_be_visible()


def test_a_job_opens_and_back_returns_to_the_list(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?rows=25&sort=jobId")
    link = tab.page.locator("[data-job] a[href^='monitoring/job/']").first
    number = link.inner_text()
    tab.mark()
    link.click()
    expect(tab.page.get_by_role("heading", level=1)).to_contain_text(number)
    expect(tab.page).to_have_title(re.compile(number))
    expect(tab.page.get_by_role("heading", name="Statistics")).to_be_visible()
    tab.page.go_back()
    expect(tab.page).to_have_url(re.compile(r"\?rows=25&sort=jobId$"))
    expect(tab.page.locator("[data-job]").first).to_contain_text(number)
    assert not tab.was_reloaded()
    assert tab.faults == []


def test_order_filters_and_columns_are_in_the_address_or_stay_with_the_user(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/")
    page = tab.page
    expect(page.locator("[data-job]").first).to_be_visible()
    page.get_by_role("button", name="Nodes").click()
    expect(page).to_have_url(re.compile(r"\?sort=-numNodes$"))
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Nodes")
    page.get_by_role("searchbox").fill("cluster:fritz <9d")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"cluster=fritz&duration=lessthan-777600&sort=-numNodes$"))
    page.get_by_role("button", name="Remove cluster fritz").click()
    expect(page).to_have_url(re.compile(r"\?duration=lessthan-777600&sort=-numNodes$"))
    page.get_by_label("Columns").click()
    with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
        page.get_by_role("checkbox", name="Limit").check()
    expect(page.get_by_role("columnheader", name="Limit")).to_be_visible()
    page.reload()
    expect(page.get_by_role("columnheader", name="Limit")).to_be_visible()
    assert tab.faults == []


def test_a_job_appears_and_ends_on_the_screen_without_a_reload(web_site: WebSite, open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/jobs/?user=webtester&userMatch=eq")
    expect(tab.page.get_by_text("No job matches these filters.")).to_be_visible()
    expect(tab.page.locator(".stream.live")).to_be_visible()
    tab.mark()
    web_site.up.publish(start_line(770001, user="webtester", project="p", metaData={"jobName": NAME}))
    tab.page.get_by_role("button", name="1 new").click()
    row = tab.page.locator("tr[data-job]")
    expect(row).to_contain_text("running")
    web_site.up.publish(stop_line(770001))
    expect(row).to_contain_text("completed")
    row.get_by_role("link", name="770001").click()
    expect(tab.page.get_by_role("heading", level=1)).to_contain_text(NAME)
    assert not tab.was_reloaded()
    assert tab.page.evaluate("window.hacked") is None
    assert tab.faults == []


def test_seven_tabs_share_one_stream_and_all_load(web_site: WebSite, open_tab: OpenTab) -> None:
    until_blocking(lambda: web_site.live_clients() == 0, 30, "streams of earlier tests end")
    first = open_tab("/monitoring/jobs/?rows=25")
    tabs = [first, *(Tab(first.page.context.new_page()).watch() for _ in range(6))]
    for tab in tabs[1:]:
        tab.page.goto("/monitoring/jobs/?rows=25")
    for tab in tabs:
        expect(tab.page.locator("[data-job]").first).to_be_visible()
        expect(tab.page.locator(".stream.live")).to_be_visible()
        assert tab.faults == []
    assert web_site.live_clients() == 1


def test_after_the_end_of_a_session_the_page_stays_and_asks_to_sign_in(new_context: OpenContext) -> None:
    tab = Tab(new_context().new_page())
    page = tab.page
    page.goto("/login?redirect=/monitoring/jobs/")
    sign_in(page)
    expect(page.locator("[data-job]").first).to_be_visible()
    tab.mark()
    page.evaluate("fetch('logout', {method: 'POST', headers: {Accept: 'application/json'}})")
    page.get_by_role("button", name="Nodes").click()
    dialog = page.get_by_role("dialog", name="Your sign-in has ended")
    expect(dialog).to_be_visible()
    expect(page.locator("[data-job]").first).to_be_visible()
    dialog.get_by_label("Password").fill("wrong")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Nodes")
    expect(page.locator(".stream.live")).to_be_visible()
    assert not tab.was_reloaded()


def test_graphiql_answers_a_query(open_tab: OpenTab) -> None:
    tab = open_tab("/playground/")
    tab.page.get_by_role("button", name=re.compile("Execute query")).click()
    expect(tab.page.locator(".result-window")).to_contain_text('"startTime"')
    assert tab.faults == []


def test_the_theme_is_remembered(open_tab: OpenTab) -> None:
    page = open_tab("/monitoring/nothing", color_scheme="light").page
    for choice, scheme in (("Dark", "dark"), ("Same as system", "light dark")):
        page.get_by_label("Theme").click()
        with page.expect_response(lambda answer: "/frontend/configuration/" in answer.url):
            page.get_by_role("button", name=choice).click()
        page.reload()
        expect(page.locator(":root")).to_have_css("color-scheme", scheme)


def test_the_first_view_of_the_list_is_small() -> None:
    scripts, styles = first_view_bytes("src/pages/jobs/JobsPage.svelte")
    assert scripts <= SCRIPT_BYTES
    assert styles <= STYLE_BYTES
