"""Payloads become events: the checks that need no database."""

import json
from typing import Any

import pytest

from shared.domain import intake, oddities, reasons
from shared.domain.events import JobStarted, JobStopped, NodesReported, Tag
from shared.domain.payloads import NodeStatePayload, StartPayload, StopPayload
from shared.domain.states import state_of
from shared.domain.values import JOB_STATES, MAX_NAME, JobState
from shared.domain.wire import read_object
from shared.errors import Refused
from tests.support.builders import start_payload, stop_payload
from tests.support.clusters import sample_clusters

CLUSTERS = sample_clusters()


def started(**fields: Any) -> JobStarted:
    return intake.job_started(read_object(StartPayload, json.dumps(start_payload(**fields)).encode())[0], CLUSTERS)


def stopped(**fields: Any) -> JobStopped:
    return intake.job_stopped(read_object(StopPayload, json.dumps(stop_payload(**fields)).encode())[0], may_wait=True)


def reported(payload: dict[str, Any]) -> tuple[NodesReported, list[Refused]]:
    return intake.nodes_reported(read_object(NodeStatePayload, json.dumps(payload).encode())[0], CLUSTERS)


def hosts(count: int) -> list[dict[str, Any]]:
    return [{"hostname": f"f{number:04d}"} for number in range(101, 101 + count)]


def test_a_minimal_start_has_the_defaults_of_the_interface() -> None:
    payload = {"jobId": 7, "cluster": "fritz", "user": "u", "startTime": 5, "numNodes": 1, "resources": hosts(1)}
    event = intake.job_started(read_object(StartPayload, json.dumps(payload).encode())[0], CLUSTERS)
    assert (event.shared, event.monitoring_status, event.smt, event.walltime, event.array_job_id) == ("none", 1, 0, 0, 0)
    assert (event.project, event.partition, event.sub_cluster) == ("", "", "main")
    assert event.meta_data is None
    assert event.footprint is None
    assert event.tags == []


def test_fields_that_cc_backend_discards_are_stored() -> None:
    statistics = {"cpu_load": {"unit": {"base": ""}, "avg": 1.5, "min": 1, "max": 2}}
    event = started(submitTime=4, requestedMemory=1000, statistics=statistics, energyFootprint={"cpu_power": 2.5})
    assert (event.submit_time, event.requested_memory, event.energy_footprint) == (4, 1000, {"cpu_power": 2.5})
    assert event.statistics is not None
    assert event.statistics["cpu_load"].avg == 1.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1700000000", 1_700_000_000), ("", 0), ("soon", 0), ("-5", 0), ("9" * 30, 0), ("9" * 16, 0), ("٣", 0), ("1.5", 0)],
)
def test_the_submit_time_of_the_slurm_adapter_is_taken_from_the_metadata(text: str, seconds: int) -> None:
    assert started(metaData={"submitTime": text}).submit_time == seconds
    assert started(metaData={"submitTime": text}, submitTime=7).submit_time == 7


