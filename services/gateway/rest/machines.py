"""The state of machines as reported by tools on nodes; stored as files if a folder is configured."""

from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web

from services.gateway.call import Call
from services.gateway.errors import not_found
from services.gateway.frame.answers import JSON, unknown_path
from services.gateway.frame.bodies import read_body
from services.gateway.frame.routes import Routes
from services.gateway.rest.machinestate import MAX_BYTES, MachineStates

routes = Routes[Call]("nodes")
PATH = "/api/machine_state/{cluster}/{host}"


@routes("PUT POST", PATH, body=Any, answers={201: None}, failures=(400, 404, 413))
async def put_machine_state(call: Call) -> web.StreamResponse:
    """Store the state of a machine, any JSON."""
    states = _states(call)
    if states is None:
        return unknown_path()
    body = await read_body(call.request, MAX_BYTES)
    await states.put(call.request.match_info["cluster"], call.request.match_info["host"], body)
    return web.Response(status=HTTPStatus.CREATED)


@routes("GET", PATH, answers={200: Any}, failures=(400, 404))
async def machine_state(call: Call) -> web.StreamResponse:
    """The state of a machine as it was stored."""
    states = _states(call)
    if states is None:
        return unknown_path()
    cluster, host = call.request.match_info["cluster"], call.request.match_info["host"]
    path = await states.get(cluster, host)
    if path is None:
        raise not_found(f"there is no state of {host} of {cluster}")
    return web.FileResponse(path, headers={hdrs.CONTENT_TYPE: JSON})


def _states(call: Call) -> MachineStates | None:
    folder = call.gateway.settings.machine_state_dir
    return MachineStates(folder) if folder is not None else None
