"""A condensed day of a small site: messages and their expected effects, derived from a plan and not from the code.

Every message is unique; a bad one contains a marker that its rejection must show. Some stops arrive before their starts. Some
jobs are requeued: the start of the next run under the same id immediately follows the stop of the previous one.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.support.builders import START_TIME, line, node_line, start_line, start_payload, stop_line

_HOSTS = {"fritz": ["f0101", "f0102", "f0988"], "alex": ["a0121", "a0601", "a0831"], "slurmlab": ["node01", "node03"]}
_SUBCLUSTERS = {
    "f0101": "main", "f0102": "main", "f0988": "main",
    "a0121": "a40", "a0601": "a100", "a0831": "a100m80",
    "node01": "cpu", "node03": "gpu",
}  # fmt: skip
_USERS = ("alice", "bob", "carol")
# The state that a requeued job sends is stored as a different word.
_STOP_STATES = {"completed": "completed", "failed": "failed", "cancelled": "cancelled", "timeout": "timeout", "pending": "preempted"}
_NODE_STATES = {"idle": "idle", "allocated": "allocated", "down*": "down", "MIXED": "mixed"}
OVERTAKING = 30  # a stop comes at most this many messages before its start
MAX_RUN = 120  # and at most this many after it
REQUEUES = 2  # of every fourth job

JobRow = tuple[int, str, int, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Message:
    """``id`` is the message id of an adapter that publishes through JetStream, so that its retries are not new messages."""

    kind: Literal["job", "node"]
    data: bytes
    id: str


@dataclass(slots=True)
class Workload:
    """``jobs`` are the expected rows: job_id, cluster, start_time, subcluster, user, state and duration."""

    messages: list[Message] = field(default_factory=list)
    jobs: set[JobRow] = field(default_factory=set)
    rejections: Counter[tuple[str, str]] = field(default_factory=Counter)
    nodes: dict[tuple[str, str], str] = field(default_factory=dict)

    def again(self, seed: int) -> list[Message]:
        """The same messages in another order, with new ids."""
        messages = [Message(m.kind, m.data, f"{m.id}-again-{seed}") for m in self.messages]
        random.Random(seed).shuffle(messages)
        return messages


def workload(seed: int, jobs: int, *, first_job_id: int = 1) -> Workload:
    """About ``3.2 * jobs`` messages. Every tenth job is still running at the end; every ninth item is bad."""
    dice = random.Random(seed)
    plan = Workload()
    timed: list[tuple[float, Message]] = []

    def send(at: float, kind: Literal["job", "node"], data: bytes) -> None:
        timed.append((at, Message(kind, data, f"{seed}-{len(timed)}")))

    for number in range(jobs):
        job_id = first_job_id + number
        cluster = dice.choice(list(_HOSTS))
        host = dice.choice(_HOSTS[cluster])
        user = dice.choice(_USERS)
        start_time = START_TIME + number
        at = number * 2.0

        def row(start_time: int, state: str, duration: int) -> JobRow:
            return job_id, cluster, start_time, _SUBCLUSTERS[host], user, state, duration  # noqa: B023 - used in this iteration only

        if number % 4 == 0:  # runs that precede the last one
            for _ in range(REQUEUES):
                word, duration = dice.choice(list(_STOP_STATES)), dice.randint(0, 1000)
                fields = {"startTime": start_time} if dice.random() < 0.2 else {}
                send(at, "job", start_line(job_id, cluster, [host], user=user, startTime=start_time))
                at += dice.uniform(0.1, 20)
                send(at, "job", stop_line(job_id, cluster, jobState=word, stopTime=start_time + duration, **fields))
                plan.jobs.add(row(start_time, _STOP_STATES[word], duration))
                start_time += duration + dice.randint(1, 100)
        data = start_line(job_id, cluster, [host], user=user, startTime=start_time)
        if dice.random() < 0.1:
            data += _bad_line(dice, plan, job_id)
        send(at, "job", data)
        state, duration = "running", 0
        if number % 10 != 9:
            word = dice.choice(list(_STOP_STATES))
            state, duration = _STOP_STATES[word], dice.randint(1, 100_000)
            fields = {"startTime": start_time} if dice.random() < 0.5 else {}
            later = dice.uniform(1, MAX_RUN) if dice.random() < 0.9 else -dice.uniform(0, OVERTAKING)
            send(at + later, "job", stop_line(job_id, cluster, jobState=word, stopTime=start_time + duration, **fields))
        plan.jobs.add(row(start_time, state, duration))
        if dice.random() < 0.1:
            send(at, "job", _bad_line(dice, plan, -job_id))
    for cluster, hosts in _HOSTS.items():
        for host in hosts:
            word = dice.choice(list(_NODE_STATES))
            plan.nodes[cluster, host] = _NODE_STATES[word]
            send(dice.uniform(0, jobs * 2.0), "node", node_line(cluster, {host: [word]}))
    timed.sort(key=lambda item: item[0])
    plan.messages = [message for _, message in timed]
    return plan


def _bad_line(dice: random.Random, plan: Workload, number: int) -> bytes:
    marker = f"marker{number}."
    code, data = dice.choice(
        [
            ("unknown_field", line({marker: 1} | start_payload(1), function="start_job")),
            ("unknown_cluster", line({**start_payload(1, "nowhere"), "user": marker}, function="start_job")),
            ("line_protocol", f"{marker} is not line protocol,\n".encode()),
            ("function_unknown", line({marker: 1}, function="start_jobs")),
            ("invalid_json", line(f"[{marker}", function="stop_job")),
            ("not_a_final_state", line({"cluster": marker, "jobId": 1, "stopTime": 1, "jobState": "running"}, function="stop_job")),
        ]
    )
    plan.rejections[code, marker] += 1
    return data


def slices(messages: Sequence[Message], size: int) -> list[Sequence[Message]]:
    return [messages[at : at + size] for at in range(0, len(messages), size)]
