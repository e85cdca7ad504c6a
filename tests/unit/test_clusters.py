"""Node lists, the subcluster of a host, metrics per subcluster, and invalid definitions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain.clusters import Cluster, NodeList, read_cluster, read_new_cluster
from tests.support.clusters import NAMES, cluster_text


@pytest.mark.parametrize(
    ("expression", "inside", "outside"),
    [
        ("n01,n02", "n01 n02", "n03 n0 n011 n01,n02"),
        ("n[01-10]", "n01 n05 n10", "n00 n11 n5 n005 n N01 n01x"),
        ("n[001-003,101-102]", "n001 n003 n101 n102", "n004 n100 n1 n0101"),
        ("cn-00[10-12],login1", "cn-0010 cn-0012 login1", "cn-0009 cn-0013 cn-10 login2"),
        ("a[1-9]", "a1 a9", "a0 a10 a01"),
        ("a[01-02]b", "a01b a02b", "a01 a03b a1b"),
        ("r[01-02]n[01-40]", "r01n01 r02n40", "r03n01 r01n41 r1n1 r01n1"),
        ("a[2-1]", "", "a1 a2"),
        ("a,", "a", "b"),
        ("a,,b", "a b", ""),
        ("", "", "a"),
        # beyond cc-backend
        ("a[1-10]", "a1 a9 a10", "a0 a01 a11"),
        ("a[0-10]", "a0 a1 a10", "a00 a01 a11"),
        ("a[1,3,5-7]", "a1 a3 a5 a7", "a2 a4 a8"),
        ("a[1-9,10-12]", "a1 a9 a10 a12", "a0 a13 a01"),
        ("a[01-02]-ib", "a01-ib a02-ib", "a01 a01-i"),
        ("a_1,a.b,x-y", "a_1 a.b x-y", "a1 aab xy"),
        ("a[1-2], b1", "a1 b1", "b2"),
        ("[01-03]", "01 03", "1 04"),
        # the width of a group decides where the next begins
        ("a[1-2][01-10]", "a101 a210", "a311 a11 a1101"),
        ("a[1-2]5", "a15 a25", "a5 a155"),
        ("a[1-12][1-2]", "a11 a121 a122", "a1 a133"),
    ],
)
def test_a_node_list_contains_exactly_its_hosts(expression: str, inside: str, outside: str) -> None:
    nodes = NodeList(expression)
    assert [host for host in inside.split() if host not in nodes] == []
    assert [host for host in outside.split() if host in nodes] == []


@pytest.mark.parametrize(
    "expression",
    [
        "a[",
        "a]",
        "a[]",
        "a[1-2",
        "a[1-2]]",
        "a b",
        "a/b",
        "a*",
        "a[1-]",
        "a[-1]",
        "a[x]",
        "a[1-2-3]",
        "a[01-2]",
        "a[1,,2]",
        "ä",
        "a[" + "1" * 30 + "]",
    ],
)
def test_invalid_node_lists_are_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="node list"):
        NodeList(expression)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ("n[10-01]", "'10-01' in 'n[10-01]'"),
        ("n[01-10],m[2-1]", "'2-1' in 'm[2-1]'"),
        ("r[1-2]n[40-01]", "'40-01' in 'r[1-2]n[40-01]'"),
        ("n[1-3,9-7]", "'9-7' in 'n[1-3,9-7]'"),
        ("n[10-9]", "'10-9' in 'n[10-9]'"),
        ("", "no host"),
        (" , ", "no host"),
    ],
)
def test_a_new_node_list_without_hosts_is_refused_with_its_position(nodes: str, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_new_cluster(json.dumps(definition(nodes)).encode())
    (found,) = caught.value.errors()
    assert found["loc"] == ("subClusters", 0, "nodes")
    assert text in found["msg"]
    assert cluster(nodes).sub_clusters[0].number_of_nodes >= 0, "a stored one stays readable"


BAD_NAMES = [
    "con\n",
    "-rf",
    "--help",
    "version.txt",
    "a b",
    "a\tb",
    "clust\u00e9r",
    "a/b",
    ".a",
    "_a",
    "a;b",
    "a\0",
    "x" * 65,
    "a*",
    "a>",
    "$x",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_the_name_of_a_new_cluster_is_validated(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_new_cluster(json.dumps(definition("n1", name=name)).encode())
    assert caught.value.errors()[0]["loc"] == ("name",)


@pytest.mark.parametrize("name", [name for name in BAD_NAMES if name not in ("a/b", ".a", "a\0")], ids=ascii)
def test_a_stored_cluster_with_an_invalid_name_remains_readable(name: str) -> None:
    assert cluster("n1", name=name).name == name


@pytest.mark.parametrize("name", ["fritz", "Fritz2", "a", "1a", "a-b_c", "alex.hpc", "x" * 64])
def test_valid_names_are_accepted(name: str) -> None:
    assert read_new_cluster(json.dumps(definition("n1", name=name)).encode()).name == name


def test_a_new_cluster_with_a_repeated_subcluster_is_refused() -> None:
    document = definition("n1", "n2")
    document["subClusters"][1]["name"] = "s0"
    with pytest.raises(ValidationError, match="used twice"):
        read_new_cluster(json.dumps(document).encode())


@given(st.text(alphabet="an0123[],-_. ", max_size=30), st.text(max_size=10))
def test_any_text_is_a_node_list_or_a_value_error(expression: str, host: str) -> None:
    try:
        nodes = NodeList(expression)
    except ValueError:
        return
    assert (host in nodes) in (True, False)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 9999), st.integers(1, 4))
def test_a_padded_range_is_an_interval(low: int, high: int, number: int, width: int) -> None:
    width = max(width, len(str(low)), len(str(high)))
    nodes = NodeList(f"n[{low:0{width}d}-{high:0{width}d}]")
    assert (f"n{number:0{width}d}" in nodes) == (low <= number <= high and number < 10**width)


def definition(*lists: str, **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": "c",
        "metricConfig": [{"name": "load", "scope": "node", "timestep": 60, "unit": {"base": ""}}],
        "subClusters": [{"name": f"s{index}", "nodes": nodes} for index, nodes in enumerate(lists)],
    }
    return document | changes


def cluster(*lists: str, **changes: Any) -> Cluster:
    return read_cluster(json.dumps(definition(*lists, **changes)).encode())


def test_the_first_of_overlapping_subclusters_in_the_file_wins() -> None:
    assert cluster("n[1-5]", "n[3-9]").subcluster_of("n4") == "s0"
    assert cluster("n[3-9]", "n[1-5]").subcluster_of("n4") == "s0"


def test_a_subcluster_of_every_node_gets_hosts_that_no_other_lists() -> None:
    found = cluster("*", "n[1-5]", "*")
    assert [found.subcluster_of(host) for host in ("n4", "n9", "")] == ["s1", "s0", "s0"]


def test_an_unlisted_host_has_no_subcluster() -> None:
    assert cluster("n1", "").subcluster_of("n2") is None
    assert cluster("n1", "").subcluster_of("") is None


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_clusters_are_read(name: str) -> None:
    found = read_new_cluster(cluster_text(name))
    assert found.name == name
    assert all(found.metrics_on(subcluster.name) for subcluster in found.sub_clusters)


def test_an_override_replaces_all_values_and_the_last_one_wins() -> None:
    metric = {
        "name": "mem_used",
        "scope": "node",
        "timestep": 60,
        "unit": {"base": "B", "prefix": "G"},
        "peak": 256,
        "alert": 240,
        "footprint": "max",
        "lowerIsBetter": True,
        "subClusters": [{"name": "s0", "peak": 1}, {"name": "s0", "alert": 1000}, {"name": "s1", "remove": True}],
    }
    found = cluster("a", "b", "c", metricConfig=[metric])
    (on_first,) = found.metrics_on("s0")
    assert (on_first.peak, on_first.alert, on_first.footprint, on_first.lower_is_better) == (0, 1000, "", False)
    assert (on_first.unit.prefix, on_first.timestep) == ("G", 60)
    assert found.metrics_on("s1") == []
    assert [metric.peak for metric in found.metrics_on("s2")] == [256]


def test_null_and_unknown_keys_of_other_writers_are_ignored() -> None:
    metric = {"name": "load", "scope": None, "timestep": 60, "unit": None, "subClusters": None}
    subcluster = {"name": "s0", "nodes": "a", "numberOfNodes": 5, "topology": {"node": [0], "core": None, "accelerators": None}}
    found = cluster("a", metricConfig=[metric], subClusters=[subcluster])
    assert found.metric_config[0].scope == "node"
    assert found.sub_clusters[0].topology.core == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": ""}, "name"),
        ({"metricConfig": []}, "metricConfig"),
        ({"subClusters": []}, "subClusters"),
        ({"subClusters": [{"name": "s", "nodes": "a["}]}, "subClusters.0.nodes"),
        ({"subClusters": [{"name": "", "nodes": "a"}]}, "subClusters.0.name"),
        ({"metricConfig": [{"name": "", "timestep": 60}]}, "metricConfig.0.name"),
        ({"metricConfig": [{"name": "m", "timestep": 0}]}, "metricConfig.0.timestep"),
        ({"metricConfig": [{"name": "m", "timestep": 60, "scope": "rack"}]}, "metricConfig.0.scope"),
    ],
)
def test_invalid_cluster_definitions_are_refused_with_the_position(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        cluster("a", **changes)
    assert ".".join(map(str, caught.value.errors()[0]["loc"])) == place


@pytest.mark.parametrize(
    ("field", "value"), [("displayName", "x" * 101), ("displayName", 7), ("description", "x" * 1001), ("description", ["text"])]
)
def test_texts_of_a_metric_are_checked_when_it_is_added_and_ignored_in_stored_definitions(field: str, value: Any) -> None:
    document = json.loads(cluster_text(NAMES[0]))
    document["metricConfig"][0][field] = value
    text = json.dumps(document).encode()
    with pytest.raises(ValidationError, match=f"metricConfig.0.{field}"):
        read_new_cluster(text)
    stored = read_cluster(text).metric_config[0]
    assert isinstance(stored.display_name + stored.description, str)
