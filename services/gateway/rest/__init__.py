"""The routes of the API, one module per subject."""

from services.gateway.rest import (
    clusters,
    config,
    deletion,
    frontend,
    jobs,
    lifecycle,
    machines,
    metadata,
    metrics,
    nodes,
    oidc,
    operation,
    signin,
    tags,
    userapi,
    users,
)
from services.gateway.rest import events as sse

GROUPS = [
    jobs.routes,
    metrics.routes,
    lifecycle.routes,
    metadata.routes,
    tags.routes,
    deletion.routes,
    clusters.routes,
    nodes.routes,
    operation.routes,
    machines.routes,
    users.routes,
    users.pages,
    config.routes,
    frontend.routes,
    userapi.routes,
    signin.routes,
    oidc.routes,
    sse.routes,
]
