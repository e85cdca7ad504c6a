"""The log stays readable: every version of every event can be decoded, and any event survives encoding and decoding."""

import dataclasses
import json
import types
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.broker.envelope import STORED_AT, Envelope, excerpt_text, read, subject_token
from shared.domain import events, reasons
from shared.domain.events import EVENT_TYPES, Event, JobTagged, Tag, decode, encode, type_of
from shared.domain.payloads import Resource
from shared.domain.recorded import IntakeOrigin, Recorded, Unreadable, microseconds, without_stored_time
from shared.errors import Refused
from tests.support.builders import job_started, job_stopped, nodes_reported
from tests.support.clusters import DATA

EXAMPLES = sorted((DATA / "events").glob("*.json"))
STORED = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def example(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def version_of(file: Path) -> str:
    """The type in a file name such as ``job.started.v1``; a field added within the version follows after a dash."""
    return file.stem.partition("-")[0]


def recorded(headers: dict[str, str], body: bytes) -> Recorded | Unreadable:
    return read(5, headers, body, STORED)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_event_of_an_old_log_is_read(file: Path) -> None:
    stored = example(file)
    found = recorded(stored["headers"], json.dumps(stored["body"]).encode())
    assert isinstance(found, Recorded), found
    name, version = version_of(file).rsplit(".v", 1)
    assert found.event.name == name
    assert (found.actor, found.reply_to) == ("alice", "_INBOX.x")
    assert found.time == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC).timestamp()
    if int(version) == found.event.version:
        body = found.event.model_dump(mode="json", by_alias=True)
        not_default = found.event.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        added_since = set(body) - set(stored["body"])  # within the version, with a default
        assert as_stored(body, stored["body"]) == stored["body"]
        assert not added_since & set(not_default)
        envelope = Envelope(found.event, found.message_id, stored["headers"]["ce-source"], STORED)
        assert envelope.subject("jobtide") == stored["subject"]


def as_stored(value: Any, stored: Any) -> Any:
    """The value without fields, at any depth, that the stored one lacks."""
    match stored:
        case dict() if isinstance(value, dict):
            return {name: as_stored(value.get(name), stored[name]) for name in stored}
        case list() if isinstance(value, list) and len(value) == len(stored):
            return [as_stored(one, other) for one, other in zip(value, stored, strict=True)]
        case _:
            return value


def test_there_is_an_example_of_every_version_of_every_event() -> None:
    """A file of ``tests/data/events`` never changes: a changed event gets a version, an upcaster and a file, an added field a file."""
    wanted = {f"{name}.v{version}" for name, event in EVENT_TYPES.items() for version in range(1, event.version + 1)}
    assert {version_of(file) for file in EXAMPLES} == wanted


def test_an_example_has_every_field_of_its_event() -> None:
    for name, event in EVENT_TYPES.items():
        bodies = [example(file)["body"] for file in EXAMPLES if version_of(file) == f"{name}.v{event.version}"]
        assert set().union(*bodies) == {field.alias for field in event.model_fields.values()}, name


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(argument) for argument in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    if annotation is type(None):
        return st.none()
    if issubclass(annotation, StrEnum):
        return st.sampled_from(list(annotation))
    if annotation is Resource:
        return st.builds(Resource, hostname=st.text(min_size=1, max_size=200), hwthreads=st.none() | st.lists(st.integers(0, 100)))
    if issubclass(annotation, BaseModel):
        return whole(annotation)
    return {int: st.integers(), str: st.text(), bool: st.booleans(), float: st.floats(allow_nan=False, allow_infinity=False)}[annotation]


def whole(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({name: values(info.annotation) for name, info in model.model_fields.items()}).map(model.model_validate)


ANY_EVENT = st.sampled_from(list(EVENT_TYPES.values())).flatmap(whole)


@given(ANY_EVENT)
def test_any_event_is_the_same_after_the_log(event: Event) -> None:
    assert decode(type_of(event), encode(event)) == event
    assert encode(decode(type_of(event), encode(event))) == encode(event)


@given(
    ANY_EVENT,
    st.text(min_size=1, max_size=40),
    st.integers(0, 10**13),
)
def test_any_envelope_is_the_same_after_the_log(event: Event, message_id: str, milliseconds: int) -> None:
    time = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
    found = recorded(Envelope(event, message_id, "/test", time, "bob", "_INBOX.1").headers(), encode(event))
    assert found == Recorded(5, event, time.timestamp(), "bob", "_INBOX.1", message_id, STORED.timestamp())


def test_an_event_that_moved_within_the_log_keeps_the_time_when_it_was_stored_first() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)
    found = recorded(HEADERS | {STORED_AT: time.isoformat()}, encode(job_stopped()))
    assert isinstance(found, Recorded)
    assert found.stored_at == time.timestamp()


