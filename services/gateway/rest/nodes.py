"""States of nodes."""

from collections.abc import Sequence

import structlog
from aiohttp import web

from services.gateway.call import Call
from services.gateway.frame.answers import answer
from services.gateway.frame.bodies import read_body
from services.gateway.frame.routes import Routes
from services.gateway.rest.models import NodesRefused
from services.gateway.writing.rejecting import rejections_of
from shared.domain import reasons
from shared.domain.events import Event
from shared.domain.intake import nodes_reported
from shared.domain.payloads import NodeStatePayload
from shared.domain.wire import read_object
from shared.errors import Refused

log = structlog.get_logger()
routes = Routes[Call]("nodes")

REFUSED = "Jobtide-Refused"  # distinct reason codes
REFUSALS = "Jobtide-Refused-Nodes"  # number of refusals; 1 if the whole report was refused
MAX_LISTED = 100  # refusals in an answer
# The report is valid but names something unknown. Adapters stop at any status other than 200.
_ANSWERED_200 = frozenset({reasons.UNKNOWN_CLUSTER, reasons.MISSING_FIELD})


@routes("POST PUT", "/api/nodestate/", body=NodeStatePayload, answers={200: NodesRefused}, failures=(400, 413, 503))
async def node_states(call: Call) -> web.StreamResponse:
    """States of nodes of one cluster.

    Nodes that cannot be placed, or all of them if the cluster is unknown, are left out: the answer is still 200, names them in
    `refused` and the headers `Jobtide-Refused` (reason codes) and `Jobtide-Refused-Nodes` (number), and each is recorded as a
    rejection. The body is empty if nothing was refused.
    """
    body = await read_body(call.request)
    events: list[Event] = []
    try:
        payload, _ = read_object(NodeStatePayload, body)
        event, refusals = nodes_reported(payload, await call.gateway.link.clusters_with(payload.cluster))
        if event.nodes:
            events.append(event)
    except Refused as e:
        if e.code not in _ANSWERED_200:
            raise
        refusals = [e]
    events += rejections_of(refusals, f"{call.request.method} {call.request.path}", body)
    if events:
        await call.gateway.commands.record(events, call.user)
    return _report(refusals) if refusals else web.Response()


def _report(refusals: Sequence[Refused]) -> web.Response:
    log.warning("nodes_refused", refusals=len(refusals), first=str(refusals[0])[:200])
    listed = [{"code": refused.code, "field": refused.field, "text": refused.text} for refused in refusals[:MAX_LISTED]]
    response = answer({"refused": listed, "count": len(refusals)})
    response.headers[REFUSED] = ",".join(sorted({refused.code for refused in refusals}))
    response.headers[REFUSALS] = str(len(refusals))
    return response


@routes("POST", "/api/healthcheck/", body=NodeStatePayload, answers={200: NodesRefused}, failures=(400, 413, 503))
async def healthcheck(call: Call) -> web.StreamResponse:
    """Alias of `/api/nodestate/`, used by agents of metric stores."""
    return await node_states(call)
