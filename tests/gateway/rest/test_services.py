"""The health of the services in the state of the site."""

import asyncio
from typing import Any

from services.gateway.writing.services import FORGOTTEN_AFTER_S, MAX_PROCESSES, ServiceReports
from shared.broker.connection import connected
from shared.broker.reports import MAX_BYTES, SILENT_AFTER_S, HealthReport, report_subject, reporting
from shared.errors import Unavailable
from shared.health import Health
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.stack import Client, gateway, jobstore
from tests.support.waiting import until


async def _services(api: Client) -> dict[str, dict[str, Any]]:
    return {one["service"]: one for one in (await api.get("/api/status/"))[1]["services"]}


async def test_status_shows_which_services_are_ready_and_why_others_are_not(
    site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with gateway(site, sqlite_database, archive_settings) as api, connected(site, "test", asyncio.Event()) as client:
        await until_ready(api)
        assert list(await _services(api)) == ["ingest", "jobstore", "archiver", "gateway"]
        async with jobstore(site, sqlite_database):

            async def jobstore_is_ready() -> bool:
                return bool((await _services(api))["jobstore"]["state"] == "ready")

            await until(jobstore_is_ready, 40)
            assert ":" in (await _services(api))["jobstore"]["process"]
            await client.publish(report_subject(site, "ingest"), b"not a report")
            await client.publish(report_subject(site, "ingest"), bytes(MAX_BYTES + 1))
            disguised = HealthReport(service="jobstore", process="elsewhere", started=1, is_ready=False)
            await client.publish(report_subject(site, "ingest"), disguised.model_dump_json().encode())
            health = Health("archiver")
            health.check("archive", _full)
            health.remark("rules", _full)
            async with reporting(client, site, health, every_s=0.1):

                async def archiver() -> dict[str, Any] | None:
                    one = (await _services(api))["archiver"]
                    return one if one["process"] else None

                one = await until(archiver, 40)
                assert (one["state"], one["problems"]) == ("unready", {"archive": "the disk is full", "rules": "the disk is full"})
            services = await _services(api)  # in the order of messages, the disguised one came before
            assert services["ingest"]["process"] is None
            assert services["jobstore"]["process"] != "elsewhere"

        async def jobstore_has_ended() -> bool:
            return bool((await _services(api))["jobstore"]["process"] is None)

        await until(jobstore_has_ended, 40)


async def _full() -> None:
    raise Unavailable("the disk is full")


def _report(service: str, process: str = "host:1", *, is_ready: bool = True) -> HealthReport:
    return HealthReport(service=service, process=process, started=1, is_ready=is_ready)


def test_a_process_is_silent_after_a_while_forgotten_later_and_unknown_without_a_broker() -> None:
    now = [1000.0]
    reports = ServiceReports(NatsSettings(), clock=lambda: now[0])

    def states() -> list[tuple[str, str, str, bool]]:
        return [(one.service, one.process, one.state, one.is_certain) for one in reports.states()]

    missing = [(name, "", "unheard") for name in ("ingest", "jobstore", "archiver", "gateway")]
    assert states() == [(*one, False) for one in missing]
    reports.connection_changed(True)
    reports.note(_report("ingest"))
    reports.note(_report("metricstore", is_ready=False))
    listened = [("ingest", "host:1", "ready", True), *((*one, False) for one in missing[1:]), ("metricstore", "host:1", "unready", True)]
    assert states() == listened
    now[0] += SILENT_AFTER_S
    reports.note(_report("metricstore"))
    assert states() == [
        ("ingest", "host:1", "silent", True),
        *((*one, True) for one in missing[1:]),
        ("metricstore", "host:1", "ready", True),
    ]
    reports.connection_changed(False)
    assert not any(one.is_certain for one in reports.states() if one.state != "ready")
    now[0] += FORGOTTEN_AFTER_S
    assert [state for _, _, state, _ in states()] == ["unheard"] * 4


def test_the_number_of_known_processes_is_bounded_and_ended_ones_make_room() -> None:
    reports = ServiceReports(NatsSettings(), clock=lambda: 0.0)
    reports.connection_changed(True)
    for number in range(MAX_PROCESSES + 10):
        reports.note(_report("ingest", f"host:{number}"))
    assert sum(one.service == "ingest" for one in reports.states()) == MAX_PROCESSES
    reports.note(_report("ingest", "host:7").model_copy(update={"has_ended": True}))
    reports.note(_report("ingest", "host:new"))
    processes = {one.process for one in reports.states()}
    assert "host:new" in processes
    assert "host:7" not in processes
