"""How much an archive holds, by cluster and month."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.archive.store import ArchiveStore, Stray


@dataclass(slots=True)
class Amount:
    """``first`` and ``last`` are the earliest and the latest start, in Unix seconds."""

    jobs: int = 0
    size: int = 0
    first: int | None = None
    last: int | None = None

    def add(self, start: int, size: int) -> None:
        self.jobs += 1
        self.size += size
        self.first = start if self.first is None else min(self.first, start)
        self.last = start if self.last is None else max(self.last, start)


@dataclass(slots=True)
class Contents:
    """``months`` are by cluster and month of the start (``2026-11``, UTC). ``strays`` are the first ones."""

    total: Amount = field(default_factory=Amount)
    clusters: dict[str, Amount] = field(default_factory=dict)
    months: dict[tuple[str, str], Amount] = field(default_factory=dict)
    strays: list[Stray] = field(default_factory=list)


MAX_STRAYS = 100


def contents_of(store: ArchiveStore, show: Callable[[int], None] = lambda _: None) -> Contents:
    """Walk the archive. No entry is opened."""
    found = Contents(clusters={name: Amount() for name in store.clusters()})
    for path in store.paths():
        if isinstance(path, Stray):
            if len(found.strays) < MAX_STRAYS:
                found.strays.append(path)
            continue
        size = store.size(path)
        month = f"{datetime.fromtimestamp(path.start_time, UTC):%Y-%m}"
        for amount in (
            found.total,
            found.clusters.setdefault(path.cluster, Amount()),
            found.months.setdefault((path.cluster, month), Amount()),
        ):
            amount.add(path.start_time, size)
        if found.total.jobs % 1000 == 0:
            show(found.total.jobs)
    return found
