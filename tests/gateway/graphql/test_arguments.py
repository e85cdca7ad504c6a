"""Scalars, variables and filters as clients write them."""

import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from graphql import OperationDefinitionNode, build_schema, parse, validate
from graphql.execution.values import VariableValues, get_variable_values

from services.gateway.errors import RequestError
from services.gateway.graphql.arguments import job_filters, order_of, slice_of, unix_seconds
from services.gateway.graphql.execution import lenient
from services.gateway.graphql.fields.jobs import hardware_of, time_text
from services.gateway.graphql.schema_files import executable_schema
from services.gateway.reading.model import JobFilter, MetricRange, Order, Overlap, Range, Slice, TextMatch

SCHEMA = executable_schema()
NOW = 1_700_000_000.0


def coerced(declaration: str, value: Any) -> Any:
    """A variable as passed to a resolver. Raises ValueError with the first error."""
    (operation,) = parse(f"query($v: {declaration}) {{ __typename }}").definitions
    assert isinstance(operation, OperationDefinitionNode)
    given = lenient(SCHEMA, operation, {"v": value, "other": 1})
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), given)
    if not isinstance(values, VariableValues):
        raise ValueError(values[0].message)  # noqa: TRY004 - expected by the tests
    return values.coerced["v"]


@pytest.mark.parametrize(
    ("declaration", "value", "expected"),
    [
        ("Int", 2**62, 2**62),
        ("Int", "12", 12),
        ("Int", "-12", -12),
        ("Int", 3.0, 3),
        ("Float", "1.5e3", 1500.0),
        ("String", 4711, "4711"),
        ("ID", 4711, "4711"),
        ("ID", 1.5, "1.5"),
        ("[JobState!]", "running", ["running"]),
        ("[StringInput!]", {"eq": 7}, [{"eq": "7"}]),
        ("JobFilter", {"state": ["running"], "numNodes": {"from": "1", "to": 0}}, {"state": ["running"], "numNodes": {"from": 1, "to": 0}}),
    ],
)
def test_variables_of_compatible_types_are_converted(declaration: str, value: Any, expected: Any) -> None:
    assert coerced(declaration, value) == expected


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("Int", 2**63),
        ("Int", 1.5),
        ("Int", "1.5"),
        ("Int", True),
        ("Int", ""),
        ("String", True),
        ("Float", "x"),
        ("Aggregate", "user"),
        ("JobFilter", {"nope": 1}),
        ("PageRequest", {"page": 1}),
        ("MetricScope", True),
    ],
)
def test_variables_of_other_types_are_refused(declaration: str, value: Any) -> None:
    with pytest.raises(ValueError, match="invalid value"):
        coerced(declaration, value)


@pytest.mark.parametrize(
    ("query", "is_valid"),
    [
        ("{ jobs(filter: {state: running}) { count } }", True),
        ('{ jobs(filter: [{state: ["running"]}]) { count } }', True),
        ("{ jobs(page: {itemsPerPage: 9000000000, page: 1}) { count } }", True),
        ("{ jobs(page: {itemsPerPage: 99999999999999999999, page: 1}) { count } }", False),
        ('{ jobs(page: {itemsPerPage: "1", page: 1}) { count } }', False),
        ("{ jobs(filter: [{jobId: {eq: 7000}}]) { count } }", False),
        ('{ jobsStatistics(groupBy: "USER") { id } }', False),
    ],
)
def test_literals_are_strict_except_for_quotes_around_words(query: str, is_valid: bool) -> None:
    assert (validate(SCHEMA, parse(query)) == []) is is_valid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14T23:13:20+01:00", NOW),
        ("2023-11-14T22:13:20.999Z", NOW),
        ("2023-11-14 22:13:20", NOW),
        ("", -62_135_596_800),
    ],
)
def test_times_are_parsed_to_unix_seconds(text: str, expected: float) -> None:
    assert unix_seconds(text, "from") == expected


@pytest.mark.parametrize("text", ["2023-11-14", "2023-11-14T22:13:20", "yesterday", "1700000000", "2023-11-14T22:13Z"])
def test_invalid_times_are_refused_by_name(text: str) -> None:
    with pytest.raises(RequestError, match=r"^from: "):
        unix_seconds(text, "from")


