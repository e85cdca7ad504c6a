"""Runs of jobs in the scheduler's accounting: `sacct --parsable2`, or `sacct --json`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from cli.reconciling.hostlists import hosts_of
from shared.domain.states import state_of
from shared.domain.values import JobState
from shared.errors import UserError

NEEDED = ("State", "Start", "End")
_NO_TIME = frozenset({"", "unknown", "none", "n/a", "0"})
_DURATION = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?")
_RUNNING = frozenset({JobState.RUNNING, JobState.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job. ``end`` None: it runs. ``state`` is the state to store, ``word`` the scheduler's. Times in Unix seconds."""

    line: int  # or the position in the list of jobs
    cluster: str
    job_id: int
    start: int
    end: int | None
    state: JobState
    word: str
    user: str = ""
    account: str = ""
    partition: str = ""
    name: str = ""
    submit: int = 0
    walltime_s: int = 0
    hosts: tuple[str, ...] = ()
    num_nodes: int = 0
    array_job_id: int = 0


@dataclass(frozen=True, slots=True)
class Unusable:
    """A line that cannot be used, and why."""

    line: int
    why: str


def read_accounting(content: bytes, cluster: str | None, zone: ZoneInfo | None) -> Iterator[Run | Unusable]:
    """Runs that have started. Steps, and jobs that never started, are left out.

    ``cluster`` is that of lines that name none. ``zone`` is that of times without one; None means the zone of this machine.
    Raises UserError when the content has another form.
    """
    text = content.decode("utf-8", errors="replace").lstrip("\ufeff")
    if text.lstrip().startswith("{"):
        return _of_json(content, cluster)
    return _of_lines(text, cluster, zone)


def _of_lines(text: str, cluster: str | None, zone: ZoneInfo | None) -> Iterator[Run | Unusable]:
    lines = text.splitlines()
    header = lines[0].split("|") if lines else []
    missing = [name for name in NEEDED if name not in header]
    if missing or not {"JobIDRaw", "JobID"} & set(header):
        needs = ", ".join(missing or ["JobIDRaw"])
        raise UserError(f"the first line has no {needs}: the output of `sacct --parsable2` with header or `sacct --json` is expected")
    return _each_line(lines, header, cluster, zone)


def _each_line(lines: list[str], header: list[str], cluster: str | None, zone: ZoneInfo | None) -> Iterator[Run | Unusable]:
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.split("|")
        if len(cells) < len(header):
            yield Unusable(number, f"{len(cells)} fields instead of {len(header)}")
            continue
        fields = dict(zip(header, cells, strict=False))
        if "." in fields.get("JobID", "") or "." in fields.get("JobIDRaw", ""):
            continue  # a step
        try:
            if (run := _run_of_line(number, fields, cluster, zone)) is not None:
                yield run
        except (ValueError, UserError) as e:
            yield Unusable(number, str(e))


def _run_of_line(number: int, fields: Mapping[str, str], cluster: str | None, zone: ZoneInfo | None) -> Run | None:
    start = _time(fields["Start"], zone)
    word = fields["State"].strip()
    if start is None:
        return None
    named = fields.get("Cluster") or cluster
    if not named:
        raise ValueError("no cluster: add the field Cluster, or give --cluster")
    job_id, array = _ids(fields)
    hosts = _hosts(fields.get("NodeList", ""))
    return Run(
        line=number,
        cluster=named,
        job_id=job_id,
        start=start,
        end=_end(word, _time(fields["End"], zone)),
        state=_state(word),
        word=word,
        user=fields.get("User", ""),
        account=fields.get("Account", ""),
        partition=fields.get("Partition", ""),
        name=fields.get("JobName", ""),
        submit=_time(fields.get("Submit", ""), zone) or 0,
        walltime_s=_walltime(fields),
        hosts=hosts,
        num_nodes=int(fields.get("NNodes") or fields.get("AllocNodes") or len(hosts)),
        array_job_id=array,
    )


