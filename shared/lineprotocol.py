"""InfluxDB line protocol: a message's bytes to points and bad lines, each line on its own.

``line_protocol_parser`` reads one line; which bytes are one line is decided here, since a line end inside a quoted
field value does not end the line. A line that fails is tried again with its quotes ignored, so that an unclosed
quote costs its own line and not the ones after it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from line_protocol_parser import LineFormatError, parse_line


@dataclass(frozen=True, slots=True)
class Point:
    """``number`` counts physical lines from 1. Field values have their Python types."""

    number: int
    measurement: str
    tags: dict[str, str]
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    number: int
    text: str
    excerpt: bytes


EXCERPT_BYTES = 512
MAX_STRAY_QUOTES = 16  # each may cost a scan of the whole message; after that many, every LF ends a line


def parse_lines(payload: bytes) -> Iterator[Point | BadLine]:
    """Every line of a message that is neither blank nor a comment, in order. Never raises."""
    at, number = 0, 1
    size = len(payload)
    stray_quotes = 0
    while at < size:
        end = _line_end(payload, at, across_lines=stray_quotes < MAX_STRAY_QUOTES)
        line = payload[at:end]
        parsed = _parse(line, number)
        if isinstance(parsed, BadLine) and b"\n" in line:
            # The quote that joined these physical lines may be a stray one: judge the first physical line alone.
            stray_quotes += 1
            end = at + line.index(b"\n")
            line = payload[at:end]
            parsed = _parse(line, number)
        if parsed is not None:
            yield parsed
        number += line.count(b"\n") + 1
        at = end + 1


def _line_end(payload: bytes, at: int, *, across_lines: bool) -> int:
    """Where the line that begins at ``at`` ends, quotes honoured; the index of its LF or the end of input."""
    stripped = at
    while payload[stripped : stripped + 1] == b" ":
        stripped += 1
    if not across_lines or payload[stripped : stripped + 1] == b"#":
        end = payload.find(b"\n", at)
        return len(payload) if end < 0 else end
    size = len(payload)
    while at < size:
        end = payload.find(b"\n", at)
        quote = payload.find(b'"', at, end if end >= 0 else size)
        if quote < 0:
            return size if end < 0 else end
        at = _after_quote(payload, quote)
    return size


def _after_quote(payload: bytes, quote: int) -> int:
    """The index after the string that begins at ``quote``; the end of input when it is not closed."""
    match = _QUOTED.match(payload, quote)
    return match.end() if match else len(payload)


_QUOTED = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def _parse(line: bytes, number: int) -> Point | BadLine | None:
    text = line.removesuffix(b"\r").strip(b" ")
    if not text or text.startswith(b"#"):
        return None
    try:
        # Never bytes: line_protocol_parser 2.0.1 ends the process on a field value that is not UTF-8.
        parsed = parse_line(text.decode("utf-8", "replace"))
    except LineFormatError as e:
        return BadLine(number, str(e) or "not line protocol", text[:EXCERPT_BYTES])
    except (ValueError, OverflowError) as e:  # UnicodeError, embedded NUL
        return BadLine(number, f"not line protocol: {e}"[:300], text[:EXCERPT_BYTES])
    if parsed is None:
        return None
    return Point(number, parsed["measurement"], parsed["tags"], parsed["fields"])
