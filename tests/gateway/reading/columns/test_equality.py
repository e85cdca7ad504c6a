"""SQLite, PostgreSQL and the columns of each give the same results as plain Python for any query."""

import json
import random
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.people.identity import User
from services.gateway.reading.distribution import Axis
from services.gateway.reading.filters import ORDER_COLUMNS
from services.gateway.reading.model import JobFilter, JobSelection, MetricRange, Order, Overlap, Range, Slice, TextMatch
from services.gateway.reading.statistics import RESOURCES, DurationBins, MetricHistogram, StatisticsQuery
from services.gateway.reading.timeline import TimelineQuery
from services.gateway.reading.totals import TOTALS, Measures, Peaks
from tests.gateway.reading.columns import reference
from tests.gateway.reading.columns.places import NOW, Places, Rows, places
from tests.gateway.rows import job_row
from tests.support.databases import PostgresTemplate, SqliteTemplate

JOBS = 150
WORDS = ["", "Ab", "aB", "abc", "interactive", "50%", "a_b", 'q"o,te', "\\N", "line\nbreak", "Ärger", "ärger", "ÄRGER", "tab\tx", "it's"]
HOSTS = [f"f{number:02d}" for number in range(12)] + ["F01", "w%_1"]
KEYS = ["mem_used_max", "flops_any_avg", "Flops_any_avg", "cpuLoad_avg", "acc-util_avg"]
STATES = ["running", "completed", "failed", "timeout"]
TAGS = [(1, "global"), (2, "admin"), (3, "ab"), (4, "eva")]
USERS = [
    User("root", frozenset({"admin"})),
    User("ab", frozenset({"user"})),
    User("abc", frozenset({"manager"}), frozenset({"Ab", "50%"})),
    User("feeder", frozenset({"api"})),
]


