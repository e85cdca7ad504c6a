"""The progress of commands that walk an archive: the entries so far, and their total as soon as it is known."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli.progress import is_shown, progress_bar
from shared.archive.layout import JobPath
from shared.archive.store import Stray
from shared.archive.transfer import EntrySource
from shared.errors import JobtideError


class _Total:
    """Counts in a thread of its own, because listing the entries of a large archive takes minutes. ``number`` is None until it ends."""

    def __init__(self, store: EntrySource, counts: Callable[[JobPath | Stray], bool]) -> None:
        self.number: int | None = None
        self._store = store
        self._counts = counts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, name="count", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _count(self) -> None:
        number = 0
        try:
            for path in self._store.paths():
                if self._stop.is_set():
                    return
                number += self._counts(path)
        except (JobtideError, OSError):
            return  # the command itself will report it
        self.number = number


@contextmanager
def counted(store: EntrySource, counts: Callable[[JobPath | Stray], bool] = lambda _: True) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number of entries so far, of those in ``store`` for which ``counts`` is true."""
    with progress_bar("entries") as bar:
        if not is_shown():
            yield bar
            return
        total, last = _Total(store, counts), 0

        def show(done: int) -> None:
            nonlocal last
            last = done
            bar(done, total.number)

        try:
            yield show
            bar(last, last)
        finally:
            total.stop()