def test_an_old_version_is_upcast_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobTagged, "version", 3)
    steps = {
        ("job.tagged", 1): lambda body: {"id": body["job"], "cluster": body["cluster"], "tag": body["tag"]},
        ("job.tagged", 2): lambda body: {"id": body["id"], "cluster": body["cluster"], "tags": [body["tag"]]},
    }
    monkeypatch.setattr(events, "UPCASTERS", steps)
    now = JobTagged(id=7, cluster="fritz", tags=[Tag(type="a", name="b")])
    first = {"job": 7, "cluster": "fritz", "tag": {"type": "a", "name": "b"}}
    second = {"id": 7, "cluster": "fritz", "tag": {"type": "a", "name": "b"}}
    assert decode("jobtide.job.tagged.v1", json.dumps(first).encode()) == now
    assert decode("jobtide.job.tagged.v2", json.dumps(second).encode()) == now
    assert decode("jobtide.job.tagged.v3", encode(now)) == now


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "jobtide.",
        "jobtide.job.started",
        "jobtide.job.started.v0",
        "jobtide.job.started.v2",
        "jobtide.job.started.v²",
        "jobtide.job.exploded.v1",
        "job.started.v-1",
        ".v1",
    ],
)
def test_an_event_type_of_another_program_is_refused(event_type: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(event_type, encode(job_started()))
    assert caught.value.code == reasons.UNREADABLE_EVENT


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[]", b"\xff", b'{"jobId":"x"}', b"{" * 100_000])
def test_a_body_that_is_not_the_event_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode("jobtide.job.started.v1", body)
    assert caught.value.code == reasons.UNREADABLE_EVENT


HEADERS = Envelope(job_stopped(), "id", "/test", STORED).headers()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (None, b"x"),
        ({}, b"x\0y"),
        (HEADERS | {"ce-type": "other"}, b"{}"),
        (HEADERS | {"ce-time": "yesterday"}, encode(job_stopped())),
        (HEADERS | {STORED_AT: "yesterday"}, encode(job_stopped())),
        (HEADERS | {"ce-time": "0001-01-01T00:00:00"}, encode(job_stopped())),
        (HEADERS, b"{}"),
    ],
    ids=repr,
)
def test_a_message_that_is_not_an_event_is_unreadable(headers: dict[str, str] | None, body: bytes) -> None:
    found = read(5, headers, body, STORED)
    assert isinstance(found, Unreadable)
    assert (found.sequence, found.reason.code, found.excerpt) == (5, reasons.UNREADABLE_EVENT, excerpt_text(body))


@given(st.binary(max_size=600))
def test_an_excerpt_is_short_text_that_every_database_stores(data: bytes) -> None:
    text = excerpt_text(data)
    assert len(text) <= 512
    assert "\0" not in text
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (job_started(cluster="fritz"), "p.job.started.fritz"),
        (job_stopped(cluster=None), "p.job.stopped._"),
        (job_stopped(cluster=""), "p.job.stopped._"),
        (job_started(cluster="a.b *>ä"), "p.job.started.a=2Eb=20=2A=3E=C3=A4"),
        (nodes_reported("alex"), "p.node.reported.alex"),
        (events.TagCreated(tag=Tag(type="a", name="b")), "p.tag.created"),
        (events.HousekeepingDue(parked_stop_ttl_s=1, rejection_retention_s=1), "p.housekeeping.due"),
    ],
)
def test_the_subject_contains_event_and_cluster(event: Event, subject: str) -> None:
    assert Envelope(event, "id", "/test", STORED).subject("p") == subject


@given(st.text(), st.text())
def test_clusters_have_distinct_subject_tokens(one: str, other: str) -> None:
    tokens = [subject_token(name) for name in (one, other)]
    assert all(token and not set(token) & set(".*> \t\r\n") for token in tokens)
    assert (tokens[0] == tokens[1]) == (one == other or {one, other} == {"", "_"})


@given(st.text(), st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 2**63))
def test_the_origin_can_be_parsed_from_the_message_id(stream: str, sequence: int, line: int, part: int) -> None:
    origin = IntakeOrigin(stream, sequence, line)
    assert IntakeOrigin.of(origin.message_id(part)) == origin
    assert without_stored_time(origin.message_id(part)) is None
    stored = IntakeOrigin(stream, sequence, line, 1_767_323_045_000_001)
    assert IntakeOrigin.of(stored.message_id(part)) == stored
    assert without_stored_time(stored.message_id(part)) == origin.message_id(part)


@given(st.datetimes(timezones=st.just(UTC)))
def test_stored_times_that_differ_give_ids_that_differ(time: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(time)) == time


@pytest.mark.parametrize("message_id", ["", "abc", "a:b:c:d", "1:2:3", "x:1:2:-3", "x:1:2:"])
def test_ids_of_other_publishers_have_no_origin(message_id: str) -> None:
    assert IntakeOrigin.of(message_id) is None


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        job_started().job_id = 5  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Envelope(job_started(), "id", "/test", STORED).message_id = "x"  # type: ignore[misc]