def test_times_are_written_in_the_time_zone_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {
        "UTC": "2023-11-14T22:13:20Z",
        "Europe/Berlin": "2023-11-14T23:13:20+01:00",
        "America/St_Johns": "2023-11-14T18:43:20-03:30",
    }
    try:
        for zone, text in expected.items():
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert time_text(int(NOW)) == text
            for day in range(0, 400, 7):  # across both clock changes of the year
                local = datetime.fromtimestamp(NOW + day * 86_401, ZoneInfo(zone))
                assert datetime.fromisoformat(time_text(int(NOW) + day * 86_401)) == local
                assert datetime.fromisoformat(time_text(int(NOW) + day * 86_401)).utcoffset() == local.utcoffset()
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, JobFilter()),
        ({"user": {"neq": "a", "eq": None, "in": ["b"]}}, JobFilter(user=TextMatch("neq", ("a",)))),
        ({"user": {}}, JobFilter()),
        ({"cluster": {"in": []}}, JobFilter(cluster=TextMatch("in", ()))),
        ({"dbId": [], "tags": ["7", "x"]}, JobFilter(ids=(), tags=(7,))),
        ({"tagged": {"any": ["7", "8"], "all": ["1"], "none": ["2"]}}, JobFilter(tags=(7, 8), all_tags=(1,), no_tags=(2,))),
        ({"tags": ["7"], "tagged": {"any": None, "all": []}}, JobFilter(tags=(7,))),
        ({"numNodes": {"from": 0, "to": 0}}, JobFilter()),
        ({"numNodes": {"from": -1, "to": 5}}, JobFilter()),
        ({"numNodes": {"from": 0, "to": 5}, "energy": {"from": 0.5, "to": 0}}, JobFilter(num_nodes=Range(None, 5), energy=Range(0.5))),
        ({"startTime": {"range": "last6h"}}, JobFilter(start_time=Range(int(NOW) - 21600))),
        ({"startTime": {"range": "last6h", "to": "2023-11-14T22:13:20Z"}}, JobFilter(start_time=Range(None, int(NOW)))),
        ({"startTime": {"range": ""}}, JobFilter()),
        ({"overlaps": {"range": "last6h"}}, JobFilter(overlaps=Overlap(int(NOW) - 21600, None, int(NOW)))),
        (
            {"overlaps": {"from": "2023-11-14T22:13:20Z", "to": "2023-11-14T22:13:21Z"}},
            JobFilter(overlaps=Overlap(int(NOW), int(NOW) + 1, int(NOW))),
        ),
        ({"schedule": "batch"}, JobFilter(is_interactive=False)),
        ({"schedule": "other", "shared": "none"}, JobFilter(shared="none")),
        (
            {"metricStats": [{"metricName": "a_max", "range": {"from": 1, "to": 0}}, {"metricName": "b", "range": {"from": 0, "to": 0}}]},
            JobFilter(metric_stats=(MetricRange("a_max", Range(1)),)),
        ),
        (
            {"metricStats": [{"metricName": "cpu load", "range": {"from": 0, "to": 0}}]},
            JobFilter(metric_stats=(MetricRange("cpu load", Range()),)),  # not a valid key: matches nothing
        ),
        ({"duration": {"from": 300, "to": 0}}, JobFilter(duration=Range(300), duration_at=int(NOW))),
    ],
)
def test_filter_arguments_become_job_filters(given: dict[str, Any], expected: JobFilter) -> None:
    assert job_filters([given], NOW) == [expected]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"state": ["stopped"]}, "state"),
        ({"startTime": {"range": "last5h"}}, "startTime.range"),
        ({"startTime": {"from": "x"}}, "startTime.from"),
        ({"tagged": {"all": ["hangs"]}}, "tagged.all"),
        ({"tagged": {"none": ["99999999999999999999"]}}, "tagged.none"),
        ({"tags": ["1"], "tagged": {"any": ["2"]}}, "tags, tagged.any"),
        ({"overlaps": {"range": "last5h"}}, "overlaps.range"),
        ({"overlaps": {"to": "x"}}, "overlaps.to"),
    ],
)
def test_invalid_filter_values_are_refused_by_name(given: dict[str, Any], name: str) -> None:
    with pytest.raises(RequestError, match=f"^{name}: "):
        job_filters([given], NOW)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("startTime", "start_time"),
        ("numHwthreads", "num_hwthreads"),
        ("numHWThreads", "num_hwthreads"),
        ("subCluster", "subcluster"),
        ("subcluster", "subcluster"),
        ("user", "hpc_user"),
        ("hpcUser", "hpc_user"),
        ("partition", "cluster_partition"),
        ("clusterPartition", "cluster_partition"),
        ("state", "job_state"),
        ("SMT", "smt"),
        ("job_id", "job_id"),
    ],
)
def test_order_fields_have_accepted_spellings(name: str, column: str) -> None:
    assert order_of({"field": name, "type": "col", "order": "ASC"}, NOW) == Order(column, is_descending=False)


def test_ordering_by_duration_uses_the_shown_duration() -> None:
    given = {"field": "duration", "type": "col", "order": "ASC"}
    assert order_of(given, NOW) == Order("duration", is_descending=False, duration_at=int(NOW))


def test_footprint_keys_to_order_by_are_passed_on_unchanged() -> None:
    assert order_of({"field": "cpuLoad_avg", "type": "foot", "order": "DESC"}, NOW) == Order(
        "cpuLoad_avg", is_descending=True, is_footprint=True
    )


def test_page_arguments_become_slices() -> None:
    assert slice_of(None) == Slice(50)
    assert slice_of({"itemsPerPage": 20, "page": 3}) == Slice(20, 40)
    assert slice_of({"itemsPerPage": 20, "page": -3}) == Slice(20, 0)
    assert slice_of({"itemsPerPage": -1, "page": 9}) == Slice(None)
    for wrong in (0, -2):
        with pytest.raises(RequestError, match="itemsPerPage"):
            slice_of({"itemsPerPage": wrong, "page": 1})


def test_hardware_is_guessed_from_the_metric() -> None:
    guesses = {"cpu_power": "CPU", "acc_power": "Accelerator", "mem_power": "Memory", "core_power": "Core", "node_power": "Other"}
    assert {metric: hardware_of(metric) for metric in guesses} == guesses


def test_other_schemas_keep_their_own_int() -> None:
    assert str(build_schema("type Query { a: Int }").type_map["Int"]) == "Int"
    assert build_schema("type Query { a: Int }").type_map["Int"] is not SCHEMA.type_map["Int"]
