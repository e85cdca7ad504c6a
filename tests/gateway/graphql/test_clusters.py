"""The list of metrics, compared with the recording: only users who see all jobs see restricted ones."""

import json

import pytest

from services.gateway.graphql.fields.clusters import TABLES, metrics_of
from services.gateway.graphql.fields.statistics import definitions
from services.gateway.people.identity import User
from services.gateway.reading.model import JobFilter, TextMatch
from services.gateway.rest.clusters import cluster_object
from shared.domain.clusters import Cluster, read_cluster, read_new_cluster
from tests.gateway.recorded import exchanges
from tests.support.clusters import cluster_text, restricted_fritz

RECORDED = {e["name"]: json.loads(e["response"]["body"]) for e in exchanges("graphql.jsonl") if e["name"].startswith("r-global-metrics")}
ROLES = {
    "admin": {"admin"},
    "support": {"support"},
    "manager": {"manager"},
    "user": {"user"},
    "api": {"api"},
    "user-api": {"user", "api"},
    "admin-user": {"admin", "user"},
}


def clusters() -> dict[str, Cluster]:
    """The clusters of the recording: one metric is restricted on a whole cluster, another on one subcluster."""
    found = {name: read_cluster(cluster_text(name)) for name in ("alex", "emmy")}
    return found | {"fritz": read_cluster(restricted_fritz())}


@pytest.mark.parametrize("role", ROLES)
def test_restricted_metrics_are_shown_only_to_users_who_see_all_jobs(role: str) -> None:
    # In the recording, the additional role of a user hid the full list from an admin.
    name = "r-global-metrics-admin" if role == "admin-user" else f"r-global-metrics-{role}"
    recorded = {
        metric["name"]: {place["cluster"]: place["subClusters"] for place in metric["availability"]}
        for metric in RECORDED[name]["data"]["globalMetrics"]
    }
    ours = {
        m.name: {place: list(s) for place, s in m.availability.items()} for m in metrics_of(clusters(), User("x", frozenset(ROLES[role])))
    }
    assert ours == recorded


@pytest.mark.parametrize(("metric", "peak"), [("ipc", 4.0), ("cpu_load", 72.0)])
def test_a_missing_peak_is_that_of_other_clusters(metric: str, peak: float) -> None:
    known = clusters()
    here = known["fritz"]
    nameless = [one.model_copy(update={"peak": 0.0}) if one.name == "ipc" else one for one in here.metric_config]
    known["fritz"] = here.model_copy(update={"metric_config": nameless})
    found = definitions(known, [JobFilter(cluster=TextMatch("eq", ("fritz",)))], metric)
    assert found[0] in known["fritz"].metric_config  # its unit and statistic come first
    assert max(one.peak for one in found) == peak
    assert definitions(known, [], metric) != []


def test_texts_of_a_metric_are_answered_if_it_has_them() -> None:
    document = json.loads(cluster_text("fritz"))
    document["metricConfig"][0] |= {"displayName": "CPU load", "description": "Processes that run or wait to run."}
    fritz = read_new_cluster(json.dumps(document).encode())
    get = {name: TABLES["MetricConfig"][name] for name in ("displayName", "description")}
    described, other = fritz.metrics_on("main")[:2]
    assert {name: read(described) for name, read in get.items()} == {
        "displayName": "CPU load",
        "description": "Processes that run or wait to run.",
    }
    assert {name: read(other) for name, read in get.items()} == {"displayName": None, "description": None}
    known = {m.name: m for m in metrics_of({"alex": clusters()["alex"], "fritz": fritz}, User("x", frozenset({"admin"})))}
    of_all = TABLES["GlobalMetricListItem"]
    assert [of_all["displayName"](known[described.name]), of_all["displayName"](known[other.name])] == ["CPU load", None]
    assert of_all["description"](known[described.name]) == "Processes that run or wait to run."
    over_rest, other_over_rest = cluster_object(fritz)["metricConfig"][:2]
    assert over_rest["displayName"] == "CPU load"
    assert not other_over_rest.keys() & get.keys()


def test_nodes_of_a_subcluster_are_counted() -> None:
    fritz = clusters()["fritz"]
    assert {s.name: s.number_of_nodes for s in fritz.sub_clusters}["main"] == 992
    everything = fritz.sub_clusters[0].model_copy(update={"nodes": "*"})
    assert type(everything)(name="x", nodes="*").number_of_nodes == 0
    assert type(everything)(name="x", nodes="a[1-10],b01,c[01-02]d[1,3]").number_of_nodes == 15
