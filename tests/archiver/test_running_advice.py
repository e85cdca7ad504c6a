"""Advice on running jobs: evaluated on their measurements, published when other rules hold than before."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from services.archiver import running_advice
from services.archiver.advice import Adviser
from services.archiver.footprints import MAX_MISSES, SETTLING_S
from shared.database.engine import opened
from shared.database.tables import tables
from tests.archiver.feed import T0, recorded_store
from tests.archiver.site import QUICK, Site, running
from tests.archiver.test_footprints import FIRST, broken_for, measured_ids, metrics_of, poller_of, running_job
from tests.support.metric_store import MetricStore, serving
from tests.support.waiting import until

AT = T0 + 1800 - SETTLING_S  # the time that the round FIRST + 3 looks at
HIGH = """
tag = "high"
title = "t"
severity = "warning"
metrics = ["cpu_load"]
parameters = { limit = 0 }
when = "cpu_load.max > limit"
text = "The load is {cpu_load.max > limit}, after {job.duration} s, in state {job.numNodes}."
"""
COURSE = """
tag = "course"
title = "t"
severity = "critical"
metrics = ["flops_any"]
when = "flops_any.quiet_s < job.duration && len(job.silentHosts) == 0"
since = "job.startTime + job.duration - flops_any.quiet_s"
text = "It ended {flops_any.quiet_s < 100}."
"""
AT_THE_END = 'tag = "end"\ntitle = "t"\nwhen = "job.state != \'failed\'"\ntext = "It ended."\n'


@pytest.fixture
def store() -> MetricStore:
    return recorded_store()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in {"high": HIGH, "course": COURSE, "end": AT_THE_END}.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def adviser(rules: Path) -> Adviser:
    """Of these rules; the shipped ones do not hold, since the jobs of the recording have no long run time."""
    found = Adviser.of(QUICK.model_copy(update={"advice": True, "advice_rules": rules, "advice_parameters": {"min_duration_s": 1e9}}))
    assert found is not None
    return found


async def advised(site: Site) -> list[dict[str, Any]]:
    return await site.events("job.advised")


async def test_advice_on_a_running_job_is_published_when_it_begins_and_ends_to_hold(
    archive_site: Site, store: MetricStore, rules: Path
) -> None:
    await archive_site.store(running_job(1), running_job(2, hosts=["f9999"]), position=1)
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, adviser=adviser(rules)) as poller:
            await poller.round(FIRST + 3)
        (event,) = await advised(site)
        assert (event["id"], event["whileRunning"], event.get("stopSeq")) == (1, True, None)
        course, high = event["advice"]
        assert high == {
            "rule": "high",
            "severity": "warning",
            "text": f"The load is true, after {AT - T0:,} s, in state 1.",
            "metric": "cpu_load",
            "since": AT,
        }
        assert (course["rule"], course["text"]) == ("course", "It ended true.")
        assert AT - 100 < course["since"] <= AT

        await site.change(1, advice=orjson.dumps(event["advice"]).decode())
        async with poller_of(site, adviser=adviser(rules)) as poller:
            await poller.round(FIRST + 4)
        assert len(await advised(site)) == 1

        (rules / "high.toml").write_text(HIGH.replace("limit = 0", "limit = 1000"))
        async with poller_of(site, adviser=adviser(rules)) as poller:
            await poller.round(FIRST + 5)
        _, event = await advised(site)
        assert [one["rule"] for one in event["advice"]] == ["course"]


async def test_replicas_publish_advice_once(archive_site: Site, store: MetricStore, rules: Path) -> None:
    await archive_site.store(running_job(1), running_job(3, hosts=["f0107"]), position=1)
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, adviser=adviser(rules)) as one, poller_of(site, adviser=adviser(rules)) as other:
            await asyncio.gather(one.round(FIRST + 3), other.round(FIRST + 3))
    assert sorted(event["id"] for event in await advised(site)) == [1, 3]


async def test_a_job_whose_samples_cannot_be_read_has_its_footprint_nevertheless(
    archive_site: Site, store: MetricStore, rules: Path
) -> None:
    await archive_site.store(running_job(1), position=1)
    refuses = broken_for()

    async def mood(body: Any) -> Any:
        return await refuses(body) if body["with-data"] else None

    store.mood = mood
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, adviser=adviser(rules)) as poller:
            await poller.round(FIRST + 3)
    assert await measured_ids(site) == [[1]]
    assert await advised(site) == []


async def test_samples_are_not_requested_further_in_a_round_in_which_the_store_does_not_return_them(
    archive_site: Site, store: MetricStore, rules: Path
) -> None:
    hosts = ["f0101", "f0107", "f0102", "f0101", "f0107"]
    await archive_site.store(*(running_job(n, hosts=[host]) for n, host in enumerate(hosts, 1)), position=1)
    refuses = broken_for()
    asked = 0

    async def mood(body: Any) -> Any:
        nonlocal asked
        asked += body["with-data"]
        return await refuses(body) if body["with-data"] else None

    store.mood = mood
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, adviser=adviser(rules)) as poller:
            await poller.round(FIRST + 3)
            assert asked == MAX_MISSES
            store.mood = None
            await poller.round(FIRST + 4)
    assert (await measured_ids(site))[0] == [1, 2, 3, 4, 5]
    assert {event["id"] for event in await advised(site)} == {1, 2, 3, 4, 5}


async def test_jobs_whose_samples_never_come_do_not_keep_others_from_being_advised(
    archive_site: Site, store: MetricStore, rules: Path
) -> None:
    """As many as end the requests of a round. At this interval the values of each are measured only in the first round."""
    interval_s = 10
    first = (T0 + 1800) // interval_s
    bad = [running_job(n) for n in range(1, MAX_MISSES + 1)]
    await archive_site.store(*bad, running_job(9, hosts=["f0107"]), position=1)
    refuses = broken_for("f0101")
    failed = 0

    async def mood(body: Any) -> Any:
        nonlocal failed
        answer = await refuses(body) if body["with-data"] else None
        failed += answer is not None
        return answer

    store.mood = mood
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, adviser=adviser(rules), interval_s=float(interval_s)) as poller:
            for number in range(first, first + 3):
                await poller.round(number)
            assert {event["id"] for event in await advised(site)} == {9}
            assert failed == 2 * MAX_MISSES  # in the third round they pause
            store.mood = None
            for number in range(first + 3, first + 5):
                await poller.round(number)
    assert {event["id"] for event in await advised(site)} == {1, 2, 3, 9}


async def test_changed_rules_are_evaluated_for_old_jobs_in_the_next_round(
    archive_site: Site, store: MetricStore, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At this interval the values of a job are measured only in the first of these rounds, unless the job has none."""
    monkeypatch.setattr("services.archiver.advice.LOOK_S", 0.0)
    interval_s = 10
    first = (T0 + 1800) // interval_s
    await archive_site.store(running_job(1), running_job(2, hosts=["f9999"]), position=1)
    measured_in: dict[int, set[str]] = {}
    current = first

    async def note(body: Any) -> None:
        measured_in.setdefault(current, set()).update(query["host"] for query in body["queries"])

    store.mood = note
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        async with poller_of(site, adviser=adviser(rules), interval_s=float(interval_s)) as poller:
            for current in (first, first + 1):
                await poller.round(current)
            assert measured_in == {first: {"f0101", "f9999"}, first + 1: {"f9999"}}
            (rules / "later.toml").write_text('tag = "later"\ntitle = "t"\nwhen = "job.numNodes == 1"\ntext = "One node."\n')
            await poller.round(current := first + 2)
    assert "f0101" in measured_in[first + 2]
    assert {event["id"] for event in await advised(site) if "later" in {one["rule"] for one in event["advice"]}} == {1, 2}


