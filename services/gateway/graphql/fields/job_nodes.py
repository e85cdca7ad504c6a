"""State changes of the nodes of a job while it ran."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import orjson

from services.gateway.graphql.fields.jobs import no_job, visible_id
from services.gateway.graphql.request import QUERY, Ask, answers
from services.gateway.graphql.shape import Tables
from services.gateway.reading.model import JobSelection
from shared.domain.values import JobState

AFTER_END_S = 600  # a node that fails is reported after it has ended the job


@answers(QUERY, "jobNodeEvents")
async def job_node_events(ask: Ask) -> Sequence[Any]:
    """Raises RequestError: 400 for an invalid id, 404 if the user sees no such job."""
    key = await visible_id(ask, ask["id"])
    found = await ask.gateway.jobs.jobs(ask.user, [key], JobSelection(["cluster", "start_time", "duration", "job_state", "resources"]))
    if not found.jobs:
        raise no_job(key)  # deleted in the meantime
    job = found.jobs[0]
    hosts = list(dict.fromkeys(one["hostname"] for one in orjson.loads(job.resources)))
    end = int(ask.gateway.clock()) if job.job_state == JobState.RUNNING else job.start_time + job.duration + AFTER_END_S
    return await ask.gateway.nodes.troubles(job.cluster, hosts, job.start_time, end)


TABLES: Tables = {
    "JobNodeEvent": {
        "time": attrgetter("time_stamp"),
        "hostname": attrgetter("hostname"),
        "schedulerState": attrgetter("node_state"),
        "states": lambda row: orjson.Fragment(row.states),
    },
}
