"""A raw message becomes events and rejections."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from services.ingest.originals import Original
from services.ingest.translate import MAX_REJECTIONS, IntakeSubjects, RawMessage, Translator
from shared.broker.envelope import Envelope, read
from shared.broker.publisher import Publisher
from shared.domain import oddities, reasons
from shared.domain.events import IntakeRejected, IntakeReplayed, JobStarted, JobStopped, NodesReported
from shared.domain.payloads import StartPayload
from shared.domain.recorded import IntakeOrigin, Recorded, Unreadable
from shared.domain.values import FINAL_STATES, JobState
from shared.domain.wire import read_object
from shared.errors import Refused
from shared.settings import NatsSettings
from tests.support.builders import line, node_line, node_payload, start_line, start_payload, stop_line
from tests.support.clusters import DATA, sample_clusters

RECEIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STREAM = "INTAKE@2026-01-01T00:00:00+00:00"
CLUSTERS = sample_clusters()
JOB, NODE = "cc.job.event", "cc.node.state"


def translated(data: bytes, subject: str = JOB, *, max_payload: int = 1024 * 1024, **settings: Any) -> list[Envelope]:
    translator = Translator(IntakeSubjects(NatsSettings(**settings)), CLUSTERS, max_payload)
    return translator.translate(RawMessage(subject, data, STREAM, 77, RECEIVED))


def outcomes(data: bytes, subject: str = JOB, **options: Any) -> list[str]:
    """The outcome of each line: an event's name, or the code of a refusal with its field."""
    found = []
    for envelope in translated(data, subject, **options):
        event = envelope.event
        if isinstance(event, IntakeRejected):
            found.append(event.code if event.field is None else f"{event.code} {event.field}")
        else:
            found.append(event.name)
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", [reasons.EMPTY_MESSAGE]),
        (b"\n  \n# nothing\n", []),
        (start_line(), ["job.started"]),
        (stop_line(), ["job.stopped"]),
        (b"cpu_load,cluster=fritz value=1.5 5\n", [reasons.UNKNOWN_MEASUREMENT]),
        (b"job,function=start_job value=1.5 5\n", [f"{reasons.NO_EVENT_FIELD} event"]),
        (b"job,function=start_job event=1i 5\n", [f"{reasons.NO_EVENT_FIELD} event"]),
        (b"job,function=start_job event=true 5\n", [f"{reasons.NO_EVENT_FIELD} event"]),
        (line(start_payload()), [f"{reasons.FUNCTION_MISSING} function"]),
        (line(start_payload(), function="Start_Job"), [f"{reasons.FUNCTION_UNKNOWN} function"]),
        (line("", function="start_job"), [f"{reasons.EMPTY_PAYLOAD} event"]),
        (line("", function="stop_job"), [f"{reasons.EMPTY_PAYLOAD} event"]),
        (line("hello", function="start_job"), [reasons.INVALID_JSON]),
        (line(start_payload(), function="start_job", measurement="Job"), [reasons.UNKNOWN_MEASUREMENT]),
        (node_line(), [reasons.UNKNOWN_MEASUREMENT]),
        (b"job,function=start_job event='{}' 5\n", [reasons.LINE_PROTOCOL]),
        (line(start_payload(exclusive=1), function="start_job"), [f"{reasons.UNKNOWN_FIELD} exclusive"]),
        (start_line(1) + b"nonsense\n" + start_line(2), ["job.started", reasons.LINE_PROTOCOL, "job.started"]),
        (start_line(1) + line("{", function="stop_job") + stop_line(1), ["job.started", reasons.INVALID_JSON, "job.stopped"]),
        (line('{"jobId":1,"stopTime":5} {"jobId":2}', function="stop_job"), ["job.stopped", f"{reasons.TRAILING_DATA} event"]),
    ],
    ids=lambda value: repr(value)[:70],
)
def test_each_line_on_the_job_subject_has_its_own_outcome(data: bytes, expected: list[str]) -> None:
    assert outcomes(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", [reasons.EMPTY_MESSAGE]),
        (node_line(), ["node.reported"]),
        (line(node_payload(), measurement="nodestate", function="anything"), ["node.reported"]),
        (start_line(), [reasons.UNKNOWN_MEASUREMENT]),
        (b"nodestate value=1 5\n", [f"{reasons.NO_EVENT_FIELD} event"]),
        (line("", measurement="nodestate"), [f"{reasons.EMPTY_PAYLOAD} event"]),
        (node_line() + b"x\n" + node_line(), ["node.reported", reasons.LINE_PROTOCOL, "node.reported"]),
        (node_line(states={"f0101": ["idle"], "zzz": ["idle"]}), ["node.reported", f"{reasons.NO_SUBCLUSTER} nodes.1.hostname"]),
    ],
    ids=lambda value: repr(value)[:70],
)
def test_each_line_on_the_node_subject_has_its_own_outcome(data: bytes, expected: list[str]) -> None:
    assert outcomes(data, NODE) == expected


