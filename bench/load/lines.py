"""Messages as an adapter publishes them: starts of 2 kB with job scripts, and stops, mixed one to one."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bench.support.cluster import CLUSTER, host
from tests.support.builders import line

FIRST_START = 1_760_000_000
DURATION_S = 3600
START_BYTES = 2048
JOB_SUBJECT = "cc.job.event"
SCRIPTS = 256  # different texts
_WORDS = "srun module load python mpi4py OMP_NUM_THREADS export cd mkdir -p rsync --exclude input output restart $SLURM_JOB_ID".split()

Kind = Literal["start", "stop"]


@dataclass(frozen=True, slots=True)
class Load:
    """Jobs ``first_job`` and following, each started and stopped; ``lag`` jobs are open at once (or all, if they are fewer).

    So a stop comes long after its start has been committed, as on a site; in one batch the two would be one write.
    Job number i starts at ``FIRST_START + i``: start times are unique and grow, which the rows rely on.
    """

    jobs: int
    monitoring_status: int = 0
    first_job: int = 1
    nodes: int = 1
    lag: int = 2000

    @property
    def events(self) -> int:
        return 2 * self.jobs

    def plan(self) -> Iterator[tuple[Kind, int]]:
        """Every event with the job id it is about, in the order of the messages."""
        lag = min(self.lag, self.jobs)
        for number in range(self.jobs + lag):
            if number < self.jobs:
                yield "start", self.first_job + number
            if lag <= number:
                yield "stop", self.first_job + number - lag

    def messages(self) -> Iterator[bytes]:
        for kind, job_id in self.plan():
            if kind == "start":
                yield start_line(job_id, monitoring_status=self.monitoring_status, nodes=self.nodes)
            else:
                yield stop_line(job_id)

    def write(self, file: Path) -> Path:
        """One message per line; a line of the protocol holds no other line feed."""
        with file.open("wb") as out:
            out.writelines(self.messages())
        return file


@cache
def _script_body(variant: int) -> str:
    dice = random.Random(variant)
    return "\n".join(" ".join(dice.choices(_WORDS, k=6)) + f" {dice.getrandbits(32):x}" for _ in range(60))


def job_script(job_id: int, length: int) -> str:
    """No two jobs have the same one."""
    head = f"#!/bin/bash -l\n#SBATCH --job-name=run{job_id}\n#SBATCH --time=24:00:00\n"
    return (head + _script_body(job_id % SCRIPTS))[:length]


def start_payload(job_id: int, *, monitoring_status: int, nodes: int, script_length: int) -> dict[str, Any]:
    return {
        "jobId": job_id,
        "cluster": CLUSTER,
        "user": user_of(job_id),
        "project": f"project{job_id % 23:02d}",
        "partition": "main",
        "startTime": FIRST_START + job_id,
        "walltime": 86_400,
        "numNodes": nodes,
        "numHwthreads": 64 * nodes,
        "resources": [{"hostname": host(job_id + k)} for k in range(nodes)],
        "monitoringStatus": monitoring_status,
        "metaData": {"jobName": f"run{job_id}", "jobScript": job_script(job_id, script_length)},
    }


def user_of(job_id: int) -> str:
    return f"user{job_id % 97:02d}"


@cache
def _script_length(variant: int, nodes: int) -> int:
    """How long the script must be for a line of START_BYTES; a line feed in it takes three bytes on the wire."""
    length = START_BYTES
    for _ in range(3):
        payload = start_payload(1_000_000 * SCRIPTS + variant, monitoring_status=1, nodes=nodes, script_length=length)
        length -= len(line(payload, function="start_job")) - START_BYTES
    return length


def start_line(job_id: int, *, monitoring_status: int, nodes: int) -> bytes:
    length = _script_length(job_id % SCRIPTS, nodes)
    payload = start_payload(job_id, monitoring_status=monitoring_status, nodes=nodes, script_length=length)
    return line(payload, function="start_job")


def stop_line(job_id: int) -> bytes:
    """As the Slurm adapter writes it: without the start time."""
    payload = {"jobId": job_id, "cluster": CLUSTER, "stopTime": FIRST_START + job_id + DURATION_S, "jobState": "completed"}
    return line(payload, function="stop_job")
