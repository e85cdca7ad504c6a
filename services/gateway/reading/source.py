"""The tables that job queries read, in the database or in the columns."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, literal

from shared.database.functions import ascii_lower, footprint_value
from shared.database.tables import tables

FOOTPRINT_KEY = re.compile(r"[A-Za-z0-9_-]+")  # written into statements and JSON paths between quotes


@dataclass(frozen=True, slots=True)
class Source:
    """The three tables that conditions refer to.

    ``footprint`` returns the number stored under a key, or None for a key that no job has. ``lower_texts`` are the columns of
    ``job`` with a second column in lower case.
    """

    job: Any
    jobtag: Any
    tag: Any
    footprint: Callable[[str], ColumnElement[float] | None]
    lower_texts: frozenset[str] = frozenset()

    def lower(self, name: str) -> ColumnElement[str]:
        """A text column of ``job`` with A to Z in lower case; other letters are unchanged, on every engine."""
        if name in self.lower_texts:
            copy: ColumnElement[str] = self.job.c[lower_copy(name)]
            return copy
        return ascii_lower(self.job.c[name])


def lower_copy(name: str) -> str:
    return f"{name}_lower"


def _stored_number(name: str) -> ColumnElement[float]:
    return footprint_value(tables.job.c.footprint, literal(name, Text))


DATABASE = Source(tables.job, tables.jobtag, tables.tag, _stored_number)


def decimal_text(number: ColumnElement[int]) -> ColumnElement[str]:
    return cast(number, Text)
