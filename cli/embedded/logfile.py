"""The log of a site that runs on a terminal: everything is written to a file, warnings and errors to the terminal too."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from shared.log import configure
from shared.printing import printable
from shared.settings import LogSettings, load

MAX_BYTES = 16 * 1024 * 1024
OLDER_FILES = 2
_HIDDEN = frozenset({"event", "level", "timestamp", "exc_info", "exception", "stack_info"})


class RotatingFile:
    """A log file of bounded size. A full one is renamed to ``NAME.1``; ``OLDER_FILES`` of these are retained."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file = self._open()
        self._size = os.fstat(self._file.fileno()).st_size

    def write(self, text: str) -> int:
        size = len(text.encode(errors="backslashreplace"))
        if self._size and self._size + size > self._max_bytes:
            self._rotate()
        self._file.write(text)
        self._size += size
        return len(text)

    def flush(self) -> None:
        self._file.flush()

    def isatty(self) -> bool:
        return False

    def _open(self) -> TextIO:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "a", buffering=1, encoding="utf-8", errors="backslashreplace")

    def _rotate(self) -> None:
        self._file.close()
        for number in range(OLDER_FILES, 0, -1):
            source = self._older(number - 1)
            if source.exists():
                source.replace(self._older(number))
        self._file = self._open()
        self._size = 0

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


@dataclass(slots=True)
class Problems:
    """Warnings and errors since the start. They are printed unless a display shows them: it sets ``are_printed`` to False."""

    count: int = 0
    latest: str = ""
    are_printed: bool = True

    def add(self, level: str, facts: Mapping[str, Any]) -> None:
        self.count += 1
        self.latest = one_line(level, facts)
        if self.are_printed:
            print(self.latest, file=sys.stderr, flush=True)


def log_to_file(path: Path, problems: Problems) -> None:
    """Log to ``path`` until the process ends, and warnings and errors to ``problems`` too."""
    configure(load(LogSettings), stream=cast("TextIO", RotatingFile(path)), on_problem=problems.add)


def one_line(level: str, facts: Mapping[str, Any]) -> str:
    """``error: service_failed service=jobstore why=…``, safe to print on a terminal."""
    pairs = "".join(f" {name}={value}" for name, value in facts.items() if name not in _HIDDEN and value is not None)
    return printable(f"{level}: {facts.get('event', '')}{pairs}")
