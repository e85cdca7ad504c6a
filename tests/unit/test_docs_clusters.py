"""The example in docs/clusters.md is valid."""

import re

from shared.domain.clusters import read_cluster
from tests.support.processes import REPOSITORY


def test_the_cluster_in_the_docs_can_be_used() -> None:
    page = (REPOSITORY / "docs" / "clusters.md").read_text()
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    cluster = read_cluster(text.encode())
    assert cluster.subcluster_of("m064") == "cpu"
    assert cluster.subcluster_of("m065") is None
