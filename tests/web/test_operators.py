"""What operators do in the browser."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from shared.broker.connection import dial
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobArchivingFailed
from shared.domain.values import ARCHIVED
from shared.settings import NatsSettings
from tests.support.builders import line, start_line, start_payload
from tests.support.clusters import cluster_text
from tests.support.programs import run_blocking
from tests.support.waiting import until_blocking
from tests.web.conftest import WAIT_MS, OpenContext, OpenTab, Tab, WebSite

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=WAIT_MS)

USER = "<b>'q'"


def test_a_rejection_is_mended_and_replayed_and_its_job_appears(
    web_site: WebSite, open_tab: OpenTab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    jobs = open_tab("/monitoring/jobs/?cluster=fresh")
    expect(jobs.page.get_by_text("No job matches these filters.")).to_be_visible()
    expect(jobs.page.locator(".stream.live")).to_be_visible()
    jobs.mark()
    inbox = open_tab("/monitoring/rejections/")
    page = inbox.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Rejections")
    expect(page.locator(".stream.live")).to_be_visible()
    inbox.mark()
    broken = line(start_payload(880_010, "fresh", ["f0101"]) | {"startTime": "soon"}, function="start_job")
    web_site.up.publish(*(start_line(880_001 + number, "fresh", ["f0101"], user=USER) for number in range(3)), broken)
    page.get_by_role("button", name=re.compile("^[1234] new$")).click()
    group = page.locator("tr[data-group=unknown_cluster]").filter(has_text="fresh")
    expect(group).to_contain_text("The cluster is not configured")
    group.get_by_role("link", name="unknown_cluster").click()
    expect(page).to_have_url(re.compile(r"\?code=unknown_cluster&cluster=fresh$"))
    refused = page.locator("[data-rejection]").first
    expect(refused).to_contain_text("'fresh' is not configured")
    refused.get_by_role("button").click()
    expect(page.locator("mark")).to_have_text('"cluster":"fresh"')
    expect(refused).to_contain_text("jobtide cluster add")
    expect(refused.locator("pre").first).to_contain_text(USER)
    assert inbox.axe() == []
    folder = tmp_path_factory.mktemp("fresh")
    definition = folder / "cluster.json"
    definition.write_bytes(cluster_text("fritz").replace(b'"fritz"', b'"fresh"', 1))
    web_site.up.run("cluster", "add", definition)
    page.get_by_role("button", name="Replay all of unknown_cluster, fresh").click()
    dialog = page.get_by_role("dialog", name="Replay")
    expect(dialog).to_contain_text("3 refused lines with the code unknown_cluster, cluster fresh")
    assert inbox.axe() == []
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog).to_contain_text("3 took effect")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()
    jobs.page.get_by_role("button", name="3 new").click()
    expect(jobs.page.locator("tr[data-job]")).to_have_count(3)
    assert not jobs.was_reloaded()
    assert not inbox.was_reloaded()
    assert jobs.faults == inbox.faults == []
    page.goto("/monitoring/rejections/?code=invalid_value&cluster=fresh")
    group = page.locator("tr[data-group=invalid_value]").filter(has_text="fresh")
    expect(group).to_be_visible()
    expect(group.get_by_role("button", name="Dismiss all of invalid_value, fresh")).to_be_visible()
    expect(group.get_by_role("button", name="Replay all")).to_have_count(0)
    page.locator("[data-rejection]").get_by_role("button").click()
    expect(page.locator("[data-rejection]")).to_contain_text("would be refused again")
    expect(page.locator("[data-rejection]").get_by_role("button", name="Dismiss")).to_be_visible()
    assert inbox.axe() == []
    group.get_by_role("button", name="Dismiss all of invalid_value, fresh").click()
    group.get_by_role("group", name="Take one rejection off the list").get_by_role("button", name="Dismiss all").click()
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()
    assert inbox.faults == []


def test_the_pipeline_is_quiet_and_says_when_the_gateway_is_away(open_tab: OpenTab) -> None:
    tab = open_tab("/monitoring/pipeline/")
    page = tab.page
    events = page.locator("tr[data-stream=EVENTS]")
    expect(events).to_contain_text("events of jobs")
    expect(events).to_contain_text(re.compile(r"Keeps [\d.,]+ [kMG]?B, .* The oldest message is \d+ (s|min|h) old"))
    expect(page.locator("tr[data-stream=METRICS]")).to_contain_text(re.compile(r"of [\d.]+ [MG]B \([a-z0-9 ]+ %\)"))
    expect(page.locator(".verdict")).to_be_visible()
    for service in ("ingest", "jobstore", "archiver", "gateway", "metricstore"):
        expect(page.locator(f"tr[data-service={service}]").get_by_text("ready", exact=True)).to_be_visible()
    for cluster in ("fritz", "alex"):
        expect(page.locator(f"tr[data-cluster={cluster}]")).to_contain_text(re.compile(r"\d+ (s|min|h) ago\s*\d+ (s|min|h) ago"))
    expect(page.locator("[data-live] dd")).to_have_text(re.compile("^[1-9][0-9]*$"))  # this browser follows
    assert tab.axe() == []
    assert tab.faults == []
    tab.mark()
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.locator("tr[data-stream=EVENTS]")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_be_hidden()
    assert not tab.was_reloaded()


def test_failed_archiving_is_shown_with_its_reason_and_tried_again(web_site: WebSite, open_tab: OpenTab) -> None:
    def archived() -> list[dict[str, Any]]:
        return [job for job in web_site.up.jobs("?state=completed&items-per-page=100") if job["monitoringStatus"] == ARCHIVED][-2:]

    until_blocking(lambda: len(archived()) == 2, 300, "archived jobs of the demo")
    one, other = archived()
    run_blocking(_fail(web_site.up.nats, [one, other]))
    tab = open_tab("/monitoring/pipeline/")
    page = tab.page
    first, second = (page.locator(f"tr[data-failure='{job['jobId']}']") for job in (one, other))
    expect(first).to_contain_text("<b>the disk</b> is full")
    expect(page.locator(".verdict")).to_contain_text(re.compile(r"\d+ jobs have no archive entry"))
    assert tab.axe() == []
    tab.mark()
    first.get_by_role("button", name=f"Archive again: job {one['jobId']}").click()
    expect(first).to_have_count(0)
    expect(second).to_be_visible()
    page.get_by_role("button", name=re.compile(r"^Archive (it|these \d+) again$")).click()
    expect(second).to_have_count(0)

    def statuses() -> set[int]:
        return {web_site.up.get(f"/api/jobs/{job['id']}")[1]["Meta"]["monitoringStatus"] for job in (one, other)}

    until_blocking(lambda: statuses() == {ARCHIVED}, 300, "both archived again")
    assert not tab.was_reloaded()
    assert tab.faults == []


async def _fail(nats: NatsSettings, jobs: list[dict[str, Any]]) -> None:
    client, now = await dial(nats, "test"), datetime.now(UTC)
    try:
        events = [JobArchivingFailed(id=job["id"], cluster=job["cluster"], reason="<b>the disk</b> is full", attempts=3) for job in jobs]
        await Publisher(client, nats.prefix).publish([Envelope(one, f"failed:{one.id}", "/tests", now) for one in events], deadline_s=60)
    finally:
        await client.close()


def test_the_log_says_when_there_is_no_journal_and_searches_it_otherwise(open_tab: OpenTab) -> None:
    page = open_tab("/monitoring/logs?level=3").page
    expect(page.get_by_role("heading", level=1)).to_have_text("Log")
    expect(page.get_by_label("Level")).to_have_value("3")
    answer = page.get_by_role("alert").or_(page.get_by_text("No entry matches.")).or_(page.get_by_role("table"))
    expect(answer).to_be_visible()
    page.get_by_role("searchbox").fill("job 17")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?level=3&search=job\+17$"))
    expect(answer).to_be_visible()


def test_a_wall_screen_by_link_needs_no_sign_in_and_ends_when_the_link_is_revoked(open_tab: OpenTab, new_context: OpenContext) -> None:
    admin = open_tab("/config")
    page = admin.page
    form = page.get_by_role("region", name="Wall screens")
    form.get_by_label("Cluster").select_option("alex")
    form.get_by_label("Place of the screen").fill("<b>hall</b>")
    form.get_by_role("button", name="Create a link").click()
    link = form.get_by_label("The new link").input_value()
    tokens = page.get_by_role("list", name="Tokens of users and programs")
    expect(tokens.get_by_role("listitem").filter(has_text="<b>hall</b>")).to_contain_text("wall screen of alex")
    assert admin.axe() == []
    screen = Tab(new_context().new_page()).watch()  # without cookies
    screen.page.goto(link)
    expect(screen.page.get_by_role("heading", level=1)).to_have_text("alex")
    expect(screen.page.get_by_text("Nodes in use")).to_be_visible()
    expect(screen.page.get_by_role("heading", name="States of the nodes")).to_be_visible()
    expect(screen.page.get_by_role("listitem").filter(has_text="idle")).to_have_count(1)
    expect(screen.page.get_by_role("navigation")).to_have_count(0)
    assert screen.page.context.cookies() == []
    assert screen.axe() == []
    assert screen.faults == []
    tokens.get_by_role("button", name="Revoke <b>hall</b>").click()
    tokens.get_by_role("group", name="The screen will show no more numbers.").get_by_role("button", name="Revoke").click()
    expect(tokens.get_by_text("<b>hall</b>")).to_have_count(0)
    expect(screen.page.get_by_text("This link has expired or was revoked.")).to_be_visible()
    expect(screen.page.get_by_text("Nodes in use")).to_have_count(0)
    expect(screen.page.get_by_role("dialog")).to_have_count(0)
    assert admin.faults == []