def make_jobs() -> Rows:
    dice = random.Random(4)
    jobs = []
    for key in range(1, JOBS + 1):
        hosts = dice.sample(HOSTS, dice.choice([0, 1, 1, 2, 5]))
        state = dice.choice(STATES)
        numbers = {name: dice.choice([0, 1, -1, dice.random() * 100, 1e300, 12.5, 1 / 3]) for name in dice.sample(KEYS, dice.randint(0, 4))}
        jobs.append(
            job_row(
                key,
                job_id=(7, 70, 1000 + key)[key % 3],
                start_time=dice.choice([1_700_000_000 + key // 2, 1_700_000_000 + key // 2, 1_698_500_000 + key, NOW + key]),
                cluster=dice.choice(["fritz", "alex"]),
                subcluster=dice.choice(["main", "Gpu"]),
                hpc_user=dice.choice(["ab", "AB", "abc", "ärger", ""]),
                project=dice.choice(WORDS),
                job_name=dice.choice([None, *WORDS]),
                cluster_partition=dice.choice([None, "short", "Long"]),
                array_job_id=dice.choice([None, 0, 5]),
                duration=0 if state == "running" else dice.choice([0, 59, 299, 300, 3600, 86_401]),
                walltime=dice.choice([0, 3600]),
                submit_time=dice.choice([0, 0, 1_699_999_000, 1_700_000_000 + key // 2, 1_800_000_000]),
                job_state=state,
                num_nodes=len(hosts),
                num_hwthreads=dice.choice([None, 0, 72, 144]),
                num_acc=dice.choice([None, 0, 4]),
                shared=dice.choice(["none", "single_user", "multi_user"]),
                energy=dice.choice([0.0, 0.1, 1 / 3, dice.random() * 1e6]),
                resources=json.dumps([{"hostname": host} for host in hosts]),
                hosts=f" {' '.join(hosts)} " if hosts else " ",
                footprint=dice.choice([None, "null", json.dumps(numbers), json.dumps(numbers)]),
                changed_seq=key,
            )
        )
    return jobs


@pytest.fixture(scope="module")
def jobs() -> list[reference.Job]:
    return make_jobs()


@pytest.fixture(scope="module")
def everywhere(
    jobs: list[reference.Job],
    sqlite_template: SqliteTemplate,
    postgres_template: PostgresTemplate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Places]:
    dice = random.Random(5)
    jobtags = [{"job_id": job["id"], "tag_id": tag} for job in jobs for tag, _ in dice.sample(TAGS, dice.choice([0, 0, 1, 2]))]
    scopes = dict(TAGS)
    rows: dict[str, Rows] = {
        "job": [dict(job) for job in jobs],
        "tag": [{"id": tag, "tag_type": "t", "tag_name": str(tag), "tag_scope": scope} for tag, scope in TAGS],
        "jobtag": jobtags,
        "position": [{"stream": "EVENTS", "sequence": JOBS, "stream_created": "x", "event_time": 0.0}],
    }
    for job in jobs:
        job["tags"] = [(row["tag_id"], scopes[row["tag_id"]]) for row in jobtags if row["job_id"] == job["id"]]
    postgres = postgres_template.fresh()
    databases = {"sqlite": sqlite_template.fresh(tmp_path_factory.mktemp("equality")), "postgresql": postgres}
    try:
        with places(databases, rows) as found:
            yield found
    finally:
        postgres_template.drop(postgres)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Rarely set, so that several criteria together still match jobs."""
    return st.integers(0, 7).flatmap(lambda number: strategy if number == 0 else st.none())


def text_matches(words: list[str]) -> st.SearchStrategy[TextMatch]:
    parts = st.sampled_from([*words, *(word[:2] for word in words), *(word[-1:] for word in words), *(word.upper() for word in words), "%"])
    one = st.builds(TextMatch, st.sampled_from(["eq", "neq", "starts_with", "ends_with", "contains"]), st.tuples(parts))
    return one | st.builds(TextMatch, st.just("in"), st.lists(parts, max_size=3).map(tuple))


def ranges(*marks: float) -> st.SearchStrategy[Range]:
    mark = st.none() | st.sampled_from(marks)
    return st.builds(Range, mark, mark)


TIMES = st.none() | st.sampled_from([0, 1_700_000_000, 1_700_000_070, 1_700_003_600, NOW, NOW + 1, 2**40])
metric_ranges = st.builds(MetricRange, st.sampled_from([*KEYS, "none_avg", 'x"y']), ranges(0, 1 / 3, 12.5, 50))
filters = st.builds(
    JobFilter,
    ids=maybe(st.lists(st.integers(0, JOBS + 5), max_size=90).map(tuple)),
    job_id=maybe(text_matches(["7", "007", "70", "1001", "x"])),
    array_job_id=maybe(st.sampled_from([0, 5, 2**70])),
    user=maybe(text_matches(["ab", "AB", "abc", "ärger", ""])),
    project=maybe(text_matches(WORDS)),
    job_name=maybe(text_matches(WORDS)),
    cluster=maybe(text_matches(["fritz", "alex"])),
    subcluster=maybe(text_matches(["main", "Gpu"])),
    partition=maybe(text_matches(["short", "Long"])),
    node=maybe(text_matches([*HOSTS, "f0 1"])),
    states=maybe(st.lists(st.sampled_from([*STATES, "walking"]), max_size=3).map(tuple)),
    shared=maybe(st.sampled_from(["none", "multi_user", "' OR 1=1 --"])),
    is_interactive=maybe(st.booleans()),
    start_time=maybe(ranges(1_700_000_000, 1_700_000_070, 1_700_000_000.5, NOW, 2**80, -(2**80))),
    stop_time=maybe(ranges(1_700_000_000, 1_700_003_600, 2**80)),
    overlaps=maybe(st.builds(Overlap, TIMES, TIMES, st.just(NOW))),
    duration=maybe(ranges(0, 59, 300, 3600, 86_400)),
    duration_at=st.sampled_from([None, NOW]),
    energy=maybe(ranges(0.1, 1 / 3, 1000.0)),
    num_nodes=maybe(ranges(0, 1, 2, 2**40)),
    num_hwthreads=maybe(ranges(0, 72, 100)),
    num_acc=maybe(ranges(1, 4)),
    metric_stats=maybe(st.lists(metric_ranges, min_size=1, max_size=2).map(tuple)).map(lambda found: found or ()),
    tags=maybe(st.lists(st.integers(1, 6), max_size=3).map(tuple)),
    all_tags=maybe(st.lists(st.integers(1, 6), max_size=2).map(tuple)).map(lambda found: found or ()),
    no_tags=maybe(st.lists(st.integers(1, 6), max_size=3).map(tuple)).map(lambda found: found or ()),
    has_tags=maybe(st.booleans()),
)
orders = (
    st.builds(Order, st.sampled_from(sorted(ORDER_COLUMNS - {"requested_memory", "submit_time", "smt"})), st.booleans())
    | st.builds(Order, st.sampled_from([*KEYS, "none_avg"]), st.booleans(), st.just(value=True))
    | st.builds(Order, st.just("duration"), st.booleans(), duration_at=st.just(NOW))
)
slices = st.builds(Slice, st.none() | st.integers(0, 40), st.sampled_from([0, 0, 3, 149, 2**70]))
wheres = st.lists(filters, max_size=3)
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@quickly
@given(user=st.sampled_from(USERS), where=wheres, order=orders, piece=slices)
def test_every_engine_selects_the_same_jobs(
    everywhere: Places, jobs: list[reference.Job], user: User, where: list[JobFilter], order: Order, piece: Slice
) -> None:
    found = reference.chosen(jobs, user, where)
    ids = reference.ordered(found, order, piece)
    assert everywhere.ask("select", user, where, order, piece) == dict.fromkeys(everywhere.queries, ids)
    assert everywhere.ask("count", user, where) == dict.fromkeys(everywhere.queries, len(found))
    pages = everywhere.ask("page", user, where, order, piece, JobSelection(["hpc_user", "id"]))
    assert {name: [row.id for row in page.jobs] for name, page in pages.items()} == dict.fromkeys(everywhere.queries, ids)


histograms = st.builds(
    MetricHistogram,
    metric=st.just("m"),
    key=st.sampled_from([*KEYS, "none_avg", "x y"]),
    peak=st.sampled_from([12.5, 100.0, 3.0, 0.0]),
    bins=st.sampled_from([1, 3, 10]),
)
GROUPS = ["user", "project", "cluster", "subcluster", "partition", "state"]
PLACES = (("fritz", "main", 72.0), ("fritz", "Gpu", 1 / 3), ("alex", "main", 12.5))
measures = st.builds(
    Measures,
    load=st.sampled_from([Peaks(), Peaks("cpuLoad_avg", PLACES), Peaks("none_avg", PLACES)]),
    acc_load=st.sampled_from([Peaks(), Peaks("Flops_any_avg", PLACES[:1])]),
)
wanted_statistics = st.builds(
    StatisticsQuery,
    totals=st.sets(st.sampled_from(sorted(TOTALS))).map(frozenset),
    group_by=st.sampled_from([None, *GROUPS]),
    sort_by=st.none() | st.sampled_from(sorted(TOTALS)),
    slice=st.builds(Slice, st.none() | st.integers(1, 4), st.sampled_from([0, 0, 1])),
    duration=st.none() | st.sampled_from([DurationBins(60, 60), DurationBins(48, 3600)]),
    resources=st.sets(st.sampled_from(sorted(RESOURCES))).map(frozenset),
    metrics=st.lists(histograms, max_size=2).map(tuple),
    measures=measures,
)


@quickly
@given(user=st.sampled_from(USERS), where=wheres, wanted=wanted_statistics)
def test_every_engine_computes_the_same_statistics(
    everywhere: Places, jobs: list[reference.Job], user: User, where: list[JobFilter], wanted: StatisticsQuery
) -> None:
    expected = reference.statistics(reference.chosen(jobs, user, where), wanted, NOW)
    assert everywhere.ask("statistics", user, where, wanted, NOW) == dict.fromkeys(everywhere.queries, expected)


wanted_timelines = st.builds(
    TimelineQuery,
    bin=st.sampled_from(["hour", "day", "month"]),
    zone=st.sampled_from([ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")]),
    totals=st.sets(st.sampled_from(sorted(TOTALS))).map(frozenset),
    group_by=st.sampled_from([None, None, *GROUPS]),
    sort_by=st.sampled_from(sorted(TOTALS)),
    top=st.integers(1, 4),
    measures=measures,
)


@quickly
@given(user=st.sampled_from(USERS), where=wheres, wanted=wanted_timelines)
def test_every_engine_computes_the_same_timeline(
    everywhere: Places, jobs: list[reference.Job], user: User, where: list[JobFilter], wanted: TimelineQuery
) -> None:
    expected = reference.timeline(reference.chosen(jobs, user, where), wanted, NOW)
    assert everywhere.ask("timeline", user, where, wanted, NOW) == dict.fromkeys(everywhere.queries, expected)


VALUES = [*KEYS, "none_avg", "duration", "numNodes", "numHWThreads", "numAcc", "energy"]
axes = st.builds(
    Axis,
    value=st.sampled_from(VALUES),
    bins=st.sampled_from([1, 3, 50]),
    low=st.sampled_from([0.1, 1 / 3, 1.0]),
    high=st.sampled_from([None, 12.5, 144.0, 1e6]),
    per=st.none() | st.sampled_from(VALUES),
    is_logarithmic=st.booleans(),
)


@quickly
@given(user=st.sampled_from(USERS), where=wheres, wanted=st.lists(axes, min_size=1, max_size=2))
def test_every_engine_finds_the_same_distribution(
    everywhere: Places, jobs: list[reference.Job], user: User, where: list[JobFilter], wanted: list[Axis]
) -> None:
    expected = reference.distribution(reference.chosen(jobs, user, where), wanted, NOW)
    assert everywhere.ask("distribution", user, where, wanted, NOW) == dict.fromkeys(everywhere.queries, expected)


def test_the_columns_answer_every_query_routed_to_them(everywhere: Places) -> None:
    """Otherwise the comparisons above would compare two sources instead of four."""
    assert everywhere.left_to_the_database() == 0
