"""The URL parameters of job lists, as pages and links of cc-backend write them, as filters and order."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from services.gateway.errors import bad_request
from services.gateway.frame.query import Integer, StrictQuery
from services.gateway.reading.model import JobFilter, MetricRange, Order, Overlap, Range, TextMatch
from services.gateway.reading.source import FOOTPRINT_KEY
from shared.domain.values import JobState

SPANS_S = {"last6h": 6 * 3600, "last24h": 24 * 3600, "last7d": 7 * 86400, "last30d": 30 * 86400}
SORTS = {
    "startTime": "start_time",
    "jobId": "job_id",
    "jobName": "job_name",
    "user": "hpc_user",
    "project": "project",
    "cluster": "cluster",
    "partition": "cluster_partition",
    "state": "job_state",
    "numNodes": "num_nodes",
    "numHWThreads": "num_hwthreads",
    "numAcc": "num_acc",
    "duration": "duration",
    "walltime": "walltime",
    "energy": "energy",
}

_NUMBER = r"\d{1,18}(?:\.\d{1,18})?(?:e[+-]?\d{1,2})?"
_RANGE = rf"(?:(?:lessthan|morethan)-{_NUMBER}|{_NUMBER}-{_NUMBER})"
_PARTS = re.compile(rf"(lessthan|morethan|{_NUMBER})-({_NUMBER})", re.ASCII)
_STAT = re.compile(rf"(.+?)-({_RANGE})", re.ASCII)


def number_range(text: str) -> Range:
    """Parse ``A-B``, ``lessthan-N`` or ``morethan-N``; 0 leaves an end open. Raises ValueError."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError("a range is A-B, lessthan-N or morethan-N")
    first, second = parts[1], float(parts[2]) or None
    if first == "morethan":
        return Range(second)
    return Range(None if first == "lessthan" else float(first) or None, second)


def metric_range(text: str) -> MetricRange:
    """Parse ``mem_used_max-100-200``. Raises ValueError."""
    parts = _STAT.fullmatch(text)
    if parts is None or not FOOTPRINT_KEY.fullmatch(parts[1]):
        raise ValueError("a statistic is a footprint key and a range, such as mem_used_max-100-200")
    return MetricRange(parts[1], number_range(parts[2]))


def time_range(text: str, now: float) -> Range:
    """Parse ``last7d`` and the like, or two Unix times. Raises ValueError."""
    if text in SPANS_S:
        return Range(int(now) - SPANS_S[text])
    if not re.fullmatch(r"[0-9]{1,12}-[0-9]{1,12}", text):
        raise ValueError(f"neither one of {', '.join(SPANS_S)} nor two Unix times A-B")
    return number_range(text)


def _checked(parse: Any) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


_RangeText = Annotated[str, _checked(number_range)]
_TimeText = Annotated[str, _checked(lambda text: time_range(text, 0))]
_Id = Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
_Match = Literal["eq", "contains", "in"]
_RANGE_FORM = "`A-B`, `lessthan-N` or `morethan-N`; 0 leaves an end open."


