"""Strict validation of JSON: keys, nulls, numbers, text that databases cannot store."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import oddities, reasons
from shared.domain.payloads import NodeStatePayload, StartPayload, StopPayload, TagPayload
from shared.domain.wire import MAX_ODDITIES, first_value, read_list, read_object, read_value, storable_text
from shared.errors import Refused
from tests.support.builders import start_payload, stop_payload


def start(**fields: Any) -> StartPayload:
    return read_object(StartPayload, json.dumps(start_payload(**fields)).encode())[0]


def refused(text: str | bytes, model: type[StartPayload] | type[StopPayload] = StartPayload) -> tuple[str, str | None]:
    with pytest.raises(Refused) as caught:
        read_object(model, text if isinstance(text, bytes) else text.encode())
    return caught.value.code, caught.value.field


def with_raw(raw: str) -> str:
    """A start with ``raw`` JSON text as further members."""
    return json.dumps(start_payload())[:-1] + "," + raw + "}"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ('"exclusive":1', "exclusive"),
        ('"state":"x"', "state"),
        ('"job_id":3', "job_id"),
        ('"resources":[{"hostname":"f0101","foo":1}]', "resources.0.foo"),
        ('"tags":[{"type":"a","name":"b"},{"type":"a","name":"c","x":1}]', "tags.1.x"),
        ('"concurrentJobs":{"count":1,"more":2}', "concurrentJobs.more"),
        ('"concurrentJobs":{"items":[{"id":1,"x":2}]}', "concurrentJobs.items.0.x"),
        ('"statistics":{"m":{"avg":1,"sum":2}}', "statistics.m.sum"),
        ('"statistics":{"m":{"unit":{"base":"B","x":1}}}', "statistics.m.unit.x"),
        (f'"{"k" * 300}":1', "k" * 200),
    ],
    ids=lambda value: value[:50],
)
def test_an_unknown_field_at_any_depth_refuses_the_object(raw: str, field: str) -> None:
    assert refused(with_raw(raw)) == (reasons.UNKNOWN_FIELD, field)


@pytest.mark.parametrize("key", ["WALLTIME", "Walltime", "wallTime"])
def test_keys_match_regardless_of_case(key: str) -> None:
    assert read_object(StartPayload, json.dumps(start_payload() | {"walltime": 5, key: 7}).encode())[0].walltime == 7


def test_keys_match_regardless_of_case_at_any_depth() -> None:
    raw = with_raw(
        '"RESOURCES":[{"HostName":"f0102","HWTHREADS":[1]}],"Statistics":{"m":{"AVG":2,"Unit":{"BASE":"B"}}},"metadata":{"jobName":"x"}'
    )
    payload, _ = read_object(StartPayload, raw.encode())
    assert payload.resources[0].hostname == "f0102"
    assert payload.resources[0].hwthreads == [1]
    assert payload.statistics is not None
    assert (payload.statistics["m"].avg, payload.statistics["m"].unit.base) == (2.0, "B")
    assert payload.meta_data == {"jobName": "x"}


def test_keys_of_maps_keep_their_case() -> None:
    assert start(metaData={"JobName": "x", "jobname": "y"}).meta_data == {"JobName": "x", "jobname": "y"}


def test_the_last_of_repeated_keys_wins() -> None:
    assert read_object(StartPayload, with_raw('"walltime":1,"walltime":2').encode())[0].walltime == 2


@pytest.mark.parametrize(
    "key", [name for name in start_payload() if name not in ("jobId", "cluster", "user", "startTime", "numNodes", "resources")]
)
def test_null_keeps_the_default_of_a_field(key: str) -> None:
    payload = start_payload()
    del payload[key]
    absent = read_object(StartPayload, json.dumps(payload).encode())[0]
    assert start(**{key: None}) == absent


@pytest.mark.parametrize("key", ["jobId", "cluster", "user", "startTime", "numNodes", "resources"])
def test_a_required_field_that_is_null_or_absent_is_named(key: str) -> None:
    payload = start_payload()
    assert refused(json.dumps(payload | {key: None})) == (reasons.MISSING_FIELD, key)
    del payload[key]
    assert refused(json.dumps(payload)) == (reasons.MISSING_FIELD, key)


@pytest.mark.parametrize("key", ["cluster", "user", "resources"])
def test_a_required_field_that_is_empty_is_named(key: str) -> None:
    assert refused(json.dumps(start_payload() | {key: [] if key == "resources" else ""})) == (reasons.MISSING_FIELD, key)


def test_null_inside_maps_is_the_zero_value() -> None:
    payload = start(metaData={"a": None, "b": "x"}, footprint={"f": None}, energyFootprint={"e": None}, statistics={"m": None})
    assert payload.meta_data == {"a": "", "b": "x"}
    assert payload.footprint == {"f": 0.0}
    assert payload.energy_footprint == {"e": 0.0}
    assert payload.statistics is not None
    assert payload.statistics["m"].avg == 0.0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"resources": [None]}, "resources.0"),
        ({"resources": [{"hostname": "f0101"}, None]}, "resources.1"),
        ({"tags": [None]}, "tags.0"),
        ({"resources": [{"hostname": "f0101", "hwthreads": [1, None]}]}, "resources.0.hwthreads.1"),
        ({"resources": [{"hostname": "f0101", "accelerators": [None]}]}, "resources.0.accelerators.0"),
    ],
)
def test_null_inside_resources_and_tags_is_refused_with_its_position(fields: dict[str, Any], field: str) -> None:
    assert refused(json.dumps(start_payload() | fields)) == (reasons.INVALID_VALUE, field)


@pytest.mark.parametrize("literal", ["5.0", "5e3", '"5"', "true", "1e2", "9223372036854775808", "18446744073709551616", "[5]", "{}", "-1"])
def test_an_integer_is_an_integer_literal_in_range(literal: str) -> None:
    assert refused(with_raw(f'"numNodes":{literal}')) == (reasons.INVALID_VALUE, "numNodes")


NUMBERS = "walltime requestedMemory submitTime numAcc numHwthreads smt".split()


@pytest.mark.parametrize(
    "literal", ["-1", "5.5", "5e3", '"UNLIMITED"', "true", "1e400", "-9223372036854775809", "18446744073709551616", "[5]"]
)
@pytest.mark.parametrize("name", NUMBERS)
def test_an_informative_number_that_cannot_be_used_is_unknown(name: str, literal: str) -> None:
    payload, _ = read_object(StartPayload, with_raw(f'"{name}":{literal}').encode())
    assert payload.model_dump(by_alias=True)[name] == 0
    ((code, field),) = [(oddity.code, oddity.field) for oddity in payload.oddities]
    assert (code, field) == (oddities.UNUSABLE_VALUE, name)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ('"energy":"5"', "energy"),
        ('"arrayJobId":9223372036854775808', "arrayJobId"),
        ('"duration":2147483648', "duration"),
        ('"id":"x"', "id"),
        ('"jobState":3', "jobState"),
        ('"partition":["x"]', "partition"),
        (f'"partition":"{"p" * 300}"', "partition"),
        ('"footprint":{"a":"1"}', "footprint"),
        ('"energyFootprint":5', "energyFootprint"),
        ('"statistics":{"m":{"avg":"x"}}', "statistics"),
        ('"concurrentJobs":{"count":"x"}', "concurrentJobs"),
        ('"metaData":[1]', "metaData"),
    ],
    ids=lambda value: value[:40],
)
def test_an_informative_field_that_cannot_be_used_has_its_default(raw: str, field: str) -> None:
    payload, _ = read_object(StartPayload, with_raw(raw).encode())
    absent, _ = read_object(StartPayload, json.dumps({k: v for k, v in start_payload().items() if k != field}).encode())
    assert payload.model_dump() == absent.model_dump()
    assert [(oddity.code, oddity.field) for oddity in payload.oddities] == [(oddities.UNUSABLE_VALUE, field)]


def test_metadata_that_are_not_strings_are_stored_as_json() -> None:
    metadata = {"a": 1, "b": [1, "\u00fc"], "c": {"d": None}, "e": True, "f": "text", "g": None, "h": 1.5}
    payload = start(metaData=metadata)
    assert payload.meta_data == {"a": "1", "b": '[1, "\u00fc"]', "c": '{"d": null}', "e": "true", "f": "text", "g": "", "h": "1.5"}
    assert [(oddity.code, oddity.field) for oddity in payload.oddities] == [(oddities.VALUE_AS_TEXT, "metaData")]


def test_an_unusable_number_of_a_node_refuses_no_node() -> None:
    nodes = [{"hostname": "a", "jobsRunning": 1}, {"hostname": "b", "cpusAllocated": "x", "jobsRunning": 2}]
    payload, _ = read_object(NodeStatePayload, json.dumps({"cluster": "fritz", "nodes": nodes}).encode())
    assert [(node.hostname, node.cpus_allocated, node.jobs_running) for node in payload.nodes] == [("a", 0, 1), ("b", 0, 2)]
    assert [oddity.field for oddity in payload.oddities] == ["nodes.1.cpusAllocated"]


def test_oddities_of_one_object_are_bounded() -> None:
    nodes = [{"hostname": f"n{number}", "cpusAllocated": -(2**70)} for number in range(1000)]
    payload, _ = read_object(NodeStatePayload, json.dumps({"cluster": "fritz", "nodes": nodes}).encode())
    assert len(payload.nodes) == 1000
    assert len(payload.oddities) == MAX_ODDITIES


def test_a_fault_in_an_identifying_field_always_refuses_the_job() -> None:
    assert refused(with_raw('"walltime":-1,"user":""')) == (reasons.MISSING_FIELD, "user")
    assert refused(with_raw('"walltime":-1,"numNodes":0')) == (reasons.INVALID_VALUE, "numNodes")


@pytest.mark.parametrize(("literal", "value"), [("0", 0), ("-0", 0), ("9007199254740991", 2**53 - 1)])
def test_integers_up_to_2_to_the_53_are_read_exactly(literal: str, value: int) -> None:
    assert read_object(StartPayload, with_raw(f'"walltime":{literal}').encode())[0].walltime == value


@pytest.mark.parametrize(("literal", "value"), [("5", 5.0), ("5.5", 5.5), ("1e2", 100.0), ("-0.5", -0.5)])
def test_fractions_are_accepted_for_numbers_that_are_not_integers(literal: str, value: float) -> None:
    assert read_object(StartPayload, with_raw(f'"energy":{literal}').encode())[0].energy == value


@pytest.mark.parametrize(
    "raw", ['"user":5', '"project":["x"]', '"cluster":null,"cluster":7', '"shared":1', '"tags":"x"', '"monitoringStatus":true']
)
def test_other_types_are_refused(raw: str) -> None:
    code, field = refused(with_raw(raw))
    assert code == reasons.INVALID_VALUE
    assert field is not None
    assert raw.startswith(f'"{field.split(".")[0]}"')


@pytest.mark.parametrize(
    "text", ["", "  ", "[]", "5", '"x"', "true", "{", '{"jobId":1,}', "{'jobId':1}", '{"jobId":NaN}', "nul", "\ufeff{}", "x{}"]
)
def test_text_that_is_not_a_json_object_is_refused(text: str) -> None:
    assert refused(text) == (reasons.INVALID_JSON, None)


def test_raw_control_characters_inside_strings_are_refused() -> None:
    assert refused(with_raw('"project":"a\nb"')) == (reasons.INVALID_JSON, None)
    assert refused(with_raw('"project":"a\0b"')) == (reasons.INVALID_JSON, None)


def test_null_is_an_object_without_fields() -> None:
    assert refused("null", StopPayload) == (reasons.MISSING_FIELD, "jobId")


@pytest.mark.parametrize("rest", [" x", "{}", "}", " {", '{"jobId":2}', "\n5"])
def test_text_after_the_object_is_reported_and_ignored(rest: str) -> None:
    payload, has_rest = read_object(StopPayload, (json.dumps(stop_payload(7)) + rest).encode())
    assert payload.job_id == 7
    assert has_rest


@pytest.mark.parametrize("rest", ["", " ", "\r\n\t "])
def test_white_space_around_the_object_is_ignored(rest: str) -> None:
    assert read_object(StopPayload, (rest + json.dumps(stop_payload(7)) + rest).encode())[1] is False


@pytest.mark.parametrize(
    ("escape", "text"),
    [
        (r"\u0000", "\ufffd"),
        (r"\ud800", "\ufffd"),
        (r"\udc00x", "\ufffdx"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud800\u0000", "\ufffd\ufffd"),
    ],
)
def test_text_that_cannot_be_stored_is_replaced(escape: str, text: str) -> None:
    raw = with_raw(f'"project":"{escape}","metaData":{{"{escape}":"{escape}"}}')
    payload, _ = read_object(StartPayload, raw.encode())
    assert payload.project == text
    assert payload.meta_data == {text: text}


@given(st.text())
def test_storable_text_is_utf8_without_nul(text: str) -> None:
    stored = storable_text(text)
    assert "\0" not in stored
    assert stored.encode() == storable_text(stored).encode()


@pytest.mark.parametrize("depth", [100, 500, 900, 1000, 5000, 200_000])
@pytest.mark.parametrize("inside", ['"\\u0000"', "1", '"\\ud800"'])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(depth: int, inside: str, opening: str, closing: str) -> None:
    code, _ = refused(with_raw(f'"tags":[{opening * depth}{inside}{closing * depth}]'))
    assert code in (reasons.INVALID_JSON, reasons.INVALID_VALUE, reasons.UNKNOWN_FIELD)


@pytest.mark.parametrize("depth", [10, 100, 500, 900])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_in_an_informative_field_is_an_oddity(depth: int, opening: str, closing: str) -> None:
    payload, _ = read_object(StartPayload, with_raw(f'"metaData":{opening * depth}1{closing * depth}').encode())
    assert [oddity.field for oddity in payload.oddities] == ["metaData"]


def test_a_refusal_names_long_keys_only_in_part() -> None:
    code, field = refused(with_raw(f'"statistics":{{"{"k" * 5000}":{{"x":1}}}}'))
    assert code == reasons.UNKNOWN_FIELD
    assert field == ("statistics." + "k" * 5000)[:200]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*(info.alias or name for name, info in StartPayload.model_fields.items()), "other"]), JSON_VALUES))
def test_any_object_is_read_or_refused(changes: dict[str, Any]) -> None:
    refusal: Refused | None = None
    try:
        read_object(StartPayload, json.dumps(start_payload() | changes).encode())
    except Refused as e:
        refusal = e
    assert refusal is None or refusal.code in reasons.REASONS
    assert refusal is None or len(refusal.field or "") <= 200


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(text: bytes) -> None:
    code = reasons.INVALID_JSON
    try:
        first_value(text)
    except Refused as e:
        code = e.code
    assert code == reasons.INVALID_JSON


def test_a_list_is_read_by_the_same_rules() -> None:
    assert read_list(TagPayload, b'[{"TYPE":"a","name":"b"}]') == [TagPayload(type="a", name="b")]
    assert read_list(TagPayload, b"null") == []


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        (b"{}", reasons.INVALID_JSON, None),
        (b"[null]", reasons.INVALID_VALUE, "0"),
        (b'[{"type":"a","name":"b"},{"type":"a"}]', reasons.MISSING_FIELD, "1.name"),
        (b'[{"type":"a","name":"b","x":1}]', reasons.UNKNOWN_FIELD, "0.x"),
    ],
)
def test_a_list_with_a_wrong_item_is_refused_with_its_place(text: bytes, code: str, field: str | None) -> None:
    with pytest.raises(Refused) as caught:
        read_list(TagPayload, text)
    assert (caught.value.code, caught.value.field) == (code, field)


ODD = [None, "", "x", 0, -1, 2**40, 2**70, 1.0, 1e300, True, [], {}, [None], {"b": None}, {"b": 1}]


@given(
    st.dictionaries(st.sampled_from([*start_payload(), "jobState", "tags", "energy", "footprint", "JOBID", "job_id"]), st.sampled_from(ODD))
)
def test_an_object_is_read_the_same_at_once_and_step_by_step(changes: dict[str, Any]) -> None:
    """A faultless object is validated as text; others are decoded first, since they may have to be repaired."""
    text = json.dumps(start_payload() | changes).encode()

    def outcome(read: Callable[[], StartPayload]) -> tuple[object, ...]:
        try:
            found = read()
        except Refused as e:
            return e.code, e.field, e.text
        return found, found.oddities

    at_once = outcome(lambda: read_object(StartPayload, text)[0])
    assert at_once == outcome(lambda: read_value(StartPayload, first_value(text)[0]))
