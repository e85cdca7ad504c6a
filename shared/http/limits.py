"""Limits on the number and duration of connections, and on the descriptors of the process."""

import ipaddress
import resource
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

RESERVE = 32  # connections above the limits, for health pages
MIN_CONNECTIONS = 16
MAX_DESCRIPTORS = 65_536  # more has no benefit, and slows programs that iterate over all of them
OWN_DESCRIPTORS = 512  # databases, broker, archive, and the health pages of other services in the same process

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """``proxies`` are networks whose addresses count towards ``max_connections`` only.

    ``head_timeout_s`` runs from the connection, or from the first byte of a later request, to the end of the request's head;
    ``body_timeout_s`` from there to the end of its body; ``idle_timeout_s`` between two requests;
    ``stall_timeout_s`` while a client reads nothing of a response.
    """

    max_connections: int = 4096
    max_connections_per_address: int = 512
    head_timeout_s: float = 10.0
    body_timeout_s: float = 120.0
    idle_timeout_s: float = 75.0
    stall_timeout_s: float = 60.0
    proxies: Sequence[Network] = ()


# Monitoring requests one page per connection, or keeps a few connections open.
HEALTH_LIMITS = HttpLimits(max_connections=128, max_connections_per_address=64)


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files towards the hard one; logs a warning if that is not permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as e:
        log.warning("descriptor_limit_not_raised", limit=soft, why=str(e))


def connections_within_descriptors(wanted: int) -> int:
    """``wanted``, or fewer if the process may not open enough files: a connection and the file it sends are two."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    possible = max(MIN_CONNECTIONS, (soft - OWN_DESCRIPTORS) // 2 - RESERVE)
    if possible < wanted:
        log.warning("connections_limited_by_descriptors", descriptors=soft, connections=possible, wanted=wanted)
    return min(wanted, possible)
