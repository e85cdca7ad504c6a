"""Cluster definitions, and the number of allocated nodes."""

from collections.abc import Mapping

from services.gateway.graphql.request import Ask, answers
from services.gateway.graphql.resolvers.roots import QUERY
from services.gateway.graphql.shapes.clusters import ClusterView, GlobalMetric
from services.gateway.people.identity import User
from shared.domain.clusters import Cluster


@answers(QUERY, "clusters")
async def clusters(ask: Ask) -> list[ClusterView]:
    """Sorted by name."""
    known = ask.site.link.clusters
    partitions = await ask.request.once("partitions", ask.site.jobs.partitions) if ask.selects("partitions") else {}
    return [ClusterView(known[name], partitions.get(name, ())) for name in sorted(known)]


@answers(QUERY, "allocatedNodes")
async def allocated_nodes(ask: Ask) -> list[tuple[str, int]]:
    """Sorted by subcluster."""
    name = ask["cluster"]
    return list((await ask.site.jobs.allocated_nodes(name)).items()) if "\0" not in name else []


@answers(QUERY, "globalMetrics")
async def global_metrics(ask: Ask) -> list[GlobalMetric]:
    """Sorted by name. Restricted metrics are shown only to users who see all jobs."""
    return metrics_of(ask.site.link.clusters, ask.user)


def metrics_of(clusters: Mapping[str, Cluster], user: User) -> list[GlobalMetric]:
    """Unit and scope come from the first cluster by name, the footprint from the last subcluster that has one."""
    found: dict[str, GlobalMetric] = {}
    for name in sorted(clusters):
        for subcluster in clusters[name].sub_clusters:
            for metric in clusters[name].metrics_on(subcluster.name):
                if metric.restrict and not user.sees_all_jobs:
                    continue
                known = found.get(metric.name) or GlobalMetric(metric.name, metric.unit, metric.scope, "", {})
                places = {**known.availability, name: [*known.availability.get(name, ()), subcluster.name]}
                found[metric.name] = GlobalMetric(metric.name, known.unit, known.scope, metric.footprint or known.footprint, places)
    return [found[name] for name in sorted(found)]
