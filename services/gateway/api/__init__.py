"""The routes of the API, one module per subject."""

from services.gateway.api import clusters, deletion, jobs, lifecycle, metadata, nodes, operation, signin, tags
from services.gateway.live import sse

GROUPS = [
    jobs.routes,
    lifecycle.routes,
    metadata.routes,
    tags.routes,
    deletion.routes,
    clusters.routes,
    nodes.routes,
    operation.routes,
    signin.routes,
    sse.routes,
]
