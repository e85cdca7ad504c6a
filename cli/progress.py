"""A progress bar on a terminal. Elsewhere there is none; the summary at the end is enough."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    def __call__(self, done: int, total: int | None = None, what: str | None = None) -> None: ...


def is_shown() -> bool:
    """True if standard error is a terminal."""
    return sys.stderr.isatty()


@contextmanager
def progress_bar(what: str) -> Iterator[Bar]:
    """Yields a function to call with the progress so far; total and text are remembered between calls."""
    if not is_shown():
        yield _no_bar
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=None)

        def show(done: int, total: int | None = None, what: str | None = None) -> None:
            progress.update(task, completed=done, total=total, description=what)

        yield show


def _no_bar(done: int, total: int | None = None, what: str | None = None) -> None:
    pass
