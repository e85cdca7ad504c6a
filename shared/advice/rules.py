"""Rules and their evaluation for a job."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from shared.advice.expression import Node, compile_expression
from shared.advice.facts import JobFacts
from shared.advice.operations import ExpressionError
from shared.advice.template import Template
from shared.errors import UserError

T = TypeVar("T")
Severity = Literal["info", "warning", "critical"]


class RuleError(UserError):
    """A rule file that cannot be used; the text names the key."""


@dataclass(frozen=True, slots=True)
class Advice:
    """``metric`` shows it, empty when none does. ``since`` is in Unix seconds, None for the whole job. ``link``: a page about it."""

    rule: str
    severity: Severity
    text: str
    action: str = ""
    metric: str = ""
    since: int | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Defaults, and values that differ on a cluster or subcluster (None: all subclusters). Later overrides win."""

    defaults: Mapping[str, Any]
    overrides: Sequence[tuple[str, str | None, Mapping[str, Any]]] = ()

    def of(self, cluster: str, subcluster: str) -> dict[str, Any]:
        values = dict(self.defaults)
        for own_cluster, own_subcluster, changed in self.overrides:
            if own_cluster == cluster and own_subcluster in (None, subcluster):
                values |= changed
        return values


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a rule: what it is called in explanations, its text and its function."""

    name: str
    source: str
    run: Node


def step(name: str, source: str) -> Step:
    """Raises ExpressionError that names the part."""
    return Step(name, source, compiled(name, compile_expression, source))


def compiled(name: str, compile_text: Callable[[str], T], source: str) -> T:
    """Raises ExpressionError that names the part."""
    try:
        return compile_text(source)
    except ExpressionError as e:
        raise ExpressionError(f"{name}: {e}") from e


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rule holds for a job or not: each step with its value, up to the one that decided."""

    advice: Advice | None
    steps: list[tuple[str, str, str]] = field(default_factory=list)  # name, source, value


@dataclass(frozen=True, slots=True)
class Rule:
    """``tag`` is the rule's identity, and the name of its tag of type ``jobClass``.

    ``while_running``: it is evaluated for running jobs too. ``courses`` are the metrics of which it needs samples.
    ``file`` is where it was read from.
    """

    tag: str
    title: str
    severity: Severity
    metrics: Sequence[str]
    metric: str
    parameters: Parameters
    requires: Sequence[Step]
    variables: Sequence[Step]
    when: Step
    text: Template
    action: Template
    since: Step | None = None
    while_running: bool = False
    courses: frozenset[str] = frozenset()
    link: str = ""
    file: Path | None = None

    @property
    def steps(self) -> Sequence[Step]:
        """All expressions but those in the sentences."""
        return [*self.requires, *self.variables, self.when, *([] if self.since is None else [self.since])]

    def advice(self, job: JobFacts) -> Advice | None:
        """None when the rule does not hold, or when the job lacks what it needs."""
        return self.explain(job).advice

    def explain(self, job: JobFacts) -> Explanation:
        """Evaluate step by step."""
        found = Explanation(None)
        if missing := [metric for metric in self.metrics if metric not in job.metrics]:
            found.steps.append(("metrics", ", ".join(self.metrics), f"the job has no {missing[0]}"))
            return found
        names = {**job.names, **self.parameters.of(job.cluster, job.subcluster)}
        try:
            for step in self.requires:
                if not self._holds(step, names, found):
                    return found
            for step in self.variables:
                names[step.name] = self._value(step, names, found)
            if not self._holds(self.when, names, found):
                return found
            since = None if self.since is None else self._since(self.since, names, found)
            advice = Advice(self.tag, self.severity, self.text(names), self.action(names), self.metric, since, self.link)
        except ExpressionError as e:
            found.steps.append(("no value", "", str(e)))
            return found
        return Explanation(advice, found.steps)

    @staticmethod
    def _value(step: Step, names: Mapping[str, Any], found: Explanation) -> Any:
        value = step.run(names)
        found.steps.append((step.name, step.source, repr(value)))
        return value

    def _since(self, step: Step, names: Mapping[str, Any], found: Explanation) -> int:
        value = self._value(step, names, found)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(f"{step.source!r} is not a time")
        return int(value)

    def _holds(self, step: Step, names: Mapping[str, Any], found: Explanation) -> bool:
        value = self._value(step, names, found)
        if not isinstance(value, bool):
            raise ExpressionError(f"{step.source!r} is neither true nor false")
        return value


_ORDER: dict[Severity, int] = {"critical": 0, "warning": 1, "info": 2}


class Rules:
    """All rules of a site. ``refused`` has a line for each file that could not be used, ``ignored`` one for each that is no rule file."""

    def __init__(self, rules: Sequence[Rule], refused: Sequence[str] = (), ignored: Sequence[str] = ()) -> None:
        self.rules = rules
        self.refused = refused
        self.ignored = ignored

    def while_running(self) -> "Rules":
        """Those for running jobs."""
        return Rules([rule for rule in self.rules if rule.while_running])

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(metric for rule in self.rules for metric in rule.metrics)

    @property
    def courses(self) -> frozenset[str]:
        """The metrics of which samples are needed."""
        return frozenset(metric for rule in self.rules for metric in rule.courses)

    def advice(self, job: JobFacts) -> list[Advice]:
        """What holds for the job, the most severe first."""
        found = [advice for rule in self.rules if (advice := rule.advice(job)) is not None]
        return sorted(found, key=lambda advice: (_ORDER[advice.severity], advice.rule))
