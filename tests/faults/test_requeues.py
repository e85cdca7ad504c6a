"""Repeatedly requeued jobs with two ingests, so that the stop of a run and the start of the next one may arrive in any order.

``JOBTIDE_TEST_REQUEUE_TIMES=50 .venv/bin/pytest tests/faults/test_requeues.py`` repeats the kills as often.
"""

import asyncio
import os
import random

import pytest

from shared.settings import DatabaseSettings, NatsSettings
from tests.faults.conftest import MakeStack
from tests.support.adapter import load, publish_accepted
from tests.support.builders import START_TIME, start_line, stop_line
from tests.support.stack import Stack
from tests.support.workload import Message, Workload

TIMES = int(os.environ.get("JOBTIDE_TEST_REQUEUE_TIMES", "2"))  # on each database
JOBS, RUNS = 300, 3
PER_S = 300  # messages
STATES = [(state, state) for state in ("completed", "failed", "timeout")]


def requeues(seed: int) -> Workload:
    """Every job runs ``RUNS`` times under one id. The start of a run immediately follows the stop of the previous one.

    No stop names its start, as with the adapter for Slurm.
    """
    dice = random.Random(seed)
    plan = Workload()
    for first in range(0, JOBS, 25):  # many requeues at once, as when a partition fails
        ids = range(first + 1, first + 26)
        begun = {job_id: START_TIME + dice.randint(0, 100) for job_id in ids}
        for run in range(RUNS + 1):
            for job_id in ids:
                if run > 0:
                    word, stored = ("pending", "preempted") if run < RUNS else dice.choice(STATES)
                    duration = dice.randint(1, 5000)
                    _send(plan, stop_line(job_id, "fritz", jobState=word, stopTime=begun[job_id] + duration))
                    plan.jobs.add((job_id, "fritz", begun[job_id], "main", "alice", stored, duration))
                    begun[job_id] += duration + dice.randint(0, 100)
                if run < RUNS:
                    _send(plan, start_line(job_id, "fritz", ["f0101"], user="alice", startTime=begun[job_id]))
    return plan


def _send(plan: Workload, data: bytes) -> None:
    plan.messages.append(Message("job", data, f"requeue-{len(plan.messages)}"))


@pytest.fixture
def two_ingests(make_stack: MakeStack, site: NatsSettings, database: DatabaseSettings) -> Stack:
    return make_stack(site, database, names=("ingest", "ingest", "jobstore"))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("time", range(TIMES))
async def test_no_run_of_a_requeued_job_is_lost_while_each_of_two_ingests_is_killed(two_ingests: Stack, time: int) -> None:
    dice, plan = random.Random(time), requeues(time)
    await two_ingests.up()
    over_s = len(plan.messages) / PER_S
    async with load(two_ingests.nats, plan.messages, over_s=over_s):
        for ingest in two_ingests.services[:2]:
            await asyncio.sleep(dice.uniform(0.1, over_s / 2))  # the moment is what is random here
            ingest.kill9()
            ingest.launch()
    await two_ingests.up()
    await two_ingests.verify(plan)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_two_ingests_lose_no_run_of_a_requeued_job(two_ingests: Stack) -> None:
    plan = requeues(seed=1000)
    await two_ingests.up()
    await publish_accepted(two_ingests.nats, plan.messages, over_s=len(plan.messages) / PER_S)
    await two_ingests.verify(plan)