async def test_a_failure_of_the_advice_on_a_job_costs_only_its_advice(
    archive_site: Site, store: MetricStore, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise IndexError("no such sample")

    monkeypatch.setattr(running_advice, "postprocess", failing)
    await archive_site.store(running_job(1), running_job(3, hosts=["f0107"]), position=1)
    async with serving(store) as url:
        site = archive_site.with_settings(metrics=metrics_of(url))
        with capture_logs() as logs:
            async with poller_of(site, adviser=adviser(rules)) as poller:
                await poller.round(FIRST + 3)
    assert [one["job"] for one in logs if one["event"] == "job_not_advised"] == [1, 3]
    assert await measured_ids(site) == [[1, 3]]
    assert await advised(site) == []


def script(text: str) -> str:
    return orjson.dumps({"jobScript": text}).decode()


async def test_the_applications_of_jobs_that_started_are_published(archive_site: Site) -> None:
    tagged = {"id": 7, "tag_type": "app", "tag_name": "gromacs", "tag_scope": "global"}
    await archive_site.store(
        running_job(1, meta_data=script("srun vasp_std")),
        running_job(2, meta_data=script("gmx mdrun")),  # has the tag
        running_job(3, meta_data=script("./a.out")),
        running_job(4),
        running_job(5, job_state="completed", meta_data=script("srun vasp_std")),
        running_job(7, meta_data="[]x"),  # cannot be read
        position=1,
    )
    async with opened(archive_site.database) as engine, engine.begin() as connection:
        await connection.execute(tables.tag.insert(), tagged)
        await connection.execute(tables.jobtag.insert(), {"job_id": 2, "tag_id": 7})
    site = archive_site.with_settings(archiver=QUICK.model_copy(update={"advice": True}))

    async def found() -> dict[int, list[str]]:
        events = await site.events("job.applications_detected")
        return {job["id"]: job["applications"] for event in events for job in event["jobs"]}

    async with running(site), running(site):
        await until(found, 20, "the application")
        await site.store(running_job(8, meta_data=script("lmp -in x")), position=1)

        async def later() -> bool:
            return 8 in await found()

        await until(later, 30, "the application of a job that starts later")
    assert await found() == {1: ["vasp"], 8: ["lammps"]}
