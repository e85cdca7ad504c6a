"""From which address a request comes, and whether that one may use the API."""

import ipaddress
from collections.abc import Sequence

from aiohttp import hdrs, web

from services.gateway.frame.settings import EVERYBODY

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Networks:
    """A list of addresses and networks; ``*`` as its first entry holds everything."""

    def __init__(self, entries: Sequence[str]) -> None:
        self.has_all = bool(entries) and entries[0] == EVERYBODY
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in entries if entry != EVERYBODY]

    def __contains__(self, address: Address | None) -> bool:
        if self.has_all:
            return True
        return address is not None and any(address in network for network in self._networks)

    def __bool__(self) -> bool:
        return self.has_all or bool(self._networks)


class AllowList:
    """An empty list allows everybody. Forwarding headers are believed only from trusted proxies."""

    def __init__(self, allowed: Sequence[str], trusted_proxies: Sequence[str]) -> None:
        self._allowed = Networks(allowed)
        self._proxies = Networks(trusted_proxies)

    def allows(self, request: web.BaseRequest) -> bool:
        return not self._allowed or self.address(request) in self._allowed

    def address(self, request: web.BaseRequest) -> Address | None:
        return client_address(request, self._proxies)


def client_address(request: web.BaseRequest, proxies: Networks) -> Address | None:
    """The peer; behind trusted proxies the last hop that is none of them."""
    peer = _read(request.remote or "")
    if not proxies or peer not in proxies:
        return peer
    hops = [_read(hop) for line in request.headers.getall(hdrs.X_FORWARDED_FOR, []) for hop in line.split(",")]
    for hop in reversed(hops):
        if hop is None or hop not in proxies:
            return hop
    real = request.headers.get("X-Real-Ip")
    return _read(real) if real and not hops else peer


def _read(text: str) -> Address | None:
    """An address with or without port or brackets; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
