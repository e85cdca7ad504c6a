"""Rows of the database as lines of text (CSV) that the database itself writes, many to one value.

Neither the driver nor Python sees single values: a million jobs cross in some hundred texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Table, Text, and_, case, cast, func, literal_column, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from services.gateway.queries.filters import INT32_MAX
from shared.database.tables import tables

NULL = "\\N"  # where no quotes are around it


@dataclass(frozen=True, slots=True)
class Field:
    """A column that is copied, and its type in the copy."""

    name: str
    type: Literal["BIGINT", "INTEGER", "DOUBLE", "VARCHAR"]


JOB_FIELDS = (
    Field("id", "BIGINT"),
    Field("job_id", "BIGINT"),
    Field("cluster", "VARCHAR"),
    Field("subcluster", "VARCHAR"),
    Field("submit_time", "BIGINT"),
    Field("start_time", "BIGINT"),
    Field("hpc_user", "VARCHAR"),
    Field("project", "VARCHAR"),
    Field("cluster_partition", "VARCHAR"),
    Field("array_job_id", "BIGINT"),
    Field("duration", "BIGINT"),
    Field("walltime", "BIGINT"),
    Field("job_state", "VARCHAR"),
    Field("num_nodes", "INTEGER"),
    Field("num_hwthreads", "INTEGER"),
    Field("num_acc", "INTEGER"),
    Field("smt", "INTEGER"),
    Field("shared", "VARCHAR"),
    Field("monitoring_status", "INTEGER"),
    Field("energy", "DOUBLE"),
    Field("requested_memory", "BIGINT"),
    Field("job_name", "VARCHAR"),
    Field("hosts", "VARCHAR"),
    Field("footprint", "VARCHAR"),
)
JOBTAG_FIELDS = (Field("job_id", "BIGINT"), Field("tag_id", "BIGINT"))
TAG_FIELDS = (Field("id", "BIGINT"), Field("tag_type", "VARCHAR"), Field("tag_scope", "VARCHAR"))


class exact_text(GenericFunction[str]):  # noqa: N801
    """A floating point number with all its digits."""

    type = Text()
    inherit_cache = True


@compiles(exact_text, "sqlite")
def _exact_sqlite(element: exact_text, compiler: SQLCompiler, **options: Any) -> str:
    return f"printf('%!.17g', {compiler.process(element.clauses, **options)})"


@compiles(exact_text)
def _exact(element: exact_text, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS text)"


def _value(table: Table, field: Field) -> ColumnElement[str]:
    column = table.c[field.name]
    match field.type:
        case "VARCHAR":
            quote = literal_column("'\"'", Text)
            text: ColumnElement[str] = quote + func.replace(column, quote, literal_column("'\"\"'", Text)) + quote
        case "DOUBLE":
            text = exact_text(column)
        case _:
            text = cast(column, Text)
    return func.coalesce(text, literal_column(f"'{NULL}'", Text)) if column.nullable else text


def _line(table: Table, fields: Sequence[Field]) -> ColumnElement[str]:
    line = _value(table, fields[0])
    for field in fields[1:]:
        line = line + literal_column("','", Text) + _value(table, field)
    return line


@dataclass(frozen=True, slots=True)
class Place:
    """A job in the order of changes."""

    changed_seq: int
    id: int


def _lines(table: Table, fields: Sequence[Field], of: ColumnElement[bool], by: Sequence[str], most: int) -> Select[Any]:
    """At most ``most`` rows in the order of ``by``: their text, and ``by`` of the last one when there may be more."""
    order = [table.c[name] for name in by]
    number = func.row_number().over(order_by=order).label("number")
    line = _line(table, fields).label("line")
    rows = select(line, number, *(column.label(f"by_{column.name}") for column in order)).where(of).order_by(*order).limit(most).subquery()
    text = func.aggregate_strings(rows.c.line, "\n")
    last: list[ColumnElement[Any]] = [func.max(case((rows.c.number == most, rows.c[f"by_{name}"]))) for name in by]
    return select(text, *last)


_JOB, _JOBTAG, _TAG = tables.job, tables.jobtag, tables.tag


def job_lines(after: int, most: int) -> Select[Any]:
    """Jobs with a larger id than ``after``."""
    return _lines(_JOB, JOB_FIELDS, _JOB.c.id > after, ["id"], most)


def changed_job_lines(after: Place, most: int) -> Select[Any]:
    return _lines(_JOB, JOB_FIELDS, _is_behind(after), ["changed_seq", "id"], most)


def jobtag_lines(after: tuple[int, int], most: int) -> Select[Any]:
    """Tags of jobs behind a job and a tag."""
    job_id, tag_id = _JOBTAG.c.job_id, _JOBTAG.c.tag_id
    behind = and_(job_id >= after[0], or_(job_id > after[0], tag_id > after[1]))
    return _lines(_JOBTAG, JOBTAG_FIELDS, behind, ["job_id", "tag_id"], most)


def changed_jobtag_lines(after: Place, most: int) -> Select[Any]:
    """Tags of the jobs that ``changed_job_lines`` gives."""
    jobs = select(_JOB.c.id).where(_is_behind(after)).order_by(_JOB.c.changed_seq, _JOB.c.id).limit(most).scalar_subquery()
    return _lines(_JOBTAG, JOBTAG_FIELDS, _JOBTAG.c.job_id.in_(jobs), ["job_id", "tag_id"], INT32_MAX)


def tag_lines(after: int, most: int) -> Select[Any]:
    """Tags with a larger id than ``after``."""
    return _lines(_TAG, TAG_FIELDS, _TAG.c.id > after, ["id"], most)


def _is_behind(place: Place) -> ColumnElement[bool]:
    changed, key = _JOB.c.changed_seq, _JOB.c.id
    return and_(changed >= place.changed_seq, or_(changed > place.changed_seq, key > place.id))
