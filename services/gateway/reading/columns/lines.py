"""Rows as lines of CSV text that the database itself writes, many lines in one value.

Neither the driver nor Python handles single values: a million jobs are transferred in a few dozen texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Table, Text, and_, case, func, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from shared.database.tables import tables
from shared.domain.values import INT32_MAX

NULL = "\\N"  # only if unquoted


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


class csv_line(GenericFunction[str]):  # noqa: N801
    """The columns of a row as a line: all texts in quotes, numbers with full precision."""

    type = Text()
    inherit_cache = True


@compiles(csv_line, "sqlite")
def _line_sqlite(element: csv_line, compiler: SQLCompiler, **options: Any) -> str:
    """A single printf: chained concatenations copy the text at each step, which takes three times as long."""
    forms, values = [], []
    for column in element.clauses:
        name = compiler.process(column, **options)
        form = {"Text": '"%w"', "Double": "%!.17g"}.get(type(column.type).__name__, "%s")  # %w doubles quotes
        if column.nullable:
            name = f"CASE WHEN {name} IS NULL THEN '{NULL}' ELSE printf('{form}', {name}) END"
            form = "%s"
        forms.append(form)
        values.append(name)
    return f"printf('{','.join(forms)}', {', '.join(values)})"


@compiles(csv_line, "postgresql")
def _line_postgresql(element: csv_line, compiler: SQLCompiler, **options: Any) -> str:
    values = []
    for column in element.clauses:
        name = compiler.process(column, **options)
        value = f"""'"' || replace({name}, '"', '""') || '"'""" if isinstance(column.type, Text) else f"CAST({name} AS text)"
        values.append(f"coalesce({value}, '{NULL}')" if column.nullable else value)
    return f"concat_ws(',', {', '.join(values)})"


@dataclass(frozen=True, slots=True)
class Place:
    """A job in the order of changes."""

    changed_seq: int
    id: int


def _lines(table: Table, fields: Sequence[Field], of: ColumnElement[bool], by: Sequence[str], limit: int) -> Select[Any]:
    """At most ``limit`` rows in the order of ``by``: their text, and ``by`` of the last row if more may follow."""
    order = [table.c[name] for name in by]
    line = csv_line(*(table.c[field.name] for field in fields)).label("line")
    found = select(line, *(column.label(f"by_{column.name}") for column in order)).where(of).order_by(*order).limit(limit)
    last: list[ColumnElement[Any]]
    if len(by) == 1:
        rows = found.subquery()
        last = [case((func.count() == limit, func.max(rows.c[f"by_{by[0]}"])))]
    else:
        rows = found.add_columns(func.row_number().over(order_by=order).label("number")).subquery()
        last = [func.max(case((rows.c.number == limit, rows.c[f"by_{name}"]))) for name in by]
    return select(func.aggregate_strings(rows.c.line, "\n"), *last)


_JOB, _JOBTAG, _TAG = tables.job, tables.jobtag, tables.tag


def job_lines(after: int, limit: int) -> Select[Any]:
    """Jobs with a larger id than ``after``."""
    return _lines(_JOB, JOB_FIELDS, _JOB.c.id > after, ["id"], limit)


def changed_job_lines(after: Place, limit: int) -> Select[Any]:
    return _lines(_JOB, JOB_FIELDS, _is_after(after), ["changed_seq", "id"], limit)


def jobtag_lines(after: tuple[int, int], limit: int) -> Select[Any]:
    """Tags of jobs after (job, tag)."""
    job_id, tag_id = _JOBTAG.c.job_id, _JOBTAG.c.tag_id
    is_after = and_(job_id >= after[0], or_(job_id > after[0], tag_id > after[1]))
    return _lines(_JOBTAG, JOBTAG_FIELDS, is_after, ["job_id", "tag_id"], limit)


def changed_jobtag_lines(after: Place, limit: int) -> Select[Any]:
    """Tags of the jobs that ``changed_job_lines`` selects."""
    jobs = select(_JOB.c.id).where(_is_after(after)).order_by(_JOB.c.changed_seq, _JOB.c.id).limit(limit).scalar_subquery()
    return _lines(_JOBTAG, JOBTAG_FIELDS, _JOBTAG.c.job_id.in_(jobs), ["job_id", "tag_id"], INT32_MAX)


def tag_lines(after: int, limit: int) -> Select[Any]:
    """Tags with a larger id than ``after``."""
    return _lines(_TAG, TAG_FIELDS, _TAG.c.id > after, ["id"], limit)


def _is_after(place: Place) -> ColumnElement[bool]:
    changed, key = _JOB.c.changed_seq, _JOB.c.id
    return and_(changed >= place.changed_seq, or_(changed > place.changed_seq, key > place.id))
