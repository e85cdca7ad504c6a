"""The event with the advice of the rules on a job."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.advice.applications import Applications
from shared.advice.facts import facts_of
from shared.advice.rules import Advice, Rules
from shared.domain.advice import holding
from shared.domain.clusters import Cluster
from shared.domain.events import JobAdvice, JobAdvised
from shared.metricdata.model import JobData

SCRIPT_KEY = "jobScript"  # of the metadata
MAX_TEXT = 2000  # characters: a rule may write whole lists, and the broker refuses an event that is too large


def advise(
    row: Mapping[str, Any],
    cluster: Cluster | None,
    statistics: Mapping[str, Mapping[str, Any]],
    data: JobData,
    rules: Rules,
    applications: Applications,
) -> JobAdvised | None:
    """The advice on an ended job; ``row`` is its row of the table ``job``.

    A rule that held while the job ran keeps its time. None if no rule holds or held before. Without a cluster no rule is
    evaluated.
    """
    found = applications_of(row["meta_data"], applications)
    courses = {name: scopes for name, scopes in data.items() if name in rules.courses}  # those of all metrics of a large job take long
    advice = rules.advice(facts_of(row, cluster, statistics, data, courses or data)) if cluster is not None else []
    before = holding(row["advice"])
    if not advice and not found and not before:
        return None
    return JobAdvised(
        id=int(row["id"]),
        cluster=str(row["cluster"]),
        advice=_parts(advice, before, None),
        applications=found,
        stop_seq=row["stop_seq"],
    )


def advise_running(
    row: Mapping[str, Any],
    cluster: Cluster,
    statistics: Mapping[str, Mapping[str, Any]],
    data: JobData,
    courses: JobData,
    rules: Rules,
    *,
    at: int,
) -> JobAdvised | None:
    """The advice on a job that is running at ``at``, Unix seconds, by rules for running jobs. None if the same rules hold as in the
    row: changed numbers alone do not justify an event.

    A rule without a time holds since the first evaluation in which it held.
    """
    running = {**row, "duration": at - int(row["start_time"])}
    advice = rules.advice(facts_of(running, cluster, statistics, data, courses))
    before = holding(row["advice"])
    if before.keys() == {one.rule for one in advice}:
        return None
    return JobAdvised(id=int(row["id"]), cluster=cluster.name, advice=_parts(advice, before, at), while_running=True)


def applications_of(metadata: str | None, applications: Applications) -> list[str]:
    """The applications in the job script of the column ``meta_data``."""
    script = (orjson.loads(metadata) or {}).get(SCRIPT_KEY) if metadata else None
    return applications.in_script(script) if isinstance(script, str) else []


def _parts(advice: Sequence[Advice], before: Mapping[str, Mapping[str, Any]], begins: int | None) -> list[JobAdvice]:
    """``begins`` is the time for rules without one that did not hold before."""
    return [
        JobAdvice(
            rule=one.rule,
            severity=one.severity,
            text=_shortened(one.text),
            action=_shortened(one.action),
            metric=one.metric,
            since=one.since if one.since is not None else before[one.rule].get("since") if one.rule in before else begins,
            link=one.link,
        )
        for one in advice
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
