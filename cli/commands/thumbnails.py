"""`jobtide archive thumbnails`."""

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cli.commands.archive_tools import ArchiveUnsound
from cli.progress import progress_bar
from cli.site import find_site
from shared.archive import ArchiveError, ArchiveStore, JobPath, add_thumbnail, bands_in
from shared.archive.layout import require_version
from shared.archive.places import present_store, store_at
from shared.settings import ArchiveSettings

ENTRIES_PER_TASK = 25
TASKS_PER_WORKER = 4  # submitted ahead


@dataclass(frozen=True, slots=True)
class Made:
    """Numbers of entries, and a line about each that could not be read or written."""

    entries: int
    made: int
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Place:
    """An archive as each process opens it; without an address that of the settings."""

    settings: ArchiveSettings
    address: str | None

    def store(self) -> ArchiveStore:
        return present_store(self.settings) if self.address is None else store_at(self.address, self.settings)


def run_thumbnails(data: Path | None, address: str | None, workers: int | None) -> None:
    """Entries with a thumbnail of their data are left alone, so that an interrupted run continues. Raises UserError, ArchiveUnsound."""
    place = Place(find_site(data).archive, address)
    store = place.store()
    require_version(store.version(), store.address)
    workers = workers or os.cpu_count() or 1
    total = sum(1 for _ in store.paths()) if sys.stderr.isatty() else None
    entries = made = problems = 0
    with (
        ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool,
        progress_bar("entries") as show,
    ):
        for result in _results(pool, place, store, workers * TASKS_PER_WORKER):
            entries, made, problems = entries + result.entries, made + result.made, problems + len(result.problems)
            for line in result.problems:
                print(line, flush=True)
            show(entries, total)
    print(f"{made} thumbnail{'' if made == 1 else 's'} made, {entries - made - problems} there already")
    if problems:
        raise ArchiveUnsound(f"{problems} entr{'y' if problems == 1 else 'ies'} without a thumbnail in {store.address}")


def _results(pool: ProcessPoolExecutor, place: Place, store: ArchiveStore, ahead: int) -> Iterator[Made]:
    paths = (path for path in store.paths() if isinstance(path, JobPath))
    running: set[Future[Made]] = set()
    try:
        while True:
            while len(running) < ahead and (some := list(islice(paths, ENTRIES_PER_TASK))):
                running.add(pool.submit(make_thumbnails, place, some))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def make_thumbnails(place: Place, paths: Sequence[JobPath]) -> Made:
    """The missing thumbnails of some entries. Runs in a process of its own."""
    store, made, problems = place.store(), 0, []
    for path in paths:
        try:
            if bands_in(store, path) is None:
                add_thumbnail(store, path)
                made += 1
        except (ArchiveError, OSError) as e:
            problems.append(f"{path.relative}: {e}")
    store.close()
    return Made(len(paths), made, problems)
