"""The pages of nodes in a real browser, over a demo site and a cluster of which only the test speaks."""

import re
from collections.abc import Sequence

import pytest
from playwright.sync_api import expect

from tests.support.builders import node_line, start_line
from tests.support.clusters import add_clusters_blocking
from tests.support.nats import publish
from tests.support.programs import run_blocking
from tests.web.conftest import WAIT_MS, OpenTab, WebSite

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)
REPORT_MS = 120_000.0  # from the adapter to the screen, on a busy machine


def report(site: WebSite, **states: str) -> None:
    nats = site.up.nats
    words: dict[str, Sequence[str]] = {host: [state] for host, state in states.items()}
    run_blocking(publish(nats, node_line("slurmlab", words), subject=nats.node_subjects[0]))


@pytest.fixture(scope="module")
def quiet_cluster(web_site: WebSite) -> WebSite:
    """With the cluster slurmlab, whose nodes are idle."""
    add_clusters_blocking(web_site.up.nats, ["slurmlab"])
    report(web_site, node01="idle", node02="idle", node03="idle", node04="idle")
    return web_site


def test_the_grid_follows_nodes_and_jobs_and_has_its_filters_in_the_address(quiet_cluster: WebSite, open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/systems/")
    page = tab.page
    page.get_by_role("link", name="slurmlab", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nodes of slurmlab")
    tile = page.locator("[data-host=node02]")
    expect(tile).to_have_accessible_name("node02 idle", timeout=REPORT_MS)
    expect(page.locator(".stream.live")).to_be_visible()
    tab.mark()
    report(quiet_cluster, node02="mixed")
    expect(tile).to_have_accessible_name("node02 mixed", timeout=REPORT_MS)
    quiet_cluster.up.publish(start_line(780001, "slurmlab", ["node01", "node02"]))
    job = page.get_by_role("complementary").get_by_role("link", name="780001")
    expect(job).to_be_visible(timeout=REPORT_MS)
    job.hover()
    expect(page.locator(".marked")).to_have_count(2)
    page.get_by_role("button", name="mixed").click()
    expect(page).to_have_url(re.compile(r"slurmlab\?state=mixed$"))
    expect(page.locator("[data-host]")).to_have_count(1)
    page.get_by_role("button", name="mixed").click()
    page.get_by_role("searchbox", name="Host name").fill("E04")
    expect(page).to_have_url(re.compile(r"slurmlab\?host=E04$"))
    expect(page.locator("[data-host]")).to_have_count(1)
    page.get_by_role("searchbox", name="Host name").fill("")
    tile.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("complementary").get_by_role("heading", name="node03")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("node03")
    expect(page.get_by_role("img", name=re.compile("^State: idle "))).to_be_visible()
    page.get_by_label("Shown").select_option("1h")
    expect(page).to_have_url(re.compile(r"/monitoring/node/slurmlab/node03\?last=1h$"))
    expect(page.get_by_text("No job ran here in this time.")).to_be_visible()
    page.get_by_role("link", name="Nodes of slurmlab").click()
    page.get_by_role("link", name="Status").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Status of slurmlab")
    expect(page.get_by_role("row", name=re.compile("^cpu 1 "))).to_be_visible()
    expect(page.get_by_role("region", name="Users with the most nodes now").get_by_role("link")).to_have_text("alice")
    page.get_by_role("link", name="Wall screen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("slurmlab")
    expect(page.get_by_text("Running jobs")).to_be_visible()
    expect(page.get_by_role("banner").get_by_role("navigation")).to_have_count(0)
    assert not tab.was_reloaded()
    assert tab.faults == []


def test_the_list_of_nodes_has_sparklines_follows_states_and_has_its_filters_in_the_address(
    quiet_cluster: WebSite, open_tab: OpenTab
) -> None:
    tab = open_tab("/monitoring/systems/alex")
    page = tab.page
    page.get_by_role("link", name="List", exact=True).click()
    expect(page).to_have_url(re.compile(r"/monitoring/systems/list/alex$"))
    expect(page.get_by_role("figure", name=re.compile("^CPU load of a0.*: mean ")).first).to_be_visible()
    page.get_by_role("searchbox", name="Host name").fill("A0121")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/alex\?host=A0121$"))
    expect(page.locator("[data-node]")).to_have_count(1)
    expect(page.locator("[data-node=a0121]")).to_be_visible()
    page.goto("/monitoring/systems/list/slurmlab?rows=10")
    row = page.locator("[data-node=node04]")
    expect(row).to_contain_text("no samples", timeout=REPORT_MS)
    expect(page.locator(".stream.live")).to_be_visible()
    tab.mark()
    report(quiet_cluster, node04="down")
    expect(row).to_contain_text("down", timeout=REPORT_MS)
    page.get_by_label("State").select_option("down")
    expect(page).to_have_url(re.compile(r"slurmlab\?state=down&rows=10$"))
    expect(page.locator("[data-node]")).to_have_count(1)
    report(quiet_cluster, node03="down")
    expect(page.locator("[data-node]")).to_have_count(2, timeout=REPORT_MS)
    assert not tab.was_reloaded()
    assert tab.faults == []
