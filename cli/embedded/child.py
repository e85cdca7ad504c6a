"""One service of an embedded site in a process of its own, which never outlives the site.

The child gets its settings, pickled, on standard input, writes its addresses to standard output and its log to standard error.
"""

import asyncio
import importlib
import os
import pickle
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
import structlog

from cli.embedded.children import end_with_parent
from cli.embedded.supervisor import STOP_GRACE_S
from shared.errors import JobtideError, UserError
from shared.service import Report, main
from shared.settings import PREFIX

log = structlog.get_logger()

KILL_AFTER_S = STOP_GRACE_S - 0.5
MAX_LINE_BYTES = 1024 * 1024
MAX_LOGGED = 2000  # characters of a line that is not JSON
_WRONG_SETTING = 2  # exit code
_LEVELS = frozenset(("debug", "info", "warning", "error", "critical"))


class ChildEnded(JobtideError):
    """The process of a service ended before it was stopped."""


class ServiceProcess:
    """A service in a process of its own. Once it has been up its settings are right, so that later errors may pass."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._was_up = False

    async def run(self, settings: Any, stop: asyncio.Event, report: Report) -> None:
        """Run until ``stop``. Raises ChildEnded when the process ends before, UserError when its settings are wrong."""

        def remember(service: str, **addresses: str) -> None:
            self._was_up = True
            report(service, **addresses)

        code, text = await _run(self._name, settings, stop, remember)
        if not stop.is_set():
            raise UserError(text) if code == _WRONG_SETTING and not self._was_up else ChildEnded(text)


async def _run(name: str, settings: Any, stop: asyncio.Event, report: Report) -> tuple[int, str]:
    """Run the process until it ends by itself or by ``stop``. Returns its exit code, and why it ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli.embedded.child", name, str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {f"{PREFIX}LOG_FORMAT": "json"},
        limit=MAX_LINE_BYTES,
        start_new_session=True,  # Ctrl-C in a terminal is for jobtide, which ends the child
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output = Output(name)
    reading = [asyncio.create_task(output.report(process.stdout, report)), asyncio.create_task(output.log(process.stderr))]
    ending = asyncio.create_task(_end_at(stop, process))
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended already
            process.stdin.write(pickle.dumps(settings))
            await process.stdin.drain()
            process.stdin.close()
        await asyncio.gather(process.wait(), *reading)  # an error while reading must end the process
        code = await process.wait()
    finally:
        for task in (ending, *reading):
            task.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    return code, output.reason or f"ended with {code}"


async def _end_at(stop: asyncio.Event, process: asyncio.subprocess.Process) -> None:
    await stop.wait()
    with suppress(ProcessLookupError):
        process.terminate()
        await asyncio.sleep(KILL_AFTER_S)
        process.kill()


class Output:
    """The output of a service process. ``reason`` is the error that the process reported last, empty without one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reason = ""

    async def report(self, stream: asyncio.StreamReader, report: Report) -> None:
        """Report the addresses in each line."""
        async for line in _lines(stream):
            addresses = _json_object(line)
            if addresses is None:
                self._log_other(line)
            else:
                report(self._name, **addresses)

    async def log(self, stream: asyncio.StreamReader) -> None:
        """Write the lines to the log of the site."""
        async for line in _lines(stream):
            facts = _json_object(line)
            if facts is None or "event" not in facts:
                self._log_other(line)
                continue
            level, event = str(facts.pop("level", "")), str(facts.pop("event"))
            facts.pop("timestamp", None)
            getattr(log, level if level in _LEVELS else "warning")(event, **{"service": self._name} | facts)

    def _log_other(self, line: bytes) -> None:
        """Write a line that is not JSON, such as one of a traceback."""
        text = line.decode(errors="replace").rstrip()[:MAX_LOGGED]
        if not text:
            return
        own = f"{self._name}: "
        if text.startswith(own) or not self.reason.startswith(own):
            self.reason = text
        log.warning("child_output", service=self._name, text=text)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """All lines but for the beginning of those above ``MAX_LINE_BYTES``. A process whose output is not read stands still."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # the line is too long; what has been read of it is discarded
            continue
        if not line:
            return
        yield line


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _main() -> None:
    name, parent = sys.argv[1], int(sys.argv[2])
    end_with_parent(parent)  # with SIGKILL, so that it is gone before the site starts again; samples in memory are in the stream
    settings = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent process
    app = importlib.import_module(f"services.{name}.app")

    def report(_: str, **addresses: str) -> None:
        print(orjson.dumps(addresses).decode(), flush=True)

    async def run(stop: asyncio.Event, _: Report) -> None:
        await app.run(settings, stop, report)

    main(name, run)


if __name__ == "__main__":
    _main()
