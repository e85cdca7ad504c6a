"""The tables that job queries read, in the database or in the columns, and the functions whose SQL differs by engine."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Double, Text, cast, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from shared.database.tables import tables

FOOTPRINT_KEY = re.compile(r"[A-Za-z0-9_]+")


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


class ascii_lower(GenericFunction[str]):  # noqa: N801
    type = Text()
    inherit_cache = True


class holds(GenericFunction[bool]):  # noqa: N801
    """The first text contains the second, compared bytewise."""

    type = Boolean()
    inherit_cache = True


class begins(GenericFunction[bool]):  # noqa: N801
    type = Boolean()
    inherit_cache = True


class ends(GenericFunction[bool]):  # noqa: N801
    """The first text ends with the second, which is not empty."""

    type = Boolean()
    inherit_cache = True


class has_word(GenericFunction[bool]):  # noqa: N801
    """A space-delimited text has one of the words of a ``ListValue`` of non-empty texts. For long lists."""

    type = Boolean()
    inherit_cache = True


class footprint_value(GenericFunction[float]):  # noqa: N801
    type = Double()
    inherit_cache = True


class whole(GenericFunction[int]):  # noqa: N801
    """Floor of a non-negative number."""

    type = BigInteger()
    inherit_cache = True


class total(GenericFunction[int]):  # noqa: N801
    """The sum of integers."""

    type = BigInteger()
    inherit_cache = True


_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
# A text of ASCII only, which is the common case, is lowered by the faster function.
DUCKDB_LOWER = f"CASE WHEN strlen({{0}}) = length({{0}}) THEN lower({{0}}) ELSE translate({{0}}, '{_UPPER}', '{_LOWER}') END"
_FORMS = {
    "sqlite": {
        ascii_lower: "lower({0})",  # changes A to Z only
        holds: "(instr({0}, {1}) > 0)",
        begins: "(substr({0}, 1, length({1})) = {1})",
        ends: "(substr({0}, -length({1})) = {1})",
        has_word: "EXISTS (SELECT 1 FROM json_each({1}) AS word WHERE instr({0}, ' ' || word.value || ' ') > 0)",
        footprint_value: "json_extract({0}, '$.\"' || {1} || '\"')",
        total: "sum({0})",
        whole: "CAST({0} AS INTEGER)",
    },
    "postgresql": {
        ascii_lower: 'lower({0} COLLATE "C")',
        holds: "(strpos({0}, {1}) > 0)",
        begins: "starts_with({0}, {1})",
        ends: "(right({0}, length({1})) = {1})",
        has_word: "(string_to_array({0}, ' ') && {1})",
        footprint_value: "CAST(CAST({0} AS json) ->> {1} AS double precision)",
        total: "sum({0})",
        whole: "CAST(floor({0}) AS bigint)",
    },
    "duckdb": {
        ascii_lower: DUCKDB_LOWER,
        holds: "contains({0}, {1})",
        begins: "starts_with({0}, {1})",
        ends: "ends_with({0}, {1})",
        has_word: "list_has_any(string_split({0}, ' '), {1})",
        total: "CAST(sum({0}) AS BIGINT)",  # a 128-bit sum takes ten times as long to convert to Python
        whole: "CAST(floor({0}) AS BIGINT)",
    },
}


def _compiled_as(form: str) -> Callable[..., str]:
    def write(element: GenericFunction[Any], compiler: SQLCompiler, **options: Any) -> str:
        return form.format(*(compiler.process(part, **options) for part in element.clauses))

    return write


for _engine, _forms in _FORMS.items():
    for _element, _form in _forms.items():
        compiles(_element, _engine)(_compiled_as(_form))


def _stored_number(name: str) -> ColumnElement[float]:
    return footprint_value(tables.job.c.footprint, literal(name, Text))


DATABASE = Source(tables.job, tables.jobtag, tables.tag, _stored_number)


def decimal_text(number: ColumnElement[int]) -> ColumnElement[str]:
    return cast(number, Text)
