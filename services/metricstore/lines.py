"""Decodes metric lines: ``measurement,tag=value,... value=number time``. Source: metrics specification, 1.

Each line stands alone: a bad one costs itself. The bytes of measurement and tags are the key of a cache, so that a line of
a known series costs one look-up, one number and one time.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.metricstore.catalogue import Catalogue, Part
from services.metricstore.grids import Integers

MAX_NAME = 255
MAX_LINE = 64 * 1024
MAX_TIMES, MAX_TIME_LENGTH = 10_000, 20  # of distinct times that are remembered

# Reasons why a line is not stored. Those in SYNTAX are mistakes of the sender; the others depend on the configuration or the clock.
SYNTAX = ("syntax", "field", "value", "time")
REASONS = (
    *SYNTAX,
    "no_cluster",
    "foreign_cluster",
    "unknown_cluster",
    "unknown_metric",
    "no_host",
    "bad_name",
    "too_many_series",
    "no_value",
    "too_early",
    "too_late",
)

OTHER_STORE = "other_store"  # another service stores the line, so it is not refused

_BLANKS = re.compile(rb"(?<!\\) +")
_COMMAS = re.compile(r"(?<!\\),")
_CONTROL = re.compile(r"[\x00-\x1f]")
_ESCAPED = re.compile(r"\\([,= ])")
_NUMBER = re.compile(rb"[-+]?[0-9_.]+(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(rb"(-?[0-9]+)[iu]")
_UNUSABLE_IN_NAMES = re.compile(r"\.\.|[/\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a message. ``cluster`` is that of lines without the tag; with ``is_binding``, the tag must agree."""

    cluster: str = ""
    is_binding: bool = False


@dataclass(slots=True)
class Samples:
    """Decoded samples in the order of their lines, and counts of refused lines by reason.

    ``mistake`` describes the first line that is wrong whatever the configuration.
    """

    numbers: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    mistake: str = ""

    def arrays(self) -> tuple[Integers, NDArray[np.float32], Integers]:
        """Series numbers, values, times; a value beyond the range of float32 is infinite."""
        with np.errstate(over="ignore"):
            values = np.array(self.values, dtype=np.float64).astype(np.float32)
        return np.array(self.numbers, dtype=np.int64), values, np.array(self.times, dtype=np.int64)


class _Refused(Exception):
    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Decoder:
    """Finds the series of each line, and creates those that are new."""

    def __init__(self, catalogue: Catalogue, max_known: int = 2_000_000, *, clusters: Collection[str] = ()) -> None:
        """``max_known`` bounds the cache of measurement and tags; beyond it the cache starts again.

        ``clusters`` are those whose lines are stored here, all of them if it is empty.
        """
        self._catalogue = catalogue
        self._clusters = frozenset(clusters)
        self._max_known = max_known
        self._known: dict[Source, dict[bytes, int | str]] = {}
        self._size = 0
        self._times: dict[bytes, int] = {}  # seconds by text; lines of one interval have the same

    def forget(self) -> None:
        """Clear the cache after the clusters have changed."""
        self._known.clear()
        self._size = 0

    def is_stored_here(self, cluster: str) -> bool:
        return not self._clusters or cluster in self._clusters

    def decode(self, payload: bytes, source: Source, received: int, samples: Samples, *, first_line: int = 1) -> None:
        """Append the samples of one message. A line without time has that of the message, ``received``, in seconds.

        ``first_line`` is the number of the first line in texts about mistakes.
        """
        if self._size > self._max_known:
            self.forget()
        known = self._known.setdefault(source, {})
        times = self._times
        if len(times) > MAX_TIMES:
            times.clear()
        times[b""] = received
        add_number, add_value, add_time = samples.numbers.append, samples.values.append, samples.times.append
        for index, line in enumerate(payload.split(b"\n"), first_line):
            head, _, rest = line.partition(b" value=")
            text, _, time = rest.partition(b" ")
            try:
                number = known[head]
                value = float(text)
                at = times[time]
            except (KeyError, ValueError):
                try:
                    found = self._read(line, head, source, known, times)
                except _Refused as e:
                    samples.refused[e.reason] += 1
                    if not samples.mistake and e.reason in SYNTAX:
                        samples.mistake = f"line {index}: {e}"
                    continue
                if found is None:
                    continue
                number, value, at = found
            if isinstance(number, str):
                samples.refused[number] += 1
                continue
            add_number(number)
            add_value(value)
            add_time(at)

    def _read(
        self, line: bytes, head: bytes, source: Source, known: dict[bytes, int | str], times: dict[bytes, int]
    ) -> tuple[int | str, float, int] | None:
        """Any line, in small steps. None for an empty line or a comment."""
        text = line.strip(b" \r")
        if not text or text.startswith(b"#"):
            return None
        if len(text) > MAX_LINE:
            raise _Refused("syntax", f"longer than {MAX_LINE} bytes")
        first, *others = _BLANKS.split(text) if b"\\" in text else [part for part in text.split(b" ") if part]
        number = known.get(head) if head == first else None
        if number is None:
            measurement, tags = _read_head(first)
            number = self._resolve(measurement, tags, source)
            if head == first and number != "too_many_series":
                known[head] = number
                self._size += 1
        if not others:
            raise _Refused("field", "no field")
        if len(others) > 2:
            raise _Refused("time", "text after the time")
        value = _read_field(others[0])
        time = others[1] if len(others) == 2 else b""
        at = times.get(time)
        if at is None:
            at = _read_time(time)
            if len(time) <= MAX_TIME_LENGTH:
                times[time] = at
        return number, value, at

    def _resolve(self, measurement: str, tags: Mapping[str, str], source: Source) -> int | str:
        """The series, or the reason why the line has none."""
        name = tags.get("cluster") or source.cluster
        if not name:
            return "no_cluster"
        if source.is_binding and name != source.cluster:
            return "foreign_cluster"
        if not self.is_stored_here(name):
            return OTHER_STORE
        cluster = self._catalogue.clusters.get(name)
        if cluster is None:
            return "unknown_cluster"
        if measurement not in cluster.metrics:
            return "unknown_metric"
        host = tags.get("hostname") or tags.get("host") or ""
        if not host:
            return "no_host"
        kind = tags.get("type", "node")
        part = Part(subkind=tags.get("stype", ""), subid=tags.get("stype-id", ""))
        if kind != "node":
            part = Part(kind, tags.get("type-id", ""), part.subkind, part.subid)
        if _UNUSABLE_IN_NAMES.search(host) or any(len(n) > MAX_NAME for n in (host, part.kind, part.id, part.subkind, part.subid)):
            return "bad_name"
        series = self._catalogue.find(cluster, measurement, host, part)
        return "too_many_series" if series is None else series.number


