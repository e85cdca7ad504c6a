"""Parses a message in InfluxDB line protocol to points and bad lines, each line independently.

This module finds the ends of lines, since a line feed inside a quoted field value does not end the line. It also extracts
and unescapes the quoted values, and ``line_protocol_parser`` parses the rest: that library supports only two of the five
escapes, and crashes the process on a value that is not UTF-8. If a line cannot be parsed, only the part up to its first LF
is tried again, so that an unclosed quote invalidates only its own line.

Only the tag ``function`` and the field ``event`` are used. Other tags and fields never invalidate a line: if the library
refuses a line, it is parsed again without them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from line_protocol_parser import LineFormatError, parse_line


@dataclass(frozen=True, slots=True)
class Point:
    """``number`` counts physical lines from 1. Field values have their Python types.

    ``is_repaired``: bytes of the field ``event`` that are not UTF-8 were replaced by U+FFFD.
    """

    number: int
    measurement: str
    tags: dict[str, str]
    fields: dict[str, Any]
    is_repaired: bool = False


@dataclass(frozen=True, slots=True)
class BadLine:
    number: int
    text: str
    excerpt: bytes


TAG, FIELD = "function", "event"
EXCERPT_BYTES = 512
MAX_ITEMS = 256  # tags and fields per line, because the library's run time is quadratic in their number
MAX_STRAY_QUOTES = 16  # per message, because each may require a scan of the rest; afterwards every LF ends a line


def parse_lines(payload: bytes) -> Iterator[Point | BadLine]:
    """The lines of a message in order, except blank lines and comments. Never raises."""
    if (usual := _usual(payload)) is not None:
        yield usual
        return
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
                # The quote that joined these physical lines may be a stray one: parse the first physical line alone.
                stray_quotes += 1
                line = _cut(payload, masked, at, first)
                parsed = _parse(line, payload, number)
        if parsed is not None:
            yield parsed
        number += payload.count(b"\n", at, line.end) + 1
        at = line.end + 1


# One line as adapters send it: plain names and the field alone, so that outside the quotes no byte has another meaning.
_USUAL_HEAD = re.compile(rb'([A-Za-z_]\w*)((?:,[\w-]+=[\w.:-]+)*) event="')
_USUAL_REST = re.compile(rb"(?: (?:\d{1,18}|1\d{18}))?\n?")  # a time in nanoseconds until 2033, or none

MAX_USUAL_HEAD = 4096  # bytes; the library refuses names and values above 64 KiB
_ONLY_IN_JSON = re.compile(rb"\\[ubf/]")  # escapes that a quoted field value does not have


def _usual(payload: bytes) -> Point | None:
    """What the rest of this module finds in a message of one usual line, in a quarter of the time; None for other messages.

    The five escapes of a quoted value mean the same in a JSON string, which has no quotes without a backslash either.
    """
    head, end = _USUAL_HEAD.match(payload), payload.rfind(b'"')
    if head is None or head.end() > MAX_USUAL_HEAD or _USUAL_REST.fullmatch(payload, end + 1) is None:
        return None
    text = payload[head.end() - 1 : end + 1]
    measurement, tags = head.groups()
    items = tags.decode().split(",")[1:]
    by_name = dict([item.split("=") for item in items])
    if len(by_name) < len(items) or len(items) >= MAX_ITEMS:
        return None
    if _ONLY_IN_JSON.search(text) is not None and _ONLY_IN_JSON.search(text.replace(b"\\\\", b"")) is not None:
        return None  # the second look leaves out escaped backslashes, as in the JSON of "<" that Go writes
    try:
        return Point(1, measurement.decode(), by_name, {FIELD: orjson.loads(text)})
    except orjson.JSONDecodeError:
        return None


# Masks for an escaped backslash and quote, of the same length as the originals so that positions agree.
_BACKSLASH, _QUOTE = b"\0\0", b"\1\1"


class _Line(NamedTuple):
    """One line from ``begin`` to ``end``. In ``skeleton`` each quoted value is the index of its content in ``texts``."""

    begin: int
    end: int
    skeleton: bytes
    texts: list[bytes]


_HEAD = re.compile(rb" *+((?:[^\\ \n]++|\\.)*+ )?")  # measurement and tags, in which a quote has no special meaning
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
    if b"\0" in text or b"\1" in text:  # these bytes would be mistaken for masks
        return b"\\".join(_unescape_single(part.replace(b'\\"', b'"')) for part in text.split(b"\\\\"))
    return _unescape_single(masked[begin:end].replace(_QUOTE, b'"')).replace(_BACKSLASH, b"\\")


def _unescape_single(text: bytes) -> bytes:
    """Unescape a text without two adjacent backslashes."""
    if b"\\" not in text:
        return text
    return text.replace(b"\\n", b"\n").replace(b"\\r", b"\r").replace(b"\\t", b"\t")


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _parse(line: _Line, payload: bytes, number: int) -> Point | BadLine | None:
    skeleton = line.skeleton.removesuffix(b"\r").rstrip(b" ")
    if not skeleton or skeleton.startswith(b"#"):
        return None
    try:
        if skeleton.count(b",") > MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS} tags and fields")
        measurement, tags, fields = _read(skeleton.decode(errors="replace"))
        is_repaired = False
        for key, value in fields.items():
            if isinstance(value, str):
                text = line.texts[int(value)]
                fields[key] = text.decode(errors="replace")
                is_repaired = is_repaired or (key == FIELD and not _is_utf8(text))
    except (LineFormatError, ValueError, IndexError) as e:
        return BadLine(number, str(e)[:300] or "not line protocol", payload[line.begin : min(line.end, line.begin + EXCERPT_BYTES)])
    return Point(number, measurement, tags, fields, is_repaired)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read(skeleton: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Measurement, and at least the used tags and fields. Raises LineFormatError or ValueError."""
    if _CONTROL.search(skeleton) is None:
        try:
            parsed = parse_line(skeleton)
            if skeleton.count("=") == len(parsed["tags"]) + len(parsed["fields"]):  # no key is repeated
                return parsed["measurement"], parsed["tags"], parsed["fields"]
        except LineFormatError:
            pass
    reduced = _without_unused(skeleton)
    if (control := _CONTROL.search(reduced)) is not None:
        raise ValueError(f"control character {ord(control[0]):#04x} outside a quoted value")
    parsed = parse_line(reduced)
    return parsed["measurement"], parsed["tags"], parsed["fields"]


