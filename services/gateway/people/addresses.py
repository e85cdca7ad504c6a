"""The address a request comes from, and whether it may use the API."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import hdrs, web

from services.gateway.frame.settings import EVERYBODY

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Networks:
    """A list of addresses and networks; ``*`` as the first entry matches everything, also an unknown address."""

    def __init__(self, entries: Sequence[str]) -> None:
        self.has_all = bool(entries) and entries[0] == EVERYBODY
        self._networks = [ipaddress.ip_network(entry, strict=False) for entry in entries if entry != EVERYBODY]

    def __contains__(self, address: Address | None) -> bool:
        if self.has_all:
            return True
        return address is not None and any(address in network for network in self._networks)

    def __bool__(self) -> bool:
        return self.has_all or bool(self._networks)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sign-in comes from, for limits per address and per network.

    One IPv6 subscriber has a whole /64, which counts as one address. Unknown addresses share one origin.
    """

    address: str
    network: str

    @classmethod
    def of(cls, address: Address | None) -> "Origin":
        if address is None:
            return cls("unknown", "unknown")
        single, network = (32, 24) if address.version == 4 else (64, 48)
        return cls(*(str(ipaddress.ip_network((address, length), strict=False)) for length in (single, network)))


class AllowList:
    """An empty list allows every address. Forwarding headers count only when a trusted proxy sends them."""

    def __init__(self, allowed: Sequence[str], trusted_proxies: Sequence[str]) -> None:
        self._allowed = Networks(allowed)
        self._proxies = Networks(trusted_proxies)

    def allows(self, request: web.BaseRequest) -> bool:
        return not self._allowed or self.address(request) in self._allowed

    def address(self, request: web.BaseRequest) -> Address | None:
        return client_address(request, self._proxies)


def client_address(request: web.BaseRequest, proxies: Networks) -> Address | None:
    """The peer, or with trusted proxies the last hop that is not one of them. None if it cannot be parsed."""
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
    """Parse an address with or without port and brackets; None for anything else. IPv4 in IPv6 notation becomes IPv4."""
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
