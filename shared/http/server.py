"""Listening on an address, with limits on connections."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from aiohttp import hdrs, web

from shared.addresses import join_address, parse_address
from shared.errors import CannotListen
from shared.http.connection import SERVER
from shared.http.connections import Connections
from shared.http.limits import HEALTH_LIMITS, HttpLimits
from shared.http.numbers import HttpNumbers
from shared.loops import end

BACKLOG = 1024
SHUTDOWN_S = 3.0


@asynccontextmanager
async def listening(
    app: web.Application, address: str, setting: str, numbers: HttpNumbers, limits: HttpLimits = HEALTH_LIMITS
) -> AsyncIterator[str]:
    """Serve an application; yields the bound address. Open requests get 3 s on exit.

    Raises CannotListen, which names ``setting``, when the address is in use or not local.
    """
    app.on_response_prepare.append(_prepare)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        assert runner.server is not None
        with ExitStack() as stack:
            try:
                listeners = [stack.enter_context(listener) for listener in await _listeners(address)]
            except OSError as e:
                raise CannotListen(f"{setting}: cannot listen on {address}: {_why(e)}") from e
            connections = Connections(runner.server, limits, numbers)
            tasks = [asyncio.create_task(connections.accept(listener), name="accept") for listener in listeners]
            tasks.append(asyncio.create_task(connections.sweep(), name="sweep"))
            try:
                bound = listeners[0].getsockname()
                yield join_address(bound[0], bound[1])
            finally:
                await end(tasks)
    finally:
        await runner.cleanup()


async def _prepare(_: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = SERVER
    if isinstance(response, web.FileResponse) and not response.compression:
        # aiohttp leaves sendfile to the kernel unless an answer is compressed. When asyncio (Python 3.11 to 3.13) closes a connection
        # during sendfile, its descriptor stays in the selector, and the next connection with this number is never read.
        response.enable_compression(web.ContentCoding.identity)


async def _listeners(address: str) -> list[socket.socket]:
    """One per address of the host. Raises OSError."""
    host, port = parse_address(address)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(where)
            listener.listen(BACKLOG)
            listener.setblocking(False)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _why(error: OSError) -> str:
    """The error text without the address."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()
