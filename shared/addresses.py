"""``HOST:PORT``, where a service listens."""

import ipaddress


def parse_address(address: str) -> tuple[str, int]:
    """``HOST:PORT``; port 0 is any free one. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def checked_address(address: str) -> str:
    """The address as it is, for the settings. Raises ValueError."""
    parse_address(address)
    return address


def is_loopback_host(host: str) -> bool:
    """Of a host as a URL gives it: whether it is this machine for certain."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