def _ids(fields: Mapping[str, str]) -> tuple[int, int]:
    """The id of the run, and that of its array. Tasks of an array and parts of a heterogeneous job have ids of their own (JobIDRaw)."""
    shown, raw = fields.get("JobID", "").strip(), fields.get("JobIDRaw", "").strip()
    array = shown.partition("_")[0] if "_" in shown else ""
    if not raw and ("_" in shown or "+" in shown):
        raise ValueError(f"JobID is {shown!r}: add the field JobIDRaw")
    text = raw or shown
    if not text.isdigit() or int(text) == 0:
        raise ValueError(f"the job id is {text!r}")
    return int(text), int(array) if array.isdigit() else 0


def _time(text: str, zone: ZoneInfo | None) -> int | None:
    text = text.strip()
    if text.lower() in _NO_TIME:
        return None
    if text.isdigit():
        return int(text)
    found = datetime.fromisoformat(text)
    return int((found.replace(tzinfo=zone) if found.tzinfo is None and zone is not None else found).timestamp())


def _walltime(fields: Mapping[str, str]) -> int:
    if (minutes := fields.get("TimelimitRaw", "").strip()).isdigit():
        return int(minutes) * 60
    match = _DURATION.fullmatch(fields.get("Timelimit", "").strip())
    if match is None:
        return 0
    parts = [int(part or 0) for part in match.groups()]
    return ((parts[0] * 24 + parts[1]) * 60 + parts[2]) * 60 + parts[3]


def _hosts(text: str) -> tuple[str, ...]:
    return () if text.strip().lower() in ("", "none assigned", "none") else tuple(hosts_of(text.strip()))


def _state(word: str) -> JobState:
    """A requeued run is stored as preempted, an unknown word as failed, as when an adapter sends it."""
    known = state_of(word)
    return JobState.PREEMPTED if known == JobState.PENDING else known or JobState.FAILED


def _end(word: str, end: int | None) -> int | None:
    if state_of(word) in _RUNNING:
        return None
    if end is None:
        raise ValueError(f"the state {word!r} without an end")
    return end


def _of_json(content: bytes, cluster: str | None) -> Iterator[Run | Unusable]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as e:
        raise UserError(f"not JSON: {e}") from e
    jobs = document.get("jobs")
    if not isinstance(jobs, list):
        raise UserError("the JSON has no list `jobs`: the output of `sacct --json` is expected")
    return _each_job(jobs, cluster)


def _each_job(jobs: list[Any], cluster: str | None) -> Iterator[Run | Unusable]:
    for number, job in enumerate(jobs, 1):
        try:
            if (run := _run_of_job(number, job, cluster)) is not None:
                yield run
        except (ValueError, TypeError, AttributeError, KeyError, UserError) as e:
            yield Unusable(number, f"{type(e).__name__}: {e}" if isinstance(e, KeyError | TypeError | AttributeError) else str(e))


def _run_of_job(number: int, job: Mapping[str, Any], cluster: str | None) -> Run | None:
    times = job["time"]
    start, end = _number(times.get("start")), _number(times.get("end"))
    if not start:
        return None
    current = job["state"]
    words = current.get("current") if isinstance(current, dict) else current
    word = "+".join(words) if isinstance(words, list) else str(words)
    named = job.get("cluster") or cluster
    if not named:
        raise ValueError("no cluster: give --cluster")
    hosts = _hosts(job.get("nodes") or "")
    return Run(
        line=number,
        cluster=named,
        job_id=int(job["job_id"]),
        start=start,
        end=_end(word, end or None),
        state=_state(word),
        word=word,
        user=job.get("user") or (job.get("association") or {}).get("user") or "",
        account=job.get("account") or "",
        partition=job.get("partition") or "",
        name=job.get("name") or "",
        submit=_number(times.get("submission")),
        walltime_s=_number(times.get("limit")) * 60,
        hosts=hosts,
        num_nodes=_number(job.get("allocation_nodes")) or len(hosts),
        array_job_id=_number((job.get("array") or {}).get("job_id")),
    )


def _number(value: Any) -> int:
    """Numbers of newer versions are objects with `set` and `number`."""
    if isinstance(value, dict):
        return int(value.get("number") or 0) if value.get("set") else 0
    return int(value or 0)