def test_a_rejection_has_the_position_and_beginning_of_its_line() -> None:
    bad = line({"jobId": 5, "stopTime": 7, "junk": "x" * 900}, function="stop_job")
    _, envelope = translated(start_line() + bad)
    event = envelope.event
    assert isinstance(event, IntakeRejected)
    assert (event.stream, event.sequence, event.line, event.subject) == (STREAM, 77, 2, JOB)
    assert event.excerpt == ('{"jobId":5,"stopTime":7,"junk":"' + "x" * 900)[:512]


def test_ids_contain_the_position_in_the_intake() -> None:
    data = start_line(1) + start_line(2) + line('{"jobId":1,"stopTime":5} x', function="stop_job")
    ids = [envelope.message_id for envelope in translated(data)]
    prefix = f"{STREAM}:77@1767323045000000"
    assert ids == [f"{prefix}:1:0", f"{prefix}:2:0", f"{prefix}:3:0", f"{prefix}:3:1"]
    assert [IntakeOrigin.of(id_) for id_ in ids[:2]] == [IntakeOrigin(STREAM, 77, line, 1_767_323_045_000_000) for line in (1, 2)]


async def test_a_reused_sequence_gives_different_events(nats_client: Client, nats_settings: NatsSettings) -> None:
    """An intake restored from an older copy, while the log still remembers the ids of its messages."""
    translator = Translator(IntakeSubjects(nats_settings), CLUSTERS, 1024 * 1024)
    publisher = Publisher(nats_client, nats_settings.prefix)

    def read_at(received: datetime, job_id: int) -> list[Envelope]:
        return translator.translate(RawMessage(nats_settings.job_subjects[0], start_line(job_id) + b"x\n", STREAM, 77, received))

    first = await publisher.publish(read_at(RECEIVED, 1), deadline_s=30)
    assert await publisher.publish(read_at(RECEIVED, 1), deadline_s=30) == first
    again = await publisher.publish(read_at(RECEIVED + timedelta(microseconds=1), 2), deadline_s=30)
    assert again == [sequence + 1 for sequence in first]  # the start and the rejection are in different streams


def test_the_time_of_an_event_is_when_the_broker_received_it() -> None:
    (envelope,) = translated(line(start_payload(), function="start_job", timestamp=5))
    assert envelope.time == RECEIVED
    assert envelope.headers()["ce-time"] == "2026-01-02T03:04:05.000Z"


@given(
    st.lists(
        st.sampled_from([start_line(), stop_line(), node_line(), b"x\n", b'job event="\n', line("{} {}", function="stop_job")]), max_size=6
    )
)
def test_the_same_message_gives_the_same_envelopes_with_distinct_ids(lines: list[bytes]) -> None:
    first, second = translated(b"".join(lines)), translated(b"".join(lines))
    assert first == second
    assert len({envelope.message_id for envelope in first}) == len(first)


