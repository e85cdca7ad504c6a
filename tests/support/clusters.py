"""The sample clusters."""

from collections.abc import Sequence
from pathlib import Path

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


def sample_clusters() -> dict[str, Cluster]:
    return {name: read_cluster(cluster_text(name)) for name in NAMES}


def add_clusters_blocking(settings: NatsSettings, names: Sequence[str] = NAMES) -> None:
    async def work() -> None:
        async with client_of(settings) as client:
            for name in names:
                await add_cluster(client, settings, cluster_text(name))

    run_blocking(work())
