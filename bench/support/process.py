"""A module of the benchmark in a process of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.support.processes import REPOSITORY

READY_S = 120.0


@asynccontextmanager
async def ready_process(module: str, arguments: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has printed ``ready`` and is controlled through its standard input; it is killed on exit."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    try:
        assert process.stdout is not None
        if await asyncio.wait_for(process.stdout.readline(), READY_S) != b"ready\n":
            raise RuntimeError(f"{module} did not become ready")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
