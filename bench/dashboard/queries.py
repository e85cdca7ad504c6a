"""The queries of the table: their parameters as dashboards would have them, their targets, and what cc-backend took."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bench.dashboard import checks, documents
from bench.dashboard.oracle import Oracle
from bench.history.clusters import CLUSTERS, FOOTPRINT, METRICS, PEAKS
from bench.history.jobs import History, common_name
from bench.history.people import PEOPLE, USERS

ITEMS = 50
_DAY_S = 86_400
_STATES = (["completed"], ["failed"], ["failed", "timeout"], ["out_of_memory", "node_fail"], ["preempted"], ["running", "completed"])
_USER_SHARES = np.cumsum(PEOPLE.share).tolist()

_BUSY = [PEOPLE.names[number] for number in np.argsort(-np.asarray(PEOPLE.share))[:50].tolist()]

Variables = dict[str, Any]
Dice = random.Random
Draw = Callable[[Dice, History], Variables]
Check = Callable[[Oracle, Variables, Any, checks.Asked], None]


@dataclass(frozen=True, slots=True)
class Query:
    """``target_ms`` is of the 99th percentile. ``has_index``: what it costs must not grow with the number of jobs.

    ``with_count`` is the same query as dashboards send it that show how many there are.
    """

    name: str
    document: str
    draw: Draw
    check: Check
    target_ms: float | None
    compared: str = ""
    has_index: bool = False
    with_count: str | None = None
    requests: float = 1.0  # of the usual number
    draw_full: Draw | None = None

    def with_full_pages(self) -> "Query":
        """As large an answer over few jobs as over many, so that the two can be compared."""
        return self if self.draw_full is None else replace(self, draw=self.draw_full)

    def variables(self, seed: int, history: History) -> Iterator[Variables]:
        """Without end; the same for the same seed."""
        dice = random.Random(f"{self.name} {seed}")
        while True:
            yield self.draw(dice, history)


def _user(dice: Dice) -> str:
    """Half of the time one who has many jobs, as those look more often; else anybody."""
    if dice.random() < 0.5:
        return dice.choices(PEOPLE.names, cum_weights=_USER_SHARES)[0]
    return PEOPLE.names[dice.randrange(USERS)]


def _project(dice: Dice) -> str:
    if dice.random() < 0.5:
        return PEOPLE.projects[int(PEOPLE.project[dice.choices(range(USERS), cum_weights=_USER_SHARES)[0]])]
    return dice.choice(PEOPLE.projects)


def _time(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def _window(dice: Dice, history: History, days: float) -> dict[str, Any]:
    first = dice.uniform(history.begin, history.end - days * _DAY_S)
    return {"startTime": {"from": _time(first), "to": _time(first + days * _DAY_S)}}


def _metric_range(dice: Dice) -> dict[str, Any]:
    """Above or below some part of what is possible."""
    key = dice.choice(FOOTPRINT)
    bound = round(PEAKS[key] * dice.choice([0.02, 0.1, 0.25, 0.5, 0.75]), 2)
    return {"metricName": key, "range": {"from": bound, "to": 0} if dice.random() < 0.6 else {"from": 0, "to": bound}}


def _cluster(dice: Dice) -> dict[str, Any]:
    return {"cluster": {"eq": dice.choice(CLUSTERS).name}}


def _filter_of_users(dice: Dice, _: History) -> list[Any]:
    return [{"user": {"eq": _user(dice)}}]


def _filter_of_busy_users(dice: Dice, _: History) -> list[Any]:
    return [{"user": {"eq": dice.choice(_BUSY)}}]


def _filter_of_projects(dice: Dice, _: History) -> list[Any]:
    return [{"project": {"eq": _project(dice)}}]


def _filter_of_start(dice: Dice, history: History) -> list[Any]:
    return [_window(dice, history, dice.choice([1, 7, 30, 90]))]


def _filter_of_running(_: Dice, __: History) -> list[Any]:
    return [{"state": ["running"]}]


def _filter_of_states(dice: Dice, _: History) -> list[Any]:
    states = dice.choice(
        [["completed"], ["failed"], ["failed", "timeout"], ["out_of_memory", "node_fail"], ["preempted"], ["running", "completed"]]
    )
    return [_cluster(dice), {"state": states}]


def _filter_of_duration(dice: Dice, _: History) -> list[Any]:
    least, most = dice.choice([(3600, 7200), (43_200, 0), (0, 60), (86_000, 90_000), (600, 900), (150_000, 0)])
    return [{"duration": {"from": least + dice.randrange(50) if least else 0, "to": most}}]


def _filter_of_nodes(dice: Dice, _: History) -> list[Any]:
    least, most = dice.choice([(32, 32), (16, 0), (2, 4), (24, 24), (20, 32), (5, 5)])
    return [{"numNodes": {"from": least, "to": most}}]


def _filter_of_user_parts(dice: Dice, _: History) -> list[Any]:
    """From what fits thousands to what fits one or nobody."""
    name = _user(dice)
    first = dice.randrange(len(name) - 3)
    return [{"user": {"contains": name[first : first + dice.choice([3, 4, 5])] if dice.random() < 0.9 else "nobody"}}]


def _filter_of_name_parts(dice: Dice, history: History) -> list[Any]:
    common = common_name(dice.randrange(400))
    word = common.replace("_", "-").split("-")[1]
    unique = f"run{1_000_000 + dice.randrange(history.finished)}"
    return [{"jobName": {"contains": dice.choice([word, common, common[:5], unique, unique[:-2], "does not exist"])}}]


def _filter_of_hosts(dice: Dice, _: History) -> list[Any]:
    plan = dice.choice(CLUSTERS)
    part = dice.choice(plan.parts)
    return [{"node": {"eq": plan.host(dice.randint(part.first, part.last))}}]


def _filter_of_metrics(dice: Dice, _: History) -> list[Any]:
    return [{"metricStats": [_metric_range(dice) for _ in range(dice.choice([1, 1, 2]))]}]


def _filter_of_metrics_on_cluster(dice: Dice, history: History) -> list[Any]:
    return [_cluster(dice), *_filter_of_metrics(dice, history)]


def _nothing(_: Dice, __: History) -> list[Any]:
    return []


Filter = Callable[[Dice, History], list[Any]]


def _page(filter_: Filter, *, number: int = 1, by_footprint: bool = False) -> Draw:
    def draw(dice: Dice, history: History) -> Variables:
        order = {"field": "startTime", "type": "col", "order": "DESC"}
        if by_footprint:
            order = {"field": dice.choice(FOOTPRINT), "type": "foot", "order": "DESC" if dice.random() < 0.8 else "ASC"}
        last = max(1, history.jobs // ITEMS)  # so that small histories have such a page too
        return {"filter": filter_(dice, history), "page": {"itemsPerPage": ITEMS, "page": min(number, last)}, "order": order}

    return draw


def _list(
    name: str,
    draw: Draw,
    target_ms: float,
    compared: str = "",
    *,
    has_index: bool = False,
    document: str = documents.LIST,
    draw_full: Draw | None = None,
) -> Query:
    with_count = None if document == documents.LIST_AND_COUNT else documents.LIST_AND_COUNT
    return Query(name, document, draw, checks.check_page, target_ms, compared, has_index, with_count, draw_full=draw_full)


LISTS: Sequence[Query] = (
    _list("first page by start time, with count", _page(_nothing), 25, "38 / 52", has_index=True, document=documents.LIST_AND_COUNT),
    _list("by user", _page(_filter_of_users), 20, "12 / 20", has_index=True, draw_full=_page(_filter_of_busy_users)),
    _list("by project", _page(_filter_of_projects), 20, "10 / 16", has_index=True),
    _list("by start range", _page(_filter_of_start), 20, "11 / 13", has_index=True),
    _list("running jobs", _page(_filter_of_running), 20, "10 / 13", has_index=True),
    _list("by cluster and states", _page(_filter_of_states), 30, "26 / 114"),
    _list("by duration", _page(_filter_of_duration), 30, "33 / 117"),
    _list("by number of nodes", _page(_filter_of_nodes), 30, "133 / 842"),
    _list("user contains", _page(_filter_of_user_parts), 60, "7,191"),
    _list("job name contains", _page(_filter_of_name_parts), 60, "1,388 / 2,152"),
    _list("node equals", _page(_filter_of_hosts), 30, "4,742"),
    _list("metricStats alone", _page(_filter_of_metrics), 60, "895 / 2,883"),
    _list("metricStats with cluster", _page(_filter_of_metrics_on_cluster), 60, "1,288 / 3,809"),
    _list("ordered by a footprint", _page(_nothing, by_footprint=True), 60, "2,167 / 4,195"),
    _list("page 1,000", _page(_nothing, number=1000), 40, "38 / 54", has_index=True),
)


def _filtered(filter_: Filter, **more: Any) -> Draw:
    def draw(dice: Dice, history: History) -> Variables:
        return {"filter": filter_(dice, history), **more}

    return draw


def _month(dice: Dice, history: History) -> list[Any]:
    return [_window(dice, history, 30)]


def _one_cluster(dice: Dice, _: History) -> list[Any]:
    return [_cluster(dice)]


_BY_USER: Mapping[str, Any] = {"by": "USER", "sort": "TOTALCOREHOURS"}
_METRICS = [name for name, (statistic, *_) in METRICS.items() if statistic]
_BINS = {"metrics": _METRICS, "bins": 10}

STATISTICS: Sequence[Query] = (
    Query("statistics overall", documents.STATISTICS, _filtered(_nothing), checks.check_statistics, 100, "401 / 498"),
    Query(
        "statistics with histograms", documents.STATISTICS_AND_HISTOGRAMS, _filtered(_nothing), checks.check_statistics, 200, "696 / 809"
    ),
    Query(
        "statistics of one month with histograms",
        documents.STATISTICS_AND_HISTOGRAMS,
        _filtered(_month),
        checks.check_statistics,
        60,
        "149 / 761",
    ),
    Query("statistics by user", documents.GROUPS, _filtered(_nothing, **_BY_USER), checks.check_groups, 250, "5,739", requests=0.5),
    Query(
        "statistics by project on one cluster",
        documents.GROUPS,
        _filtered(_one_cluster, by="PROJECT", sort="TOTALCOREHOURS"),
        checks.check_groups,
        150,
        "649 / 3,276",
        requests=0.5,
    ),
    Query(
        "statistics by user with histograms",
        documents.GROUPS_AND_HISTOGRAMS,
        _filtered(_nothing, **_BY_USER, page={"itemsPerPage": ITEMS, "page": 1}),
        checks.check_groups,
        800,
        "refused",
        requests=0.3,
    ),
    Query(
        "metric histograms",
        documents.METRIC_HISTOGRAMS,
        _filtered(_nothing, **_BINS),
        checks.check_metric_histograms,
        400,
        "3,759",
        requests=0.5,
    ),
    Query(
        "metric histograms with metricStats",
        documents.METRIC_HISTOGRAMS,
        _filtered(_filter_of_metrics, **_BINS),
        checks.check_metric_histograms,
        400,
        "2,473",
        requests=0.5,
    ),
)
QUERIES: Sequence[Query] = (*LISTS, *STATISTICS)
