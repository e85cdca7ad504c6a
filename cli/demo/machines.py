"""The nodes of the simulated clusters, read from their definitions."""

import itertools
import re
from dataclasses import dataclass
from importlib.resources import files

from shared.domain.clusters import Cluster, read_cluster

CLUSTERS = ("fritz", "alex")
_GROUP = re.compile(r"\[([0-9,-]+)\]")


@dataclass(frozen=True, slots=True)
class Node:
    """``hwthreads`` is their number; ``accelerators`` are the ids in the topology."""

    hostname: str
    subcluster: str
    hwthreads: int
    accelerators: tuple[str, ...]


def definition(name: str) -> bytes:
    """The cluster.json of a cluster of the demo."""
    return (files("cli.demo") / name / "cluster.json").read_bytes()


def nodes_of(text: bytes) -> tuple[Cluster, list[Node]]:
    """The cluster and its nodes, each with the subcluster that its jobs are assigned to."""
    cluster = read_cluster(text)
    nodes: dict[str, Node] = {}
    for subcluster in cluster.sub_clusters:
        accelerators = tuple(accelerator.id for accelerator in subcluster.topology.accelerators)
        hwthreads = subcluster.sockets_per_node * subcluster.cores_per_socket * subcluster.threads_per_core
        for hostname in expand(subcluster.nodes):
            if cluster.subcluster_of(hostname) == subcluster.name:  # node lists may overlap; the first match wins
                nodes.setdefault(hostname, Node(hostname, subcluster.name, hwthreads, accelerators))
    return cluster, list(nodes.values())


def expand(expression: str) -> list[str]:
    """All hostnames of a node list such as ``a[0121-0129],b7``."""
    hosts = []
    for term in re.split(r",(?![^\[]*\])", expression):
        pieces = _GROUP.split(term.strip())  # literals at even indexes, ranges at odd ones
        choices = [_numbers(piece) if index % 2 else [piece] for index, piece in enumerate(pieces)]
        hosts += ["".join(parts) for parts in itertools.product(*choices)]
    return hosts


def _numbers(ranges: str) -> list[str]:
    numbers = []
    for text in ranges.split(","):
        low, _, high = text.partition("-")
        numbers += [f"{number:0{len(low)}}" for number in range(int(low), int(high or low) + 1)]
    return numbers
