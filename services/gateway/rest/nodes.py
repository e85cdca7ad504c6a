"""States of nodes."""

from http import HTTPStatus

import structlog
from aiohttp import web

from services.gateway.errors import of_refusal
from services.gateway.frame.routes import Routes
from services.gateway.site import Call
from shared.domain.intake import nodes_reported
from shared.domain.payloads import NodeStatePayload
from shared.domain.wire import read_object

log = structlog.get_logger()
routes = Routes[Call]("nodes")

REFUSED_NODES = "Jobtide-Refused-Nodes"


@routes("POST PUT", "/api/nodestate/", body=NodeStatePayload, answers={200: None}, failures=(400, 413, 503))
async def node_states(call: Call) -> web.StreamResponse:
    """States of nodes of one cluster; hosts of no subcluster are left out, unless none remains."""
    payload, _ = read_object(NodeStatePayload, await call.request.read())
    event, refusals = nodes_reported(payload, await call.site.link.clusters_with(payload.cluster))
    if refusals and not event.nodes:
        raise of_refusal(refusals[0])
    if event.nodes:
        await call.site.commands.record([event], call.user)
    response = web.Response(status=HTTPStatus.OK)
    if refusals:
        log.warning("nodes_refused", cluster=payload.cluster, nodes=len(refusals), first=str(refusals[0])[:200])
        response.headers[REFUSED_NODES] = str(len(refusals))
    return response


@routes("POST", "/api/healthcheck/", body=NodeStatePayload, answers={200: None}, failures=(400, 413, 503))
async def healthcheck(call: Call) -> web.StreamResponse:
    """The same under the name that agents of a metric store use."""
    return await node_states(call)