def test_a_subject_may_name_the_cluster() -> None:
    subjects: dict[str, Any] = {"job_subjects": ["cc.{cluster}.job"], "node_subjects": ["cc.{cluster}.node"]}
    assert outcomes(start_line(cluster="fritz"), "cc.fritz.job", **subjects) == ["job.started"]
    assert outcomes(start_line(cluster="fritz"), "cc.alex.job", **subjects) == [f"{reasons.CLUSTER_MISMATCH} cluster"]
    assert outcomes(stop_line(cluster="fritz"), "cc.alex.job", **subjects) == [f"{reasons.CLUSTER_MISMATCH} cluster"]
    assert outcomes(node_line("fritz"), "cc.alex.node", **subjects) == [f"{reasons.CLUSTER_MISMATCH} cluster"]
    (envelope,) = translated(stop_line(cluster=None), "cc.alex.job", **subjects)
    assert isinstance(envelope.event, JobStopped)
    assert envelope.event.cluster == "alex"


def test_one_subject_may_carry_both_kinds() -> None:
    both: dict[str, Any] = {"job_subjects": ["cc.all"], "node_subjects": ["cc.all"]}
    assert outcomes(start_line() + node_line(), "cc.all", **both) == ["job.started", "node.reported"]


def test_an_event_over_the_limit_of_the_broker_is_refused() -> None:
    data = start_line(1, nodes=[f"f{number:05d}" for number in range(3000)], subCluster="main") + start_line(2)
    assert outcomes(data, max_payload=50_000) == [reasons.TOO_LARGE, "job.started"]
    assert outcomes(stop_line(1) + b" " * 60_000, max_payload=50_000) == ["job.stopped"]


SCRIPTS = ["x" * 60_000, "\n" * 60_000, '"\\' * 30_000, "\u00fc" * 40_000, "\U0001f4a5" * 30_000, "\x01" * 60_000, "\x7f" * 60_000]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: ascii(script[:2]))
def test_a_script_that_is_too_large_is_truncated(script: str) -> None:
    metadata = {"jobName": "n", "jobScript": script, "slurmInfo": script[:30_000]}
    (first, second) = translated(start_line(1, metaData=metadata) + start_line(2), max_payload=50_000)
    event = first.event
    assert isinstance(event, JobStarted)
    assert isinstance(second.event, JobStarted)
    assert event.meta_data is not None
    assert event.meta_data["jobName"] == "n"
    for name in ("jobScript", "slurmInfo"):
        assert event.meta_data[name].endswith("\u2026")
        assert metadata[name].startswith(event.meta_data[name][:-1])
    assert [oddity.code for oddity in event.oddities] == [oddities.TEXT_CUT]
    assert 42_000 < len(first.body()) <= 50_000 - 4096


def test_bytes_that_are_not_utf8_do_not_cause_a_rejection() -> None:
    payload = json.dumps(start_payload(metaData={"jobScript": "caf@"})).encode().replace(b"@", b"\xfc")
    escaped = payload.replace(b"\\", rb"\\").replace(b'"', rb"\"")
    (envelope,) = translated(b'job,function=start_job event="' + escaped + b'"')
    assert isinstance(envelope.event, JobStarted)
    over_rest, _ = read_object(StartPayload, payload)
    assert envelope.event.meta_data == over_rest.meta_data == {"jobScript": "caf\ufffd"}
    assert [oddity.code for oddity in envelope.event.oddities] == [oddities.NOT_UTF8]
    assert [oddity.code for oddity in over_rest.oddities] == [oddities.NOT_UTF8]


