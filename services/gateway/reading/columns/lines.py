"""Rows as lines of CSV text that the database itself writes, many lines in one value.

Neither the driver nor Python handles single values: a million jobs are transferred in a few dozen texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Table, and_, case, func, or_, select

from shared.database.functions import csv_line
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


@dataclass(frozen=True, slots=True)
class Place:
    """A job in the order of changes."""

    changed_seq: int
    id: int


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows in the order of ``by``, which is in them after the line; at most ``limit``."""

    rows: Select[Any]
    order: Sequence[ColumnElement[Any]]
    by: Sequence[str]
    limit: int

    def as_one_text(self) -> Select[Any]:
        """One row: the text of all, and ``by`` of the last one if more may follow."""
        last: list[ColumnElement[Any]]
        if len(self.by) == 1:
            rows = self.rows.subquery()
            last = [case((func.count() == self.limit, func.max(rows.c[f"by_{self.by[0]}"])))]
        else:
            rows = self.rows.add_columns(func.row_number().over(order_by=self.order).label("number")).subquery()
            last = [func.max(case((rows.c.number == self.limit, rows.c[f"by_{name}"]))) for name in self.by]
        return select(func.aggregate_strings(rows.c.line, "\n"), *last)


def _lines(table: Table, fields: Sequence[Field], of: ColumnElement[bool], by: Sequence[str], limit: int) -> Lines:
    order = [table.c[name] for name in by]
    line = csv_line(*(table.c[field.name] for field in fields)).label("line")
    found = select(line, *(column.label(f"by_{column.name}") for column in order)).where(of).order_by(*order).limit(limit)
    return Lines(found, order, by, limit)


_JOB, _JOBTAG, _TAG = tables.job, tables.jobtag, tables.tag


def job_lines(after: int, limit: int) -> Lines:
    """Jobs with a larger id than ``after``."""
    return _lines(_JOB, JOB_FIELDS, _JOB.c.id > after, ["id"], limit)


def changed_job_lines(after: Place, limit: int) -> Lines:
    return _lines(_JOB, JOB_FIELDS, _is_after(after), ["changed_seq", "id"], limit)


def jobtag_lines(after: tuple[int, int], limit: int) -> Lines:
    """Tags of jobs after (job, tag)."""
    job_id, tag_id = _JOBTAG.c.job_id, _JOBTAG.c.tag_id
    is_after = and_(job_id >= after[0], or_(job_id > after[0], tag_id > after[1]))
    return _lines(_JOBTAG, JOBTAG_FIELDS, is_after, ["job_id", "tag_id"], limit)


def changed_jobtag_lines(after: Place, limit: int) -> Lines:
    """Tags of the jobs that ``changed_job_lines`` selects."""
    jobs = select(_JOB.c.id).where(_is_after(after)).order_by(_JOB.c.changed_seq, _JOB.c.id).limit(limit).subquery("changed")
    return _lines(_JOBTAG, JOBTAG_FIELDS, _JOBTAG.c.job_id.in_(select(jobs.c.id)), ["job_id", "tag_id"], INT32_MAX)


def tag_lines(after: int, limit: int) -> Lines:
    """Tags with a larger id than ``after``."""
    return _lines(_TAG, TAG_FIELDS, _TAG.c.id > after, ["id"], limit)


def _is_after(place: Place) -> ColumnElement[bool]:
    changed, key = _JOB.c.changed_seq, _JOB.c.id
    return and_(changed >= place.changed_seq, or_(changed > place.changed_seq, key > place.id))
