"""Whether a host delivers its metrics."""

from dataclasses import dataclass
from typing import Literal

HealthState = Literal["full", "partial", "failed"]


@dataclass(frozen=True, slots=True)
class HostHealth:
    """``missing`` metrics have no series; ``degraded`` ones have at least one stale series."""

    state: HealthState
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