_PART = re.compile(r"(?:[^\\ ]|\\.|\\$)+")  # separated by spaces
_ITEM = re.compile(r"(?:[^\\,]|\\.|\\$)+")  # separated by commas
_KEY = re.compile(r"(?:[^\\=]|\\.)+")
_COMPLETE = re.compile(r'[^"]*|[^"]*="\d+"')
_EXTREME_TIMES = frozenset(("9223372036854775807", "-9223372036854775808"))  # refused by the library


def _without_unused(skeleton: str) -> str:
    """The line with only the used tag and field. Of a repeated key the last value is used, for a tag the last nonempty one.

    The line is unchanged if it lacks the field, or if an unused field has a stray quote: the library then reports the error.
    """
    parts = _PART.findall(skeleton)
    if len(parts) not in (2, 3) or parts[0].startswith(","):
        return skeleton
    (measurement, *tags), fields = _ITEM.findall(parts[0]), _ITEM.findall(parts[1])
    used_tags = [tag for tag in tags if _key(tag) == TAG and len(tag) > len(TAG) + 1]
    used_fields = [field for field in fields if _key(field) == FIELD]
    if not used_fields or not all(_COMPLETE.fullmatch(field) for field in fields if field is not used_fields[-1]):
        return skeleton
    time = ["0" if part in _EXTREME_TIMES else part for part in parts[2:]]
    return " ".join([",".join([measurement, *used_tags[-1:]]), used_fields[-1], *time])


def _key(item: str) -> str:
    found = _KEY.match(item)
    return found[0] if found else ""