def test_bytes_that_are_not_utf8_are_reported_for_stops_and_nodes_too() -> None:
    (stop,) = translated(b'job,function=stop_job event="{\\"jobId\\":1,\\"stopTime\\":5,\\"cluster\\":\\"\xfc\\"}"')
    (nodes,) = translated(node_line().replace(b"idle", b"idle\xff"), NODE)
    for envelope in (stop, nodes):
        assert isinstance(envelope.event, JobStopped | NodesReported)
        assert [oddity.code for oddity in envelope.event.oddities] == [oddities.NOT_UTF8]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_a_start_with_a_final_state_and_a_duration_ends_at_once(state: str) -> None:
    start, stop = (envelope.event for envelope in translated(start_line(1, jobState=state, duration=60)))
    assert isinstance(start, JobStarted)
    assert start.oddities == []
    assert stop == JobStopped(
        job_id=1, cluster="fritz", start_time=start.start_time, stop_time=start.start_time + 60, job_state=JobState(state)
    )


def test_the_final_state_of_a_start_is_read_in_any_spelling() -> None:
    _, stop = (envelope.event for envelope in translated(start_line(1, jobState="CANCELLED by 7", duration=60)))
    assert isinstance(stop, JobStopped)
    assert (stop.job_state, stop.received_state) == ("cancelled", "CANCELLED by 7")
    assert [oddity.code for oddity in stop.oddities] == [oddities.STATE_WORD]


@pytest.mark.parametrize("fields", [{}, {"duration": 0}, {"duration": -5}], ids=repr)
def test_a_start_with_a_final_state_and_no_duration_is_running_with_an_oddity(fields: dict[str, Any]) -> None:
    (start,) = (envelope.event for envelope in translated(start_line(1, jobState="completed", **fields)))
    assert isinstance(start, JobStarted)
    assert [(oddity.code, oddity.field) for oddity in start.oddities] == [(oddities.STATE_AT_START, "jobState")]


@pytest.mark.parametrize("state", ["running", "pending", "suspended", "", "anything"])
def test_other_states_in_a_start_are_ignored(state: str) -> None:
    (start,) = (envelope.event for envelope in translated(start_line(1, jobState=state, duration=60)))
    assert isinstance(start, JobStarted)
    assert start.oddities == []


def test_bad_lines_beyond_a_limit_are_counted_and_not_listed() -> None:
    envelopes = translated(b"x\n" * (MAX_REJECTIONS + 50) + start_line())
    assert len(envelopes) == MAX_REJECTIONS + 2
    assert isinstance(envelopes[-2].event, JobStarted)
    last = envelopes[-1].event
    assert isinstance(last, IntakeRejected)
    assert last.code == reasons.MORE_BAD_LINES
    assert last.text.startswith("50 ")


def test_every_subject_is_short_enough_for_the_broker() -> None:
    """A subject is part of a control line; one of more than 4096 bytes ends the connection."""
    (envelope,) = translated(stop_line(cluster="\U0001f4a5" * 200))
    assert len(envelope.subject("p" * 32)) < 3500
    assert outcomes(stop_line(cluster="x" * 201)) == [f"{reasons.INVALID_VALUE} cluster"]


def test_node_reports_contain_every_node_of_the_line() -> None:
    (envelope,) = translated(node_line(states={"f0101": ["IDLE"], "f0102": ["DOWN*"]}), NODE)
    assert isinstance(envelope.event, NodesReported)
    assert [(node.hostname, node.state) for node in envelope.event.nodes] == [("f0101", "idle"), ("f0102", "down")]


def test_every_line_of_a_real_adapter_becomes_an_event() -> None:
    """Recorded from cc-slurm-adapter. A requeued job among them sent a stop with the state pending."""
    messages = [json.loads(entry)["data"].encode() for entry in (DATA / "slurmlab" / "nats.jsonl").read_text().splitlines()]
    events = [envelope.event for message in messages for envelope in translated(message)]
    starts = [event for event in events if isinstance(event, JobStarted)]
    stops = [event for event in events if isinstance(event, JobStopped)]
    assert (len(starts), len(stops), len(events)) == (21, 21, 42)
    assert {start.sub_cluster for start in starts} == {"cpu", "gpu"}
    assert all(start.submit_time > 0 for start in starts)
    assert all(stop.cluster == "slurmlab" and stop.start_time is None for stop in stops)


