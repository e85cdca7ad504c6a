"""All connections of a server: which ones it accepts, and which ones it closes."""

import asyncio
import ipaddress
import socket
import time
from collections import Counter
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from shared.http.connection import SERVER, Connection
from shared.http.limits import RESERVE, HttpLimits, connections_within_descriptors
from shared.http.numbers import HttpNumbers

log = structlog.get_logger()

HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
SWEEP_S = 0.5
ACCEPT_PAUSE_S = 0.1
LOG_AGAIN_S = 60.0
_IPV6_SITE_BYTES = 8  # a /64 is one customer


class Connections:
    """Connections above the limits go to a reserve, where only health pages are answered.

    When the reserve is full as well, its oldest connection without a request is closed: monitoring, which sends its request at
    once, always finds a place.
    """

    def __init__(self, server: web.Server, limits: HttpLimits, numbers: HttpNumbers) -> None:
        self.numbers = numbers
        self._server = server
        self._limits = limits
        self._max_connections = connections_within_descriptors(limits.max_connections)
        self._ordinary: set[Connection] = set()
        self._reserve: dict[Connection, None] = {}  # oldest first
        self._per_address: Counter[str] = Counter()
        self._logged_at: dict[str, float] = {}
        self._handle = server.request_handler
        server.request_handler = self._serve

    async def accept(self, listener: socket.socket) -> None:
        """Accept forever. Errors, such as too many open files, are counted, and logged once a minute."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listener)
            except OSError as e:
                self.numbers.accept_errors.inc()
                self._log_rarely("accept_failed", why=e.strerror or str(e))
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            try:
                await self._open(accepted, site_of(peer[0]))
            except Exception:
                log.exception("connection_crashed")
                accepted.close()

    async def sweep(self) -> None:
        """Close overdue connections, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                for connection in [*self._ordinary, *self._reserve]:
                    why = connection.overdue(loop.time())
                    if why is not None:
                        self._cut_off(connection, why)
            except Exception:
                log.exception("sweep_crashed")

    def add(self, connection: Connection) -> None:
        """Called by each connection when it is opened."""
        if connection.is_reserve:
            self._reserve[connection] = None
            self.numbers.open.labels("reserve").inc()
        else:
            self._ordinary.add(connection)
            self._per_address[connection.address] += 1
            self.numbers.open.labels("ordinary").inc()

    def remove(self, connection: Connection) -> None:
        """Called by each connection when it is lost."""
        if connection in self._reserve:
            del self._reserve[connection]
            self.numbers.open.labels("reserve").dec()
        elif connection in self._ordinary:
            self._ordinary.remove(connection)
            self._per_address[connection.address] -= 1
            if not self._per_address[connection.address]:
                del self._per_address[connection.address]
            self.numbers.open.labels("ordinary").dec()

    async def _open(self, accepted: socket.socket, address: str) -> None:
        full = self._full(address)
        if full is not None:
            self.numbers.above_limit.labels(full).inc()
            self._log_rarely("connections_above_limit", limit=full, address=address)
            if not self._make_place():
                accepted.close()
                return
        connection = Connection(self._server, self, self._limits, address, is_reserve=full is not None)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # the client has disconnected already
            accepted.close()

    def _full(self, address: str) -> str | None:
        """The limit that another connection from this address would exceed."""
        if len(self._ordinary) >= self._max_connections:
            return "total"
        if self._per_address[address] >= self._limits.max_connections_per_address and not self._is_proxy(address):
            return "address"
        return None

    def _is_proxy(self, address: str) -> bool:
        host = ipaddress.ip_address(address)
        return any(host in network for network in self._limits.proxies)

    def _make_place(self) -> bool:
        if len(self._reserve) < RESERVE:
            return True
        for connection in self._reserve:
            if connection.is_waiting:
                self._cut_off(connection, "reserve")
                self.remove(connection)  # the loop reports it only later
                return True
        return False

    def _cut_off(self, connection: Connection, why: str) -> None:
        self.numbers.cut_off.labels(why).inc()
        connection.abort()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.begin(request)
        try:
            if connection.is_reserve and request.path not in HEALTH_PATHS:
                return _full_answer()
            response = await self._handle(request)
        finally:
            connection.end()
        if connection.is_reserve:
            response.force_close()
        return response

    def _log_rarely(self, event: str, **facts: str) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(event, -LOG_AGAIN_S) >= LOG_AGAIN_S:
            self._logged_at[event] = now
            log.warning(event, **facts)


def site_of(address: str) -> str:
    """The key of the limit per address: an IPv4 address, or the first address of an IPv6 /64 network."""
    host = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(host, ipaddress.IPv4Address):
        return str(host)
    if host.ipv4_mapped is not None:
        return str(host.ipv4_mapped)
    return str(ipaddress.IPv6Address(host.packed[:_IPV6_SITE_BYTES] + bytes(16 - _IPV6_SITE_BYTES)))


def _full_answer() -> web.Response:
    response = web.json_response({"status": "Service Unavailable", "error": "too many connections"}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers[hdrs.RETRY_AFTER] = "5"
    response.headers[hdrs.SERVER] = SERVER
    response.force_close()
    return response
