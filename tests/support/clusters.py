"""The sample clusters."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.broker.clusters import add_cluster
from shared.domain.clusters import Cluster, read_cluster
from shared.settings import NatsSettings
from tests.support.nats import client_of
from tests.support.programs import run_blocking

DATA = Path(__file__).parents[1] / "data"
NAMES = ("alex", "emmy", "fritz", "slurmlab")
# One node of the first subcluster of each.
FIRST_NODE = {"alex": "a0121", "emmy": "w1127", "fritz": "f0101", "slurmlab": "node01"}


def cluster_text(name: str) -> bytes:
    """The cluster.json of a sample cluster."""
    return (DATA / "clusters" / f"{name}.json").read_bytes()


def restricted_fritz() -> bytes:
    """As in the recordings of restricted metrics: one is restricted on the whole cluster, another on one subcluster."""
    fritz: dict[str, Any] = json.loads(cluster_text("fritz"))
    for metric in fritz["metricConfig"]:
        if metric["name"] == "ib_recv":
            metric["restrict"] = True
        if metric["name"] == "flops_dp":
            numbers = dict.fromkeys(("peak", "normal", "caution", "alert"), 1)
            metric["subClusters"] = [{"name": "spr1tb", **numbers, "restrict": True}]
    return json.dumps(fritz).encode()


def sample_clusters() -> dict[str, Cluster]:
    return {name: read_cluster(cluster_text(name)) for name in NAMES}


def add_clusters_blocking(settings: NatsSettings, names: Sequence[str] = NAMES) -> None:
    async def work() -> None:
        async with client_of(settings) as client:
            for name in names:
                await add_cluster(client, settings, cluster_text(name))

    run_blocking(work())
