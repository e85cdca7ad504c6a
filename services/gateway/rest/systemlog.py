"""Reads the journal of a systemd unit by journalctl, with bounds on time and size."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Any

import orjson

from services.gateway.errors import bad_request
from shared.errors import JobtideError

MAX_LINES = 1000
MAX_BYTES = 8 * 1024 * 1024
DEADLINE_S = 15.0
_DEFAULT_PRIORITY = 6


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """``search`` contains no special characters of patterns except the dot."""

    since: str
    lines: int
    level: int | None
    search: str


class LogUnreadable(JobtideError):
    """The journal does not exist or cannot be read."""


async def journal(unit: str, wanted: JournalQuery, program: str = "journalctl") -> list[dict[str, Any]]:
    """The newest entries in order of time. Raises LogUnreadable, RequestError (400)."""
    # Option and value in one argument, so that no value is read as an option.
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
        raise bad_request("since: not a time in the format of journalctl")
    if code and said.strip():  # an error without output means no matches
        raise LogUnreadable(f"{program} failed: {said.decode(errors='replace').strip().splitlines()[0][:200]}")
    entries = [_entry(line, unit) for line in output.splitlines()]
    return [entry for entry in entries if entry is not None][-wanted.lines :]


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """Read up to ``MAX_BYTES`` and discard the rest, since the program blocks when its output is not read."""
    assert stream is not None
    kept = bytearray()
    while chunk := await stream.read(65_536):
        kept += chunk[: MAX_BYTES - len(kept)]
    return bytes(kept)


def _entry(line: bytes, unit: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:  # the last line, cut off at ``MAX_BYTES``
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