async def test_the_longest_subject_does_not_end_the_connection(nats_settings: NatsSettings, nats_client: Client) -> None:
    publisher = Publisher(nats_client, nats_settings.prefix)
    assert await publisher.publish(translated(stop_line(cluster="\U0001f4a5" * 255)), deadline_s=30) == [1]


@pytest.mark.parametrize("text", ["J\u00f6rg", "a\r\nNats-Msg-Id: x", " 100 % ", "%41", "\0\x7f"], ids=ascii)
async def test_headers_hold_any_text(text: str, nats_settings: NatsSettings, nats_client: Client) -> None:
    (envelope,) = translated(start_line())
    sent = dataclasses.replace(envelope, actor=text, message_id=f"import:{text}", source=text)
    await Publisher(nats_client, nats_settings.prefix).publish([sent], deadline_s=30)
    stored = await nats_client.jetstream().get_msg(nats_settings.stream("EVENTS"), 1)
    found = read(1, stored.headers, stored.data or b"", RECEIVED)
    assert isinstance(found, Recorded)
    assert (found.actor, found.message_id) == (text, f"import:{text}")


@pytest.mark.parametrize("name", ["ce-type", "ce-time", "Nats-Msg-Id", "Jobtide-Actor"])
async def test_headers_of_other_publishers_do_not_stop_the_reader(name: str, nats_settings: NatsSettings, nats_client: Client) -> None:
    (envelope,) = translated(start_line())
    subject = envelope.subject(nats_settings.prefix)
    await nats_client.jetstream().publish(subject, envelope.body(), headers=envelope.headers() | {name: "f\u00fcnf"})
    stored = await nats_client.jetstream().get_msg(nats_settings.stream("EVENTS"), 1)
    found = read(1, stored.headers, stored.data or b"", RECEIVED)
    assert isinstance(found, Unreadable if name.startswith("ce-") else Recorded)
    assert isinstance(found, Unreadable) or all(type(value) in (str, type(None)) for value in (found.actor, found.message_id))


# replays

LATER = RECEIVED + timedelta(days=3, microseconds=7)


def replayed(data: bytes, subject: str = JOB) -> list[Envelope]:
    """Message 77 replayed as message 99."""
    translator = Translator(IntakeSubjects(NatsSettings()), CLUSTERS, 1024 * 1024)
    return translator.translate(RawMessage(subject, data, STREAM, 99, LATER, Original(77, RECEIVED)))


@pytest.mark.parametrize(
    ("data", "subject"),
    [(start_line(1) + b"nonsense\n" + stop_line(1), JOB), (node_line(), NODE), (b"", JOB), (b"nonsense\n" * (MAX_REJECTIONS + 2), JOB)],
    ids=["lines", "nodes", "empty", "many bad lines"],
)
def test_a_replay_has_its_own_ids_and_the_time_and_position_of_the_original(data: bytes, subject: str) -> None:
    first, (announced, *found) = translated(data, subject), replayed(data, subject)
    assert isinstance(announced.event, IntakeReplayed)
    assert (announced.event.stream, announced.event.sequence, announced.event.stored_us) == (STREAM, 77, 1767323045000000)
    assert [(e.event, e.time, e.replays) for e in found] == [(e.event, RECEIVED, e.message_id) for e in first]
    ids = [e.message_id for e in (announced, *found)]
    assert len({*ids, *(e.message_id for e in first)}) == len(ids) + len(first)


def test_a_refused_event_of_a_replay_is_rejected_at_the_position_of_the_original() -> None:
    translator = Translator(IntakeSubjects(NatsSettings()), CLUSTERS, 1024 * 1024)
    refused = Refused(reasons.TOO_LARGE, "too large")
    (first,), (_, again) = translated(start_line()), replayed(start_line())
    one, other = translator.rejected(first, refused), translator.rejected(again, refused)
    assert (one.event, one.time, one.message_id) == (other.event, other.time, other.replays)
    assert other.message_id == again.message_id
