"""269 messages recorded with cc-backend 1.5.4 have the same effect here, or a different one for a documented reason.

The messages pass in order through ingest's translation and jobstore's rules, in memory. ``DIFFERENCES`` lists every message
with a different outcome; a listed message without a difference fails too.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from services.ingest.translate import IntakeSubjects, RawMessage, Translator
from services.jobstore.rules.fold import fold
from services.jobstore.rules.unit_of_work import Limits, UnitOfWork
from shared.domain.events import IntakeRejected, NodesReported
from shared.domain.recorded import Recorded
from shared.settings import NatsSettings
from tests.support.clusters import DATA, sample_clusters

EACH_LINE_ALONE = "design 7: a bad line costs only itself"
NO_TIMESTAMP = "design 7: a timestamp is optional"
STOP_WAITS = "design 7: a stop before its start is parked"
KEPT = "design 7: submitTime, requestedMemory and statistics are kept"
JOB_STATE_WORDS = "state words of stops are read in any spelling"
FINAL_STATES = "design 7: running and suspended end nothing, pending is preempted"
SAME_ID = "a start with a used id and another start time is a new run; an earlier run whose stop never comes is superseded"
NEAR = "a stop up to five minutes before the start ends the job: the clocks of two machines differ"
STATE_WORDS = "design 7: suffixes of state words are stripped, and spaces"
NULL_INSIDE = "design 7: null inside resources or tags is refused"
NO_IDENTITY = "events 8.5: a job without an id or a start time (missing, 0, negative) cannot be told from another"
SMT = "events 8.5: smt above 1 depends on the presence of tags; here it is accepted always"
UNUSED = "tags and fields that nobody reads refuse no line"
REPLACED = "bytes that are not UTF-8 are replaced"
INFORMS = "a value that only informs does not cost the event"
ENDED = "a start with a final state and a duration ends at once"
TWICE = "events 4.4: of a host that is there twice the last entry counts"

DIFFERENCES: dict[str, tuple[str, list[str]]] = {
    "good-bad-good": (EACH_LINE_ALONE, ["job.started applied", "line_protocol", "job.started applied"]),
    "no-timestamp": (NO_TIMESTAMP, ["job.started applied"]),
    "no-timestamp-first-of-two": (NO_TIMESTAMP, ["job.started applied", "job.started applied"]),
    "stop-and-start": (STOP_WAITS, ["job.stopped waiting", "job.started applied"]),
    "comment-with-tab": (EACH_LINE_ALONE, ["job.started applied"]),
    "unclosed-quote": (EACH_LINE_ALONE, ["line_protocol", "job.started applied"]),
    "adapter-line": (KEPT, ["job.started applied"]),
    "adapter-stop": (KEPT, ["job.stopped applied"]),
    "start-all-fields": (ENDED, ["job.started applied", "job.stopped applied"]),
    "bad-utf8": (REPLACED, ["job.started applied"]),
    "bad-utf8-in-event": (REPLACED, ["job.started applied"]),
    "empty-tag-value": (UNUSED, ["job.started applied"]),
    "nan-field": (UNUSED, ["job.started applied"]),
    "comma-after-quote": (UNUSED, ["job.started applied"]),
    "control-in-tag": (UNUSED, ["job.started applied"]),
    "json-int-bool": (INFORMS, ["job.started applied"]),
    "json-metadata-number": (INFORMS, ["job.started applied"]),
    "start-negative-num-acc": (INFORMS, ["job.started applied"]),
    "start-negative-hwthreads": (INFORMS, ["job.started applied"]),
    "start-state-number": (INFORMS, ["job.started applied"]),
    "node-bad-number": (INFORMS, ["node.reported"]),
    "start-no-job-id": (NO_IDENTITY, ["missing_field"]),
    "start-negative-job-id": (NO_IDENTITY, ["invalid_value"]),
    "start-no-start-time": (NO_IDENTITY, ["missing_field"]),
    "start-negative-start-time": (NO_IDENTITY, ["invalid_value"]),
    "start-smt-2": (SMT, ["job.started applied"]),
    "dup-later-1s": (SAME_ID, ["job.started applied"]),
    "dup-later-86399s": (SAME_ID, ["job.started applied"]),
    "dup-earlier-1s": (SAME_ID, ["job.started applied"]),
    "dup-earlier-year": (SAME_ID, ["job.started applied"]),
    "dup-requeue": (SAME_ID, ["job.started applied"]),
    "stop-state-case": (JOB_STATE_WORDS, ["job.stopped applied"]),
    "stop-before-start": (NEAR, ["job.stopped applied"]),
    "stop-state-running": (FINAL_STATES, ["not_a_final_state"]),
    "stop-state-pending": (FINAL_STATES, ["job.stopped applied"]),
    "stop-state-suspended": (FINAL_STATES, ["not_a_final_state"]),
    "node-states-idle-star": (STATE_WORDS, ["node.reported"]),
    "node-states-down-star": (STATE_WORDS, ["node.reported"]),
    "node-states-blank": (STATE_WORDS, ["node.reported"]),
    "node-twice": (TWICE, ["node.reported"]),
    "node-no-timestamp": (NO_TIMESTAMP, ["node.reported"]),
    "node-good-bad-good": (EACH_LINE_ALONE, ["node.reported", "line_protocol", "node.reported"]),
    "crash-null-resource-subcluster": (NULL_INSIDE, ["invalid_value"]),
    "crash-null-tag": (NULL_INSIDE, ["invalid_value"]),
}

Rows = dict[str, dict[str, Any]]
JSON_COLUMNS = ("meta_data", "resources", "footprint", "energy_footprint")
BY_ARCHIVING = ("monitoring_status", "footprint", "energy", "energy_footprint")  # of a stopped job; not part of the event path


@dataclass(frozen=True)
class Exchange:
    """``outcomes`` are those of jobtide; the others are rows, here and as recorded."""

    name: str
    outcomes: list[str]
    found: list[Any]
    recorded: list[Any]
    log: str


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if row["job_state"] == "running" or name not in BY_ARCHIVING}


class Replay:
    """The rules, with the effects of all earlier messages in memory."""

    def __init__(self) -> None:
        self._translator = Translator(IntakeSubjects(NatsSettings()), sample_clusters(), 8 * 1024 * 1024)
        self._work = UnitOfWork()
        self._sequence = 0

    def send(self, number: int, entry: dict[str, Any]) -> Exchange:
        data = base64.b64decode(entry["message_base64"]) if "message_base64" in entry else entry["message"].encode()
        message = RawMessage(entry["subject"], data, "INTAKE", number, datetime.fromtimestamp(entry["at"], UTC))
        before = {job.id: (job.job_state, job.duration) for job in self._work.jobs.values()}
        outcomes, nodes = [], []
        for envelope in self._translator.translate(message):
            self._sequence += 1
            if isinstance(envelope.event, NodesReported):
                outcomes.append(envelope.event.name)
                nodes += [self._node(envelope.event.cluster, node) for node in envelope.event.nodes]
                continue
            at = envelope.time.timestamp()
            record = Recorded(self._sequence, envelope.event, at, message_id=envelope.message_id, stored_at=at)
            decision = fold(self._work, record, Limits())
            if isinstance(envelope.event, IntakeRejected):
                outcomes.append(envelope.event.code)
            else:
                outcomes.append(decision.code or f"{envelope.event.name} {decision.kind}")
        return Exchange(
            entry["name"], outcomes, [*self._changed(before), *sorted(nodes)], list(self._recorded(entry["result"])), entry["result"]["log"]
        )

    def _changed(self, before: dict[int, tuple[str, int]]) -> Iterator[Any]:
        for job in sorted(self._work.jobs.values(), key=lambda j: (j.job_id, j.start_time)):
            if before.get(job.id) != (job.job_state, job.duration):
                assert job.row is not None
                row = {name: json.loads(value) if name in JSON_COLUMNS and value else value for name, value in job.row.items()}
                yield "updated" if job.id in before else "inserted", comparable(row)

    @staticmethod
    def _node(cluster: str, node: Any) -> Any:
        numbers = (node.cpus_allocated, node.memory_allocated, node.gpus_allocated, node.jobs_running)
        return (cluster, node.hostname, node.sub_cluster, node.state, *numbers)

    @staticmethod
    def _recorded(result: dict[str, Any]) -> Iterator[Any]:
        jobs = [] if result["jobs"] == "no row" else result["jobs"]
        for job in sorted(jobs, key=lambda j: (j["row"]["job_id"], j["row"]["start_time"])):
            yield job["change"], comparable(job["row"])
        nodes = [] if result["nodes"] == "no row" else result["nodes"]
        columns = "cluster hostname subcluster node_state cpus_allocated memory_allocated gpus_allocated jobs_running".split()
        yield from sorted(tuple(node[column] for column in columns) for node in nodes)


@cache
def exchanges() -> dict[str, Exchange]:
    replay = Replay()
    lines = (DATA / "recorded" / "nats.jsonl").read_text(encoding="utf-8").splitlines()
    found = [replay.send(number, json.loads(line)) for number, line in enumerate(lines, start=1)]
    return {exchange.name: exchange for exchange in found}


def is_same(exchange: Exchange) -> bool:
    """Whether every recorded column has its value; columns that cc-backend lacks are ignored."""
    if len(exchange.found) != len(exchange.recorded):
        return False
    for ours, theirs in zip(exchange.found, exchange.recorded, strict=True):
        if isinstance(theirs[1], dict):
            if ours[0] != theirs[0] or any(ours[1].get(name) != value for name, value in theirs[1].items()):
                return False
        elif ours != theirs:
            return False
    return True


NAMES = [json.loads(line)["name"] for line in (DATA / "recorded" / "nats.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DIFFERENCES])
def test_a_message_has_the_recorded_effect(name: str) -> None:
    exchange = exchanges()[name]
    assert is_same(exchange), f"{exchange.outcomes}: {exchange.found} instead of {exchange.recorded}"


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_message_differs_as_intended(name: str) -> None:
    exchange = exchanges()[name]
    reason, outcomes = DIFFERENCES[name]
    assert exchange.outcomes == outcomes, reason
    assert not is_same(exchange), f"no difference, though listed: {reason}"


@pytest.mark.parametrize("name", NAMES)
def test_unused_input_has_a_rejection_or_oddity(name: str) -> None:
    """Only blank lines and comments have no outcome."""
    exchange = exchanges()[name]
    assert exchange.outcomes or exchange.log == "nothing"