@pytest.mark.parametrize("state", ["running", "completed", "anything", "", None])
def test_no_state_refuses_a_start(state: str | None) -> None:
    assert started(jobState=state).job_id == 1


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"cluster": "nowhere"}, reasons.UNKNOWN_CLUSTER, "cluster"),
        ({"cluster": "Fritz"}, reasons.UNKNOWN_CLUSTER, "cluster"),
        ({"subCluster": "nowhere"}, reasons.UNKNOWN_SUBCLUSTER, "subCluster"),
        ({"resources": [{"hostname": "zzz"}]}, reasons.NO_SUBCLUSTER, "resources.0.hostname"),
        ({"numNodes": 2}, reasons.NODE_COUNT_MISMATCH, "numNodes"),
        ({"numNodes": 1, "resources": hosts(2)}, reasons.NODE_COUNT_MISMATCH, "numNodes"),
        ({"numNodes": 0}, reasons.INVALID_VALUE, "numNodes"),
        ({"numNodes": 2**31}, reasons.INVALID_VALUE, "numNodes"),
        ({"shared": "all"}, reasons.INVALID_VALUE, "shared"),
        ({"shared": ""}, reasons.INVALID_VALUE, "shared"),
        ({"monitoringStatus": 4}, reasons.INVALID_VALUE, "monitoringStatus"),
        ({"monitoringStatus": -1}, reasons.INVALID_VALUE, "monitoringStatus"),
        ({"jobId": 0}, reasons.INVALID_VALUE, "jobId"),
        ({"jobId": -7}, reasons.INVALID_VALUE, "jobId"),
        ({"jobId": 2**63}, reasons.INVALID_VALUE, "jobId"),
        ({"startTime": 0}, reasons.INVALID_VALUE, "startTime"),
        ({"startTime": -5}, reasons.INVALID_VALUE, "startTime"),
        ({"startTime": 2**53}, reasons.INVALID_VALUE, "startTime"),
        ({"startTime": 1_764_000_000_000}, reasons.INVALID_VALUE, "startTime"),  # milliseconds
        ({"resources": [{}]}, reasons.MISSING_FIELD, "resources.0.hostname"),
        ({"resources": [{"hostname": ""}]}, reasons.MISSING_FIELD, "resources.0.hostname"),
        ({"resources": [{"hostname": "f0101", "hwthreads": [2**31]}]}, reasons.INVALID_VALUE, "resources.0.hwthreads.0"),
        ({"tags": [{"name": "a"}]}, reasons.MISSING_FIELD, "tags.0.type"),
        ({"tags": [{"type": "a", "name": ""}]}, reasons.MISSING_FIELD, "tags.0.name"),
        ({"tags": [{"type": "a", "name": str(n)} for n in range(intake.MAX_TAGS + 1)]}, reasons.INVALID_VALUE, "tags"),
        ({"user": "u" * (MAX_NAME + 1)}, reasons.INVALID_VALUE, "user"),
        ({"cluster": "c" * (MAX_NAME + 1)}, reasons.INVALID_VALUE, "cluster"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_invalid_start_is_refused_with_the_field(fields: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        started(**fields)
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize(
    "fields",
    [
        {"smt": 0},
        {"smt": 2},
        {"monitoringStatus": 0},
        {"monitoringStatus": 3},
        {"shared": "single_user"},
        {"shared": "multi_user"},
        {"startTime": 4_102_444_800},
        {"numNodes": 3, "resources": hosts(3)},
        {"numNodes": 2, "resources": [*hosts(1), {"hostname": "of-no-subcluster"}]},
        {"numNodes": 2, "resources": [*hosts(1), *hosts(1)]},
        {"resources": [{"hostname": "f0101", "hwthreads": [0, 1], "accelerators": ["00000000:17:00.0"], "configuration": "x"}]},
        {"numHwthreads": 5000, "arrayJobId": -1},
        {"id": 5, "duration": 9, "concurrentJobs": {"items": [{"id": 1, "jobId": 2}], "count": 1}},
    ],
    ids=repr,
)
def test_unchecked_values_are_accepted(fields: dict[str, Any]) -> None:
    assert started(**fields).cluster == "fritz"


def test_a_given_subcluster_is_used_regardless_of_the_hosts() -> None:
    assert started(subCluster="spr1tb", resources=[{"hostname": "zzz"}]).sub_cluster == "spr1tb"


def test_the_first_host_decides_the_subcluster() -> None:
    assert started(cluster="slurmlab", resources=[{"hostname": "node03"}]).sub_cluster == "gpu"
    assert started(cluster="slurmlab", numNodes=2, resources=[{"hostname": "node01"}, {"hostname": "node03"}]).sub_cluster == "cpu"


def test_tags_are_global_by_default_and_duplicates_are_dropped() -> None:
    tags = [
        {"type": "app", "name": "x"},
        {"type": "app", "name": "x", "scope": "global", "id": 7},
        {"type": "app", "name": "x", "scope": "alice"},
    ]
    assert started(tags=tags).tags == [Tag(type="app", name="x", scope="global"), Tag(type="app", name="x", scope="alice")]


@pytest.mark.parametrize("state", sorted(JOB_STATES - {"running", "suspended", "pending"}))
def test_a_stop_has_the_given_final_state(state: str) -> None:
    event = stopped(jobState=state)
    assert (event.job_state, event.received_state) == (state, None)


@pytest.mark.parametrize("state", ["", None])
def test_a_stop_without_a_state_is_completed(state: str | None) -> None:
    assert stopped(jobState=state).job_state == "completed"


WORDS = {
    "COMPLETED": "completed",
    '"completed"': "completed",
    "CD": "completed",
    "COMPLETING": "completed",
    "canceled": "cancelled",
    "Cancelled": "cancelled",
    "CANCELLED+": "cancelled",
    "cancelled by 1060117793": "cancelled",
    "CANCELLED by alice": "cancelled",
    "cancelled_by_7": "cancelled",
    "CANCELLED+COMPLETING": "cancelled",
    "revoked": "cancelled",
    "REVOKED": "cancelled",
    "out-of-memory": "out_of_memory",
    "OUT_OF_MEMORY": "out_of_memory",
    "OutOfMemory": "out_of_memory",
    "OUT_OF_ME+": "out_of_memory",
    "OOM": "out_of_memory",
    "NODE_FAIL": "node_fail",
    "node fail": "node_fail",
    "NODE_FAIL+REQUEUED": "node_fail",
    "BOOT_FAIL": "boot_fail",
    "TIMEOUT": "timeout",
    "TO": "timeout",
    "DL": "deadline",
    "requeued": "preempted",
    "REQUEUE_HOLD": "preempted",
    "PD": "preempted",
    "PR": "preempted",
    "F": "failed",
    "LAUNCH_FAILED": "failed",
    "exploded": "failed",
    "completely": "failed",
    "+": "failed",
    "\u00e9": "failed",
}


@pytest.mark.parametrize(("word", "state"), WORDS.items())
def test_a_state_word_is_accepted_in_any_spelling_and_stored(word: str, state: str) -> None:
    event = stopped(jobState=word)
    assert (event.job_state, event.received_state) == (state, word)
    assert [(oddity.code, oddity.field) for oddity in event.oddities] == [(oddities.STATE_WORD, "jobState")]


def test_a_long_state_word_is_truncated() -> None:
    event = stopped(jobState="x+" * 1_000_000)
    assert (event.job_state, len(event.received_state or "")) == ("failed", 100)


def test_every_state_is_its_own_word() -> None:
    assert {state: state_of(state.value) for state in JobState} == {state: state for state in JobState}


def test_a_requeued_job_ends_as_preempted_with_the_received_word() -> None:
    event = stopped(jobState="pending")
    assert (event.job_state, event.received_state, event.oddities) == ("preempted", "pending", [])


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"jobState": "running"}, reasons.NOT_A_FINAL_STATE, "jobState"),
        ({"jobState": "suspended"}, reasons.NOT_A_FINAL_STATE, "jobState"),
        ({"jobState": "R"}, reasons.NOT_A_FINAL_STATE, "jobState"),
        ({"jobState": 3}, reasons.INVALID_VALUE, "jobState"),
        ({"jobId": None}, reasons.MISSING_FIELD, "jobId"),
        ({"stopTime": None}, reasons.MISSING_FIELD, "stopTime"),
        ({"stopTime": 0}, reasons.INVALID_VALUE, "stopTime"),
        ({"stopTime": 5.5}, reasons.INVALID_VALUE, "stopTime"),
        ({"state": "completed"}, reasons.UNKNOWN_FIELD, "state"),
        ({"partition": "x"}, reasons.UNKNOWN_FIELD, "partition"),
        ({"duration": 5}, reasons.UNKNOWN_FIELD, "duration"),
        ({"user": "x"}, reasons.UNKNOWN_FIELD, "user"),
        ({"cluster": "c" * (MAX_NAME + 1)}, reasons.INVALID_VALUE, "cluster"),
    ],
    ids=repr,
)
def test_an_invalid_stop_is_refused_with_the_field(fields: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        stopped(**fields)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_stop_may_omit_cluster_and_start() -> None:
    event = stopped(cluster=None, startTime=None)
    assert (event.cluster, event.start_time) == (None, None)
    assert stopped(startTime=10, stopTime=10).start_time == 10


def test_a_stop_before_its_start_is_left_to_the_rules() -> None:
    assert stopped(startTime=10, stopTime=9).stop_time == 9


def test_node_states_have_zeros_for_what_is_absent() -> None:
    report, refusals = reported({"cluster": "fritz", "nodes": [{"hostname": "f0101"}]})
    (node,) = report.nodes
    assert (node.sub_cluster, node.state, node.states) == ("main", "unknown", [])
    assert (node.cpus_allocated, node.memory_allocated, node.gpus_allocated, node.jobs_running) == (0, 0, 0, 0)
    assert refusals == []


@pytest.mark.parametrize("payload", [{"cluster": "fritz"}, {"cluster": "fritz", "nodes": []}, {"cluster": "fritz", "nodes": None}])
def test_node_states_without_nodes_are_accepted(payload: dict[str, Any]) -> None:
    report, refusals = reported(payload)
    assert (report.nodes, refusals) == ([], [])


@pytest.mark.parametrize(
    ("node", "code"),
    [
        ({"hostname": "zzz"}, reasons.NO_SUBCLUSTER),
        ({"hostname": ""}, reasons.MISSING_FIELD),
        ({"states": ["idle"]}, reasons.MISSING_FIELD),
        (None, reasons.MISSING_FIELD),
    ],
    ids=repr,
)
def test_a_node_without_subcluster_does_not_affect_others(node: dict[str, Any] | None, code: str) -> None:
    report, refusals = reported({"cluster": "fritz", "nodes": [{"hostname": "f0101"}, node, {"hostname": "f0102"}]})
    assert [found.hostname for found in report.nodes] == ["f0101", "f0102"]
    assert [(refused.code, refused.field) for refused in refusals] == [(code, "nodes.1.hostname")]


def test_the_last_entry_of_a_repeated_host_wins() -> None:
    nodes = [{"hostname": "f0101", "states": ["idle"], "jobsRunning": 1}, {"hostname": "f0101", "states": ["down"], "jobsRunning": 2}]
    report, _ = reported({"cluster": "fritz", "nodes": nodes})
    assert [(node.state, node.jobs_running) for node in report.nodes] == [("down", 2)]


@pytest.mark.parametrize(
    ("payload", "code", "field"),
    [
        ({"cluster": "nowhere", "nodes": []}, reasons.UNKNOWN_CLUSTER, "cluster"),
        ({"nodes": []}, reasons.MISSING_FIELD, "cluster"),
        ({"cluster": "fritz", "nodes": [{"hostname": "f0101", "reason": "x"}]}, reasons.UNKNOWN_FIELD, "nodes.0.reason"),
        ({"cluster": "fritz", "nodes": [{"hostname": "f0101", "states": "idle"}]}, reasons.INVALID_VALUE, "nodes.0.states"),
        ({"cluster": "fritz", "nodes": {}}, reasons.INVALID_VALUE, "nodes"),
        ({"cluster": "fritz", "time": 5}, reasons.UNKNOWN_FIELD, "time"),
    ],
    ids=repr,
)
def test_invalid_node_states_are_refused_with_the_field(payload: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refused) as caught:
        reported(payload)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_payload_for_another_cluster_than_its_subject_is_refused() -> None:
    intake.agree_on_cluster(None, "fritz")
    intake.agree_on_cluster("fritz", "fritz")
    intake.agree_on_cluster("fritz", None)
    with pytest.raises(Refused) as caught:
        intake.agree_on_cluster("fritz", "alex")
    assert (caught.value.code, caught.value.field) == (reasons.CLUSTER_MISMATCH, "cluster")
