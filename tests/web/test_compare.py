"""The page that compares jobs."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.builders import start_line, stop_line
from tests.support.waiting import until_blocking
from tests.web.conftest import WAIT_MS, OpenTab, WebSite

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)

NAME = """<img src=x onerror="window.hacked=1"> 🦊 \u202eabc"""
SCRIPT = "#!/bin/bash\n" + "echo <b>line</b>\n" * 600


def test_jobs_are_added_by_number_ordered_and_compared_as_text(web_site: WebSite, open_tab: OpenTab) -> None:
    numbers = (771001, 771002)
    for number, script in zip(numbers, (SCRIPT, f"{SCRIPT}srun </pre><script>hacked=1</script>\n"), strict=True):
        meta = {"jobName": NAME, "jobScript": script}
        web_site.up.publish(start_line(number, user="comparer", project="p", walltime=number, metaData=meta))
        web_site.up.publish(stop_line(number))
    until_blocking(lambda: set(numbers) <= {job["jobId"] for job in web_site.up.jobs("?items-per-page=10000")}, 60, "both jobs")
    tab = open_tab("/monitoring/compare/")
    page = tab.page
    expect(page.get_by_text("Add jobs by their numbers")).to_be_visible()
    tab.mark()
    for number in numbers:
        page.get_by_label("Job number").fill(str(number))
        page.get_by_role("button", name="Add").click()
        expect(page.locator("[data-job]", has_text=str(number))).to_contain_text(NAME)
    page.get_by_label("Job number").fill("9999999")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_have_text("There is no job 9999999, or it is not yours to see.")
    expect(page.get_by_text("598 equal lines")).to_be_visible()
    expect(page.locator("pre .added")).to_contain_text("</pre><script>hacked=1</script>")
    page.get_by_role("checkbox", name="Only rows that differ").check()
    table = page.get_by_role("region", name="Differences")
    expect(table.get_by_role("row", name="Time limit")).to_be_visible()
    expect(table.get_by_role("row", name="User")).to_have_count(0)
    page.get_by_role("button", name="Make baseline: 771002").click()
    expect(page).to_have_url(re.compile(r"/monitoring/compare/\?job=\d+&job=\d+&rows=different$"))
    expect(page.locator("[data-job]").first).to_contain_text("771002")
    expect(page.locator("pre .removed")).to_contain_text("srun")
    assert tab.axe() == []
    page.get_by_role("button", name="Remove 771002").click()
    expect(page.get_by_text("Add a second job")).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert not tab.was_reloaded()
    assert tab.faults == []


# Texts that reach beyond the right edge of their canvas.
_CUT = """window.cut = []; window.drawn = []
const fillText = CanvasRenderingContext2D.prototype.fillText
CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
  const { e, a } = this.getTransform()
  drawn.push(String(text))
  if (this.textAlign === 'center' && a * (x + this.measureText(text).width / 2) + e > this.canvas.width) cut.push(String(text))
  return fillText.call(this, text, x, ...rest)
}"""


def test_the_time_at_the_right_edge_of_a_plot_is_whole(web_site: WebSite, open_tab: OpenTab) -> None:
    jobs = web_site.up.jobs("?cluster=alex&items-per-page=200")
    first, second, *_ = (job["id"] for job in sorted(jobs, key=lambda job: -int(job["duration"])))
    tab = open_tab("about:blank", viewport={"width": 360, "height": 800})
    tab.page.add_init_script(_CUT)
    tab.page.goto(f"{web_site.url}/monitoring/compare/?job={first}&job={second}&axis=share")
    until_blocking(lambda: tab.page.evaluate("drawn.includes('100 %')"), 120, "the end of the axis")
    assert tab.page.evaluate("cut") == []
    assert tab.faults == []
