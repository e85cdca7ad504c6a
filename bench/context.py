"""Passed to every row: the scale, a temporary folder, database servers."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.history.stores import Stores
from bench.support.servers import ENGINES, Databases, Engine


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the rows, in jobs unless the name has another unit. A job is two events."""

    name: str
    rate: int
    archived: int
    latency_s: int
    plain_archive: int
    data_archive: int
    stored: tuple[int, ...]
    growth: int
    faultless: int
    faulty: int
    faulty_on: tuple[Engine, ...]
    rebuilt: int
    in_memory: int
    at_start: int
    small_history: int
    history: int
    running: int
    requests: int
    clients_s: float
    archived_32: int
    pages: int
    now_hosts: int
    sample_hosts: int
    sample_hours: int
    file_hours: int
    beside: int
    beside_times: int
    page_loads: int
    page_nodes: int
    page_changes: int
    page_events: int


SMALL = Scale(
    name="small",
    rate=4_000,
    archived=1_000,
    latency_s=6,
    plain_archive=1_000,
    data_archive=150,
    stored=(1_000, 10_000, 50_000),
    growth=3_000,
    faultless=3_000,
    faulty=1_500,
    faulty_on=("sqlite",),  # takes a minute: messages held by a killed ingest are redelivered after 30 s
    rebuilt=5_000,
    in_memory=20_000,
    at_start=5_000,
    small_history=5_000,
    history=20_000,
    running=500,
    requests=20,
    clients_s=3.0,
    archived_32=4,
    pages=1,
    now_hosts=100,
    sample_hosts=50,
    sample_hours=2,
    file_hours=30,
    beside=2_000,
    beside_times=1,
    page_loads=3,
    page_nodes=200,
    page_changes=20,
    page_events=80_000,
)
FULL = Scale(
    name="full",
    rate=40_000,
    archived=15_000,
    latency_s=30,
    plain_archive=10_000,
    data_archive=2_000,
    stored=(10_000, 100_000, 1_000_000),
    growth=20_000,
    faultless=15_000,
    faulty=3_000,
    faulty_on=ENGINES,
    rebuilt=200_000,
    in_memory=1_000_000,
    at_start=100_000,
    small_history=100_000,
    history=1_000_000,
    running=5_000,
    requests=200,
    clients_s=15.0,
    archived_32=40,
    pages=6,
    now_hosts=1_000,
    sample_hosts=500,
    sample_hours=24,
    file_hours=120,
    beside=20_000,
    beside_times=3,
    page_loads=15,
    page_nodes=2_000,
    page_changes=100,
    page_events=8 * 3600 * 200,
)
SCALES = {scale.name: scale for scale in (SMALL, FULL)}


class Bench:
    """One run of the benchmark."""

    def __init__(self, scale: Scale, root: Path, databases: Databases, console: Console, engines: Sequence[Engine] = ()) -> None:
        self.scale = scale
        self._chosen = tuple(engines)
        self.databases = databases
        self.stores = Stores(databases, root)
        self._root = root
        self._console = console
        self._numbers = itertools.count(1)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Those chosen for this run, otherwise the two that need nothing but the virtual environment."""
        return self._chosen or ENGINES

    @property
    def engines_compared(self) -> tuple[Engine, ...]:
        """Likewise, and MariaDB where it is present."""
        if self._chosen:
            return self._chosen
        if (why := self.databases.lack("mariadb")) is not None:
            self.say(f"mariadb is skipped: {why}")
            return ENGINES
        return *ENGINES, "mariadb"

    def say(self, text: str) -> None:
        self._console.print(f"  [dim]{text}[/]", highlight=False)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder, removed on exit because a full run writes many gigabytes."""
        path = self._root / str(next(self._numbers))
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def opened_bench(scale: Scale, console: Console, engines: Sequence[Engine] = ()) -> Iterator[Bench]:
    databases = Databases()
    with tempfile.TemporaryDirectory(prefix="jobtide-bench-", ignore_cleanup_errors=True) as root:
        try:
            yield Bench(scale, Path(root), databases, console, engines)
        finally:
            databases.close()
