"""What a rejection tells of its cluster, as SQL."""

from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, case, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from shared.database.tables import tables

_KEY = '"cluster":'


class place_of(GenericFunction[int]):  # noqa: N801
    """The place of a text in another one, counted from 1; 0 if it is not there."""

    type = Integer()
    inherit_cache = True


@compiles(place_of, "sqlite")
def _instr(element: place_of, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(place_of, "postgresql")
def _strpos(element: place_of, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


def cluster_of_rejection() -> ColumnElement[str | None]:
    """The cluster of a rejection. A payload that was refused before its cluster was known has the name in its excerpt only."""
    rejection = tables.rejection.c
    key = place_of(rejection.excerpt, _KEY)
    value = func.ltrim(func.substr(rejection.excerpt, key + len(_KEY)))
    name = func.substr(value, 2)
    end = place_of(name, '"')
    is_named = and_(key > 0, func.substr(value, 1, 1) == '"', end > 1)
    return func.coalesce(rejection.cluster, case((is_named, func.substr(name, 1, end - 1))))


def is_of_cluster(name: str) -> ColumnElement[bool]:
    """The empty name stands for rejections that name no cluster."""
    return cluster_of_rejection() == name if name else cluster_of_rejection().is_(None)