def _read_head(head: bytes) -> tuple[str, dict[str, str]]:
    try:
        text = head.decode()
    except UnicodeDecodeError as e:
        raise _Refused("syntax", "not UTF-8") from e
    if _CONTROL.search(text) is not None:
        raise _Refused("syntax", "a control character in measurement or tags")
    measurement, *items = _COMMAS.split(text) if "\\" in text else text.split(",")
    if not measurement:
        raise _Refused("syntax", "no measurement")
    tags = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise _Refused("syntax", f"the tag {item[:100]!r} has no value")
        tags[key] = _ESCAPED.sub(r"\1", value) if "\\" in value else value
    return _ESCAPED.sub(r"\1", measurement) if "\\" in measurement else measurement, tags


def _read_field(text: bytes) -> float:
    """The number in the field ``value``; the last one if it is repeated."""
    value: float | None = None
    for item in text.split(b","):
        key, _, number = item.partition(b"=")
        if key != b"value":
            raise _Refused("field", f"the field {key[:100].decode(errors='replace')!r} is not 'value'")
        value = _read_number(number)
    assert value is not None
    return value


def _read_number(text: bytes) -> float:
    if (integer := _INTEGER.fullmatch(text)) is not None and len(text) <= 25:
        return float(int(integer[1]))
    if _NUMBER.fullmatch(text) is not None or text.lower().lstrip(b"+-") in (b"nan", b"inf", b"infinity"):
        try:
            return float(text)  # NaN and infinity are handled later
        except ValueError:
            pass
    raise _Refused("value", f"{text[:100].decode(errors='replace')!r} is not a number")


_DIGITS_OF_SECONDS = 11
_NANOSECONDS_PER_SECOND = 10**9


def _read_time(text: bytes) -> int:
    """Seconds since 1970. Milli-, micro- and nanoseconds are recognised by their size."""
    try:
        time = int(text)
    except ValueError as e:
        raise _Refused("time", f"{text[:100].decode(errors='replace')!r} is not a time") from e
    unit = 1
    while abs(time) >= 10**_DIGITS_OF_SECONDS * unit:
        if unit == _NANOSECONDS_PER_SECOND:
            raise _Refused("time", f"{text[:100].decode(errors='replace')!r} is not a time")
        unit *= 1000
    return time // unit
