"""Messages as an adapter publishes them: starts of 2 kB with job scripts, and stops, mixed one to one."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.support.cluster import CLUSTER, host
from tests.support.builders import line

FIRST_START = 1_760_000_000
DURATION_S = 3600
START_BYTES = 2048
JOB_SUBJECT = "cc.job.event"
_WORDS = "srun module load python mpi4py OMP_NUM_THREADS export cd mkdir -p rsync -a --exclude input output restart checkpoint $SLURM_JOB_ID".split()


@dataclass(frozen=True, slots=True)
class Load:
    """Jobs ``first_job`` and following, each started and stopped; ``lag`` jobs are open at once.

    Job number i starts at ``FIRST_START + i``: start times are unique and grow, which the rows rely on.
    """

    jobs: int
    monitoring_status: int = 0
    first_job: int = 1
    nodes: int = 1
    lag: int = 200

    @property
    def events(self) -> int:
        return 2 * self.jobs

    def messages(self) -> Iterator[bytes]:
        for number in range(self.jobs + self.lag):
            if number < self.jobs:
                yield self._start(self.first_job + number)
            if self.lag <= number:
                yield stop_line(self.first_job + number - self.lag)

    def _start(self, job_id: int) -> bytes:
        return start_line(job_id, monitoring_status=self.monitoring_status, nodes=self.nodes)

    def write(self, file: Path) -> Path:
        """One message per line; a line of the protocol holds no other line feed."""
        with file.open("wb") as out:
            out.writelines(self.messages())
        return file


def job_script(job_id: int, length: int) -> str:
    dice = random.Random(job_id)
    text = ["#!/bin/bash -l", f"#SBATCH --job-name=run{job_id}", "#SBATCH --time=24:00:00"]
    size = sum(len(part) + 1 for part in text)
    while size < length:
        part = " ".join(dice.choices(_WORDS, k=6)) + f" {dice.getrandbits(32):x}"
        text.append(part)
        size += len(part) + 1
    return "\n".join(text)[:length]


def start_payload(job_id: int, *, monitoring_status: int, nodes: int, script_length: int) -> dict[str, object]:
    return {
        "jobId": job_id,
        "cluster": CLUSTER,
        "user": f"user{job_id % 97:02d}",
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


def start_line(job_id: int, *, monitoring_status: int, nodes: int) -> bytes:
    bare = line(start_payload(job_id, monitoring_status=monitoring_status, nodes=nodes, script_length=0), function="start_job")
    length = START_BYTES - len(bare)
    # A line feed of the script is four bytes on the wire; two rounds come within a few bytes of the wanted size.
    for _ in range(2):
        text = line(start_payload(job_id, monitoring_status=monitoring_status, nodes=nodes, script_length=length), function="start_job")
        length -= len(text) - START_BYTES
    return text


def stop_line(job_id: int) -> bytes:
    """As the Slurm adapter writes it: without the start time."""
    payload = {"jobId": job_id, "cluster": CLUSTER, "stopTime": FIRST_START + job_id + DURATION_S, "jobState": "completed"}
    return line(payload, function="stop_job")
