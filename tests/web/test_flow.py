"""The way of a user through the pages, over the four services on PostgreSQL, with a gateway that is killed on the way."""

import csv
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, async_playwright, expect

from services.gateway.people.identity import AuthSource
from services.gateway.people.users.model import Account
from services.gateway.web import DIST
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.acceptance.deployments import SESSION_KEY
from tests.gateway.accounts import HASH, PASSWORD, store_of
from tests.support.builders import start_line, stop_line
from tests.support.chromium import chromium
from tests.support.databases import query
from tests.support.nats import publish
from tests.support.processes import ServiceProcess, ServiceRunner
from tests.support.programs import MissingPart
from tests.support.stack import Stack
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(420), pytest.mark.slow]

expect.set_options(timeout=60_000)

NAME = """<img src=x onerror="window.hacked=1"> 'q' "q" & 🦊 \u202eabc"""
SCRIPT = "#!/bin/bash\n" + "echo '<script>window.hacked=1</script>' && srun </pre> ./a.out\n" * 170
OOM, BEFORE, OF_OTHERS, WHILE_AWAY = 910_001, 910_002, 910_003, 910_004


async def test_a_user_finds_a_failed_job_and_its_cause_and_the_page_outlives_a_killed_gateway(
    site: NatsSettings, postgres_database: DatabaseSettings, archive_settings: ArchiveSettings, service: ServiceRunner
) -> None:
    if not (DIST / "index.html").is_file():
        pytest.fail("the web interface was not built: .venv/bin/python web/pages.py build", pytrace=False)
    assert len(SCRIPT) > 10_000
    stack = Stack(site, postgres_database, archive_settings, service, variables={"JOBTIDE_AUTH_SESSION_KEY": SESSION_KEY})
    await stack.up()
    async with store_of(postgres_database) as store:
        for name in ("paula", "olaf"):
            await store.add(Account(name, AuthSource.LOCAL, ("user",), password=HASH))
    meta = {"jobName": NAME, "jobScript": SCRIPT}
    await publish(site, *(start_line(job, user="paula", metaData=meta) for job in (OOM, BEFORE)), start_line(OF_OTHERS, user="somebody"))
    await publish(site, stop_line(OOM, jobState="out_of_memory"), stop_line(BEFORE), stop_line(OF_OTHERS))
    advised = "select job_id from job where job_state = 'out_of_memory' and advice like '%outofmemory%'"
    await until(lambda: query(postgres_database, advised), 60, "the advice of the failed job")
    ((hidden,),) = await query(postgres_database, f"select id from job where job_id = {OF_OTHERS}")
    gateway = stack["gateway"]
    address = gateway.addresses["http"]

    async with browser_page(f"http://{address}") as page:
        await page.goto("/monitoring/jobs/")
        await sign_in(page, "paula")
        rows = page.locator("tr[data-job]")
        await expect(rows).to_have_count(2)
        search = page.get_by_role("searchbox", name="Search jobs")
        await search.fill("state:out_of_memory")
        await search.press("Enter")
        await expect(rows).to_have_count(1)
        await rows.get_by_role("link", name=str(OOM)).click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text(NAME)
        await expect(
            page.get_by_role("strong").filter(has_text="The job was ended because it used more memory than it had.")
        ).to_be_visible()
        await expect(page.get_by_text("Request more memory per node")).to_be_visible()
        await page.get_by_text("Job script").first.click()
        await expect(page.locator("pre").filter(has_text="<script>window.hacked=1</script>")).to_have_count(1)

        for path, says in (
            (f"/monitoring/job/{hidden}", "There is no such job, or it is not yours to see."),
            ("/monitoring/pipeline/", "Your roles do not include this page."),
            ("/monitoring/nothing", "There is no page at this address."),
        ):
            await page.goto(path)
            await expect(page.get_by_text(says).first).to_be_visible()
        await page.goto("/no/such/path")
        await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
        await page.get_by_role("link", name="To the overview").click()
        await expect(page).to_have_title(re.compile("^Overview"))

        await page.goto("/monitoring/jobs/")
        for number in (0, 1):
            await page.get_by_role("checkbox", name=re.compile("Select the job")).nth(number).check()
        bar = page.get_by_role("region", name="Selected jobs")
        await bar.get_by_role("button", name="Tag …").click()
        dialog = page.get_by_role("dialog", name="Tag 2 jobs")
        await dialog.get_by_role("combobox").first.select_option("new")
        await dialog.get_by_label("Type").fill("review")
        await dialog.get_by_label("Name").fill(NAME[:30])
        await dialog.get_by_role("button", name="Add to the jobs").click()
        await expect(dialog.get_by_role("status")).to_have_text("Added to 2 jobs.")
        await page.keyboard.press("Escape")
        await bar.get_by_label("Export the selected jobs").click()
        async with page.expect_download() as started:
            await bar.get_by_role("button", name="CSV").click()
        text = (await (await started.value).path()).read_text(encoding="utf-8")
        exported = list(csv.DictReader(text.splitlines()))
        assert {row["jobId"] for row in exported} == {str(OOM), str(BEFORE)}
        assert all(NAME[:30] in row["tags"] for row in exported)
        await bar.get_by_role("link", name="Compare").click()
        table = page.get_by_role("region", name="Differences")
        await expect(table.get_by_role("row", name="State")).to_contain_text("out of memory")

        await page.goto("/monitoring/jobs/")
        await expect(page.locator(".stream.live")).to_be_visible()
        await expect(rows).to_have_count(2)
        await page.evaluate("window.sameDocument = true")
        gateway.kill9()
        await expect(page.locator(".stream.lost")).to_be_visible()
        await publish(site, start_line(WHILE_AWAY, user="paula"))
        await expect(rows).to_have_count(2)
        await revived(stack, service, gateway, address)
        await expect(page.locator(".stream.live")).to_be_visible()
        await expect(page.get_by_role("button", name="1 new").or_(rows.get_by_role("link", name=str(WHILE_AWAY)))).to_be_visible()
        assert await page.evaluate("window.sameDocument === true")

        other = await page.context.new_page()
        await other.goto("/login")
        await sign_in(other, "olaf")
        await expect(other.locator("summary[aria-label=olaf]")).to_be_visible()
        await expect(page.locator("summary[aria-label=olaf]")).to_be_visible()  # the tab of paula has loaded itself again
        await expect(page.get_by_text("No job matches these filters.")).to_be_visible()
        await publish(site, stop_line(WHILE_AWAY), start_line(WHILE_AWAY + 1, user="olaf"))
        await expect(page.get_by_role("button", name="1 new")).to_be_visible()
        assert await page.evaluate("window.hacked") is None


async def sign_in(page: Page, name: str) -> None:
    await page.fill("[name=username]", name)
    await page.fill("[name=password]", "wrong")
    await page.click("button")
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.locator("[name=username]")).to_have_value(name)
    await page.fill("[name=password]", PASSWORD)
    await page.click("button")


@asynccontextmanager
async def browser_page(url: str) -> AsyncIterator[Page]:
    try:
        program = chromium()
    except MissingPart as e:
        pytest.fail(str(e), pytrace=False)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = await browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
        context.set_default_timeout(120_000)
        yield await context.new_page()
        await browser.close()


async def revived(stack: Stack, runner: ServiceRunner, killed: ServiceProcess, address: str) -> None:
    """A gateway at the address of the one that was killed, where browsers look for it."""
    own = runner.prepare("gateway", **dict(killed.variables) | {"JOBTIDE_GATEWAY_HTTP": address})
    stack.services[stack.services.index(killed)] = own
    own.launch()
    await own.up()