class JobListQuery(StrictQuery):
    """The filters and the order of the job list; the page says which of its jobs are shown."""

    cluster: str | None = None
    sub_cluster: str | None = Field(None, alias="subCluster")
    partition: str | None = None
    project: str | None = None
    project_match: _Match = Field("eq", alias="projectMatch")
    user: list[str] = Field([], description="One is a part of the name unless `userMatch` is `eq`.")
    user_match: _Match = Field("contains", alias="userMatch")
    job_name: str | None = Field(None, alias="jobName", description="A part of the name.")
    job_id: list[str] = Field([], alias="jobId")
    job_id_match: _Match = Field("eq", alias="jobIdMatch")
    db_id: list[_Id] = Field([], alias="dbId")
    array_job_id: Integer | None = Field(None, alias="arrayJobId")
    state: list[JobState] = []
    node: str | None = None
    node_match: _Match = Field("eq", alias="nodeMatch")
    shared: Literal["none", "single_user", "multi_user"] | None = None
    schedule: Literal["batch", "interactive"] | None = None
    tag: list[_Id] = Field([], description="Ids of tags, of which a job has one.")
    tag_all: list[_Id] = Field([], alias="tagAll", description="Ids of tags that a job has.")
    tag_none: list[_Id] = Field([], alias="tagNone", description="Ids of tags that a job does not have.")
    start_time: _TimeText | None = Field(
        None, alias="startTime", description="`last6h`, `last24h`, `last7d`, `last30d`, or `A-B` in Unix seconds."
    )
    overlaps: _TimeText | None = Field(None, description="Jobs that ran at some time in it; the same form as `startTime`.")
    duration: _RangeText | None = Field(None, description=f"Seconds: {_RANGE_FORM}")
    num_nodes: _RangeText | None = Field(None, alias="numNodes", description=_RANGE_FORM)
    num_hwthreads: _RangeText | None = Field(None, alias="numHWThreads", description=_RANGE_FORM)
    num_accelerators: _RangeText | None = Field(None, alias="numAccelerators", description=_RANGE_FORM)
    energy: _RangeText | None = Field(None, description=f"kWh: {_RANGE_FORM}")
    stat: list[Annotated[str, _checked(metric_range)]] = Field([], description="`mem_used_max-100-200`: a footprint key and a range.")
    sort: Annotated[str, Field(pattern=r"^-?[A-Za-z0-9_-]{1,200}$")] = Field(
        "-startTime", description="A column of the list or a footprint key, with `-` in front for falling order."
    )

    def filter(self, now: float) -> JobFilter:
        """Durations of running jobs end at ``now`` (Unix time)."""
        return JobFilter(
            ids=_numbers(self.db_id),
            job_id=_among(self.job_id, self.job_id_match),
            array_job_id=self.array_job_id,
            user=_among(self.user, self.user_match),
            project=_match(self.project, self.project_match),
            job_name=None if self.job_name is None else TextMatch("contains", (self.job_name,)),
            cluster=TextMatch.equal(self.cluster),
            subcluster=TextMatch.equal(self.sub_cluster),
            partition=TextMatch.equal(self.partition),
            node=_match(self.node, self.node_match),
            states=tuple(dict.fromkeys(state.value for state in self.state)) or None,
            shared=self.shared,
            is_interactive=None if self.schedule is None else self.schedule == "interactive",
            start_time=None if self.start_time is None else time_range(self.start_time, now),
            overlaps=None if self.overlaps is None else _overlap(time_range(self.overlaps, now), now),
            duration=_range(self.duration),
            duration_at=int(now) if self.duration is not None else None,
            energy=_range(self.energy),
            num_nodes=_range(self.num_nodes),
            num_hwthreads=_range(self.num_hwthreads),
            num_acc=_range(self.num_accelerators),
            metric_stats=tuple(item for item in map(metric_range, self.stat) if item.range != Range()),  # as GraphQL
            tags=_numbers(self.tag),
            all_tags=_numbers(self.tag_all) or (),
            no_tags=_numbers(self.tag_none) or (),
        )

    def order(self, now: float) -> Order:
        """Raises RequestError (400)."""
        name, is_descending = self.sort.removeprefix("-"), self.sort.startswith("-")
        column = SORTS.get(name)
        if column is not None:
            return Order(column, is_descending, duration_at=int(now) if column == "duration" else None)
        if "_" not in name:
            raise bad_request(f"sort: {name[:60]!r} is neither a footprint key nor one of {', '.join(SORTS)}")
        return Order(name, is_descending, is_footprint=True)


def _numbers(texts: list[str]) -> tuple[int, ...] | None:
    return tuple(int(text) for text in texts) or None


def _among(values: list[str], match: _Match) -> TextMatch | None:
    if len(values) == 1:
        return _match(values[0], match)
    return TextMatch("in", tuple(values)) if values else None


def _match(value: str | None, match: _Match) -> TextMatch | None:
    return None if value is None else TextMatch(match, (value,))


def _overlap(span: Range, now: float) -> Overlap:
    start, end = (None if time is None else int(time) for time in (span.least, span.most))
    return Overlap(start, end, int(now))


def _range(text: str | None) -> Range | None:
    return None if text is None else number_range(text)
