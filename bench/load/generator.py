"""Starts the load generator and reads its reports."""

import array
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.load.lines import JOB_SUBJECT, Load
from bench.support.process import ready_process


@dataclass(frozen=True, slots=True)
class Published:
    """Unix seconds. ``times`` per message, empty when it was published as fast as possible."""

    messages: int
    started: float
    finished: float
    times: list[float]

    @property
    def per_second(self) -> float:
        return self.messages / (self.finished - self.started)


class Generator:
    """A publisher that is ready to begin."""

    def __init__(self, process: asyncio.subprocess.Process, file: Path) -> None:
        self._process = process
        self._file = file

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def finished(self, deadline_s: float = 900.0) -> Published:
        """Raises RuntimeError when the publisher failed, TimeoutError."""
        assert self._process.stdout is not None
        text = await asyncio.wait_for(self._process.stdout.readline(), deadline_s)
        if not text:
            raise RuntimeError(f"the publisher of {self._file.name} ended without output")
        said = orjson.loads(text)
        times = array.array("d")
        times_file = self._file.with_suffix(".times")
        if times_file.exists():
            times.frombytes(times_file.read_bytes())
        return Published(said["messages"], said["started"], said["finished"], times.tolist())


@asynccontextmanager
async def generator(load: Load, folder: Path, url: str, *, rate: float | None = None) -> AsyncIterator[Generator]:
    """Write the messages, start the process and wait until it is ready; it is ended on exit."""
    file = await asyncio.to_thread(load.write, folder / f"load-{load.first_job}.txt")
    arguments = [str(file), "--url", url, "--subject", JOB_SUBJECT, *(["--rate", str(rate)] if rate else [])]
    async with ready_process("bench.load.publisher", arguments) as process:
        yield Generator(process, file)
        file.unlink(missing_ok=True)
