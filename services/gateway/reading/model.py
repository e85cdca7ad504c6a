"""Job queries as values: filters, order, page. ``reading.filters`` turns them into conditions."""

from dataclasses import dataclass
from typing import Literal, Self

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
        """None, which is unrestricted, if no value is given."""
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
class JobFilter:
    """Jobs that match every given condition; None is unrestricted, an empty tuple matches nothing.

    Times in Unix seconds, duration in seconds, energy in kWh. ``duration_at`` is the time at which the duration of running jobs
    is taken; without it they have the stored one, 0.
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
    duration: Range | None = None
    duration_at: int | None = None
    energy: Range | None = None
    num_nodes: Range | None = None
    num_hwthreads: Range | None = None
    num_acc: Range | None = None
    metric_stats: tuple[MetricRange, ...] = ()
    tags: tuple[int, ...] | None = None
    has_tags: bool | None = None
    has_tags_of_people: bool | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """``column`` is a column of the table ``job``, or a footprint key when ``is_footprint``; ties are broken by id, the same way.

    ``duration_at`` as in JobFilter.
    """

    column: str = "start_time"
    is_descending: bool = True
    is_footprint: bool = False
    duration_at: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """``first`` counts from 0; ``most`` None means everything from there on."""

    most: int | None = 50
    first: int = 0
