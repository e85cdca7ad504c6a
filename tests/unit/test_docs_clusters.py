"""The cluster of the documentation is one."""

import re

from shared.domain.clusters import read_cluster
from tests.support.processes import REPOSITORY


def test_the_cluster_of_the_page_is_read_and_places_its_hosts() -> None:
    page = (REPOSITORY / "docs" / "clusters.md").read_text()
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    cluster = read_cluster(text.encode())
    assert cluster.subcluster_of("m064") == "cpu"
    assert cluster.subcluster_of("m065") is None
