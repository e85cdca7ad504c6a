"""The column ``advice`` of a job: a JSON list with one entry per rule, the most severe first.

An entry has the fields of ``JobAdvice`` that differ from their defaults, and may have two marks: ``muted``, the user does not want
this rule for this job; ``tagged``, the job had the tag of the rule before the rule held, so the tag is not removed with the advice.
An entry with nothing but a rule and ``muted`` is about a rule that does not hold at present.
"""

from collections.abc import Sequence
from typing import Any

import orjson

Entry = dict[str, Any]
_MARKS = ("muted", "tagged")


def entries_of(column: str | None) -> list[Entry]:
    """All entries."""
    found: list[Entry] = orjson.loads(column) if column else []
    return found


def column_of(entries: Sequence[Entry]) -> str | None:
    return orjson.dumps(list(entries)).decode() if entries else None


def advice_of(column: str | None) -> list[Entry]:
    """The advice to show: without muted rules and without marks."""
    return [without_marks(entry) for entry in entries_of(column) if not entry.get("muted")]


def without_marks(entry: Entry) -> Entry:
    return {name: value for name, value in entry.items() if name not in _MARKS}


def marks_of(entry: Entry) -> Entry:
    return {name: value for name, value in entry.items() if name in _MARKS}


def is_holding(entry: Entry) -> bool:
    return "text" in entry


def holding(column: str | None) -> dict[str, Entry]:
    """The entries of rules that hold, muted or not, without marks, by rule."""
    return {entry["rule"]: without_marks(entry) for entry in entries_of(column) if is_holding(entry)}
