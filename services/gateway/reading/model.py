"""The values of job queries: filters, rows and pages. ``reading.filters`` turns a filter into conditions, ``reading.jobs`` reads rows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Self, TypeVar

J = TypeVar("J")

# filters

Operator = Literal["eq", "neq", "starts_with", "ends_with", "contains", "in"]


@dataclass(frozen=True, slots=True)
class TextMatch:
    """One operator and its value; ``in`` has any number of values, the others exactly one.

    ``eq``, ``neq`` and ``in`` compare exactly, the others without regard to the case of ASCII letters; no character is a wildcard.
    """

    operator: Operator
    values: tuple[str, ...]

    @classmethod
    def equal(cls, value: str | None) -> Self | None:
        """None, which means unrestricted, if ``value`` is None."""
        return None if value is None else cls("eq", (value,))


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds; None is unbounded."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class MetricRange:
    """``name`` is a footprint key, such as ``flops_any_avg``. Jobs without it do not match."""

    name: str
    range: Range


@dataclass(frozen=True, slots=True)
class Overlap:
    """Jobs that ran at some time after ``start`` and before ``end``, Unix seconds; None leaves an end open. Running jobs end at ``now``."""

    start: int | None
    end: int | None
    now: int


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Jobs that match every given condition; None is unrestricted, an empty tuple matches nothing.

    Times in Unix seconds, duration in seconds, energy in kWh. Durations of running jobs
    end at ``duration_at``; without it they count as stored, with 0. Jobs must have one of ``tags``, each of ``all_tags`` and none of
    ``no_tags``; tags that the user may not read count as absent. Running jobs have no ``stop_time``.
    """

    ids: tuple[int, ...] | None = None
    job_id: TextMatch | None = None
    array_job_id: int | None = None
    user: TextMatch | None = None
    project: TextMatch | None = None
    job_name: TextMatch | None = None
    cluster: TextMatch | None = None
    subcluster: TextMatch | None = None
    partition: TextMatch | None = None
    node: TextMatch | None = None
    states: tuple[str, ...] | None = None
    shared: str | None = None
    is_interactive: bool | None = None
    start_time: Range | None = None
    stop_time: Range | None = None
    overlaps: Overlap | None = None
    duration: Range | None = None
    duration_at: int | None = None
    energy: Range | None = None
    num_nodes: Range | None = None
    num_hwthreads: Range | None = None
    num_acc: Range | None = None
    metric_stats: tuple[MetricRange, ...] = ()
    tags: tuple[int, ...] | None = None
    all_tags: tuple[int, ...] = ()
    no_tags: tuple[int, ...] = ()
    has_tags: bool | None = None
    has_tags_of_people: bool | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """``column`` is a column of the table ``job``, or a footprint key if ``is_footprint``. Ties are ordered by id, in the same direction.

    ``duration_at`` as in JobFilter.
    """

    column: str = "start_time"
    is_descending: bool = True
    is_footprint: bool = False
    duration_at: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """``first`` counts from 0. ``limit`` None means no limit."""

    limit: int | None = 50
    first: int = 0


@dataclass(frozen=True, slots=True)
class JobSelection:
    """``columns`` of ``job`` to read. ``owners`` decides by user name whose accounts are read too; None reads no accounts."""

    columns: Collection[str]
    tags: bool = False
    owners: Callable[[str], bool] | None = None


# rows


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A row of ``job``. JSON columns are undecoded text; fields have the names of the columns."""

    id: int
    job_id: int
    cluster: str
    subcluster: str
    start_time: int
    hpc_user: str
    project: str
    cluster_partition: str | None
    array_job_id: int | None
    duration: int
    walltime: int
    job_state: str
    resources: str
    num_nodes: int
    num_hwthreads: int | None
    num_acc: int | None
    smt: int
    shared: str
    monitoring_status: int
    energy: float
    energy_footprint: str | None
    footprint: str | None
    statistics: str | None
    advice: str | None
    meta_data: str | None


@dataclass(frozen=True, slots=True)
class StoredTag:
    id: int
    type: str
    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class Person:
    username: str
    name: str
    email: str


# pages


@dataclass(frozen=True, slots=True)
class FoundJobs(Generic[J]):
    """Jobs, with the tags that the user may read by job, and accounts by user name. ``has_more``: more jobs follow this page.

    A job is a ``StoredJob``, or a named tuple of its id and the selected columns.
    """

    jobs: Sequence[J]
    tags: dict[int, list[StoredTag]] = field(default_factory=dict)
    owners: dict[str, Person] = field(default_factory=dict)
    has_more: bool = False
