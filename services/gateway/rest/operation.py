"""The state of the site, for operators."""

from aiohttp import web

from services.gateway.call import Call
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.routes import Routes
from services.gateway.rest.status import SiteStatus, site_status

routes = Routes[Call]("operation")
pages = Routes[Call]("operators", guard=Guard.STAFF)


@routes("GET", "/api/status/", answers={200: SiteStatus}, failures=(503,))
@pages("GET", "/frontend/status/", answers={200: SiteStatus}, failures=(503,))
async def status(call: Call) -> web.StreamResponse:
    """Streams, positions, lag, archive queue, rejections, running jobs, metric stores, services, clusters, live clients."""
    gateway = call.gateway
    silent_s = gateway.settings.node_unknown_after_s
    state = await site_status(gateway.link, gateway.engine, gateway.metrics.source, gateway.live.clients, silent_s=silent_s)
    return answer(state.model_dump(by_alias=True))
