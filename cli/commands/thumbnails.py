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
from shared.archive import ArchiveError, check_version, job_directories, job_path_of, make_thumbnail, read_thumbnail
from shared.archive.layout import TEMPORARY_PREFIX, without_place
from shared.errors import UserError
from shared.settings import ArchiveSettings

ENTRIES_PER_TASK = 25
TASKS_PER_WORKER = 4  # submitted ahead


@dataclass(frozen=True, slots=True)
class Made:
    """Numbers of entries, and a line about each that could not be read or written."""

    entries: int
    made: int
    problems: Sequence[str]


def run_thumbnails(data: Path | None, root: Path | None, workers: int | None) -> None:
    """Entries with a thumbnail of their data are left alone, so that an interrupted run continues. Raises UserError, ArchiveUnsound."""
    root = root or _folder(find_site(data).archive)
    check_version(root)
    workers = workers or os.cpu_count() or 1
    total = sum(1 for _ in job_directories(root)) if sys.stderr.isatty() else None
    entries = made = problems = 0
    with (
        ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool,
        progress_bar("entries") as show,
    ):
        for result in _results(pool, root, workers * TASKS_PER_WORKER):
            entries, made, problems = entries + result.entries, made + result.made, problems + len(result.problems)
            for line in result.problems:
                print(line, flush=True)
            show(entries, total)
    print(f"{made} thumbnail{'' if made == 1 else 's'} made, {entries - made - problems} there already")
    if problems:
        raise ArchiveUnsound(f"{problems} entr{'y' if problems == 1 else 'ies'} without a thumbnail in {root}")


def _folder(settings: ArchiveSettings) -> Path:
    """Raises UserError."""
    if settings.url is not None:
        raise UserError(f"the archive {settings.url} is not a folder: entries in other places get their thumbnails when they are archived")
    return settings.path


def _results(pool: ProcessPoolExecutor, root: Path, ahead: int) -> Iterator[Made]:
    directories = (one for one in job_directories(root) if not one.name.startswith(TEMPORARY_PREFIX))
    running: set[Future[Made]] = set()
    try:
        while True:
            while len(running) < ahead and (some := list(islice(directories, ENTRIES_PER_TASK))):
                running.add(pool.submit(make_thumbnails, root, some))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def make_thumbnails(root: Path, directories: Sequence[Path]) -> Made:
    """The missing thumbnails of some entries. Runs in a process of its own."""
    made, problems = 0, []
    for directory in directories:
        try:
            path = job_path_of(root, directory)
            if read_thumbnail(root, path) is None:
                make_thumbnail(root, path)
                made += 1
        except (ArchiveError, OSError) as e:
            problems.append(f"{directory}: {without_place(e, directory)}")
    return Made(len(directories), made, problems)
