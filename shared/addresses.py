"""``HOST:PORT`` addresses that services listen on."""

import ipaddress


def parse_address(address: str) -> tuple[str, int]:
    """``HOST:PORT``, or ``[HOST]:PORT`` with an IPv6 address; port 0 is any free one. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or "[" in host or "]" in host:
        raise ValueError(f"{address!r} is not HOST:PORT; an IPv6 address is written in brackets, as in [::1]:8080")
    return host or "127.0.0.1", int(port)


def checked_address(address: str) -> str:
    """Validate the address and return it unchanged. Raises ValueError."""
    parse_address(address)
    return address


def join_address(host: str, port: int | str) -> str:
    """``HOST:PORT``, with brackets around an IPv6 address."""
    host = host.strip("[]")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(address: str) -> str:
    """The address to connect to, given the one that is listened on: loopback for all interfaces."""
    host, port = parse_address(address)
    return join_address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104 - compared, not bound


def is_loopback_host(host: str) -> bool:
    """Whether a host from a URL is certainly this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
