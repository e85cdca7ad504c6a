"""The journal of a systemd unit, read by journalctl: for a bounded time, and a bounded amount."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Any

import orjson

from services.gateway.errors import bad_request
from shared.errors import JobtideError

MAX_LINES = 1000
MOST_BYTES = 8 * 1024 * 1024
DEADLINE_S = 15.0
_DEFAULT_PRIORITY = 6


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """``search`` is words without meaning in a pattern, but for the dot."""

    since: str
    lines: int
    level: int | None
    search: str


class LogUnreadable(JobtideError):
    """There is no journal, or it may not be read."""


async def journal(unit: str, wanted: JournalQuery, program: str = "journalctl") -> list[dict[str, Any]]:
    """The newest entries, oldest of them first. Raises LogUnreadable, RequestError (400)."""
    # Each with its value in one word: no value is taken for an option.
    options = ["--no-pager", "--output=json", f"--unit={unit}", f"--since={wanted.since}", f"--lines={wanted.lines}"]
    if wanted.level is not None:
        options.append(f"--priority={wanted.level}")
    if wanted.search:
        options.append(f"--grep={wanted.search}")
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"LC_ALL": "C", "PATH": os.defpath},
        )
    except OSError as e:
        raise LogUnreadable(f"{program} cannot be started on this machine") from e
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, said = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
            code = await process.wait()
    except TimeoutError as e:
        raise LogUnreadable(f"{program} took longer than {DEADLINE_S:g} s") from e
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if code and said.startswith(b"Failed to parse timestamp"):
        raise bad_request("since: not a time that journalctl reads")
    if code and said.strip():  # without a word it found nothing
        raise LogUnreadable(f"{program} failed: {said.decode(errors='replace').strip().splitlines()[0][:200]}")
    entries = [_entry(line, unit) for line in output.splitlines()]
    return [entry for entry in entries if entry is not None][-wanted.lines :]


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """Everything; of more than ``MOST_BYTES`` the beginning. The rest is read too, or the program would wait for ever."""
    assert stream is not None
    kept = bytearray()
    while chunk := await stream.read(65_536):
        kept += chunk[: MOST_BYTES - len(kept)]
    return bytes(kept)


def _entry(line: bytes, unit: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:  # the last one, cut off
        return None
    if not isinstance(value, dict):
        return None
    priority, message = str(value.get("PRIORITY", "")), value.get("MESSAGE")
    return {
        "timestamp": str(value.get("__REALTIME_TIMESTAMP", "")),
        "priority": int(priority) if priority.isdecimal() else _DEFAULT_PRIORITY,
        "message": message if isinstance(message, str) else "",
        "unit": str(value.get("_SYSTEMD_UNIT") or unit),
    }
