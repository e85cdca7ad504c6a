"""InfluxDB line protocol: a message's bytes to points and bad lines, each line on its own.

Which bytes are one line is decided here, since a line end inside a quoted field value does not end the line. The quoted
values are cut out and read here too, and ``line_protocol_parser`` reads what is left: that library knows only two of
the five escapes, and ends the process on a value that is not UTF-8. A line that fails is tried again up to its first
LF, so that an unclosed quote costs its own line and not the ones after it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

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
MAX_ITEMS = 256  # tags and fields of one line; the library's time grows with their square
MAX_STRAY_QUOTES = 16  # each may cost a scan of the whole message; after that many, every LF ends a line


def parse_lines(payload: bytes) -> Iterator[Point | BadLine]:
    """Every line of a message that is neither blank nor a comment, in order. Never raises."""
    at, number = 0, 1
    size = len(payload)
    masked = payload.replace(b"\\\\", _BACKSLASH).replace(b'\\"', _QUOTE)
    stray_quotes = 0
    while at < size:
        line = _cut(payload, masked, at, size if stray_quotes < MAX_STRAY_QUOTES else _first_end(payload, at))
        parsed = _parse(line, payload, number)
        if isinstance(parsed, BadLine):
            first = _first_end(payload, at)
            if first < line.end:
                # The quote that joined these physical lines may be a stray one: judge the first physical line alone.
                stray_quotes += 1
                line = _cut(payload, masked, at, first)
                parsed = _parse(line, payload, number)
        if parsed is not None:
            yield parsed
        number += payload.count(b"\n", at, line.end) + 1
        at = line.end + 1


# What stands for an escaped backslash and quote while a message is read: as long as the originals, so that positions agree.
_BACKSLASH, _QUOTE = b"\0\0", b"\1\1"


class _Line(NamedTuple):
    """One line from ``begin`` to ``end``. In ``skeleton`` each quoted value is the index of its content in ``texts``."""

    begin: int
    end: int
    skeleton: bytes
    texts: list[bytes]


_HEAD = re.compile(rb" *+((?:[^\\ \n]++|\\.)*+ )?")  # measurement and tags, where a quote is like any character
_QUOTE_OR_END = re.compile(rb'(?<!\\)="|\n')


def _first_end(payload: bytes, at: int) -> int:
    end = payload.find(b"\n", at)
    return len(payload) if end < 0 else end


def _cut(payload: bytes, masked: bytes, begin: int, size: int) -> _Line:
    """The line that begins at ``begin`` and ends before ``size``; an unclosed quote is left in the skeleton."""
    head = _HEAD.match(payload, begin, size)
    assert head is not None
    if head[1] is None or head[1].startswith(b"#"):  # blank, without fields, or a comment
        end = min(_first_end(payload, begin), size)
        return _Line(begin, end, payload[begin:end].lstrip(b" "), [])
    pieces: list[bytes] = [head[1]]
    texts: list[bytes] = []
    kept_until = head.end()
    while (found := _QUOTE_OR_END.search(payload, kept_until, size)) is not None:
        opened = found.end()
        if found[0] == b"\n":
            size = found.start()
            break
        closed = masked.find(b'"', opened, size)
        if closed < 0:
            break
        pieces.append(b'%b%d"' % (payload[kept_until:opened], len(texts)))
        texts.append(_unescape(payload, masked, opened, closed))
        kept_until = closed + 1
    pieces.append(payload[kept_until:size])
    return _Line(begin, size, b"".join(pieces), texts)


def _unescape(payload: bytes, masked: bytes, begin: int, end: int) -> bytes:
    r"""A quoted value with ``\"``, ``\\``, ``\n``, ``\r`` and ``\t`` replaced; every other backslash stays."""
    text = payload[begin:end]
    if b"\\" not in text:
        return text
    if b"\0" in text or b"\1" in text:  # which the masks would be taken for
        return b"\\".join(_unescape_single(part.replace(b'\\"', b'"')) for part in text.split(b"\\\\"))
    return _unescape_single(masked[begin:end].replace(_QUOTE, b'"')).replace(_BACKSLASH, b"\\")


def _unescape_single(text: bytes) -> bytes:
    """For a text in which no backslash follows another."""
    if b"\\" not in text:
        return text
    return text.replace(b"\\n", b"\n").replace(b"\\r", b"\r").replace(b"\\t", b"\t")


_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def _parse(line: _Line, payload: bytes, number: int) -> Point | BadLine | None:
    skeleton = line.skeleton.removesuffix(b"\r").rstrip(b" ")
    if not skeleton or skeleton.startswith(b"#"):
        return None
    try:
        control = _CONTROL.search(skeleton)
        if control is not None:
            raise ValueError(f"control character {control[0][0]:#04x} outside of a quoted value")
        if skeleton.count(b",") > MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS} tags and fields")
        measurement, tags, fields = _read(skeleton.decode())
        for key, value in fields.items():
            if isinstance(value, str):
                fields[key] = line.texts[int(value)].decode()
    except UnicodeDecodeError:
        text = "not UTF-8"
    except (LineFormatError, ValueError, IndexError) as e:
        text = str(e)[:300] or "not line protocol"
    else:
        return Point(number, measurement, tags, fields)
    return BadLine(number, text, payload[line.begin : min(line.end, line.begin + EXCERPT_BYTES)])


def _read(skeleton: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Measurement, tags and fields; of equal keys the last wins. Raises LineFormatError."""
    try:
        parsed = parse_line(skeleton)
        if skeleton.count("=") == len(parsed["tags"]) + len(parsed["fields"]):
            return parsed["measurement"], parsed["tags"], parsed["fields"]
    except LineFormatError:
        pass  # the library refuses repeated tags and the ends of the range of timestamps
    renamed, replaced = _without_repetition(skeleton)
    parsed = parse_line(renamed)
    kept = {key: value for key, value in parsed["tags"].items() if key not in replaced}
    return parsed["measurement"], kept, {key: value for key, value in parsed["fields"].items() if key not in replaced}


_PART = re.compile(r"(?:[^\\ ]|\\.|\\$)+")
_ITEM = re.compile(r"(?:[^\\,]|\\.|\\$)+")
_KEY = re.compile(r"(?:[^\\=]|\\.)+")
_EXTREME_TIMES = frozenset(("9223372036854775807", "-9223372036854775808"))


def _without_repetition(skeleton: str) -> tuple[str, set[str]]:
    """The line with every key but the last of its kind renamed, so that its value is still checked; and the new names."""
    replaced: set[str] = set()

    def rename(items: list[str]) -> list[str]:
        seen: set[str] = set()
        result = []
        for item in reversed(items):
            found = _KEY.match(item)
            key = found[0] if found else ""
            if key in seen:
                replaced.add(f"replaced {len(replaced)}")
                item = f"replaced\\ {len(replaced) - 1}{item[len(key) :]}"
            seen.add(key)
            result.append(item)
        return result[::-1]

    parts = _PART.findall(skeleton)
    if len(parts) not in (2, 3):
        return skeleton, replaced
    (measurement, *tags), fields = _ITEM.findall(parts[0]), _ITEM.findall(parts[1])
    if f"{','.join([measurement, *tags])} {','.join(fields)}" != " ".join(parts[:2]):
        return skeleton, replaced  # an empty item: let the library say so
    time = ["0" if part in _EXTREME_TIMES else part for part in parts[2:]]
    return " ".join([",".join([measurement, *rename(tags)]), ",".join(rename(fields)), *time]), replaced
