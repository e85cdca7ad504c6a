"""Only queries that an index serves directly go to the database."""

import pytest

from services.gateway.people.identity import User
from services.gateway.reading.model import JobFilter, Order, Range, Slice, TextMatch
from services.gateway.reading.routing import DEEP, DEEP_WITH_ID, database_counts, database_pages

ROOT = User("root", frozenset({"admin"}))
ULLA = User("ulla", frozenset({"user"}))
UDO = User("udo", frozenset({"manager"}), frozenset({"p"}))
NEWEST = Order()

BY_USER = JobFilter(user=TextMatch("eq", ("u",)))
BY_CLUSTER = JobFilter(cluster=TextMatch("eq", ("c",)))
BY_PROJECT = JobFilter(project=TextMatch("eq", ("p",)))
BY_TIME = JobFilter(start_time=Range(1, 2))
RUNNING = JobFilter(states=("running",))
BY_ID = JobFilter(ids=(1, 2), job_name=TextMatch("contains", ("x",)))


@pytest.mark.parametrize(
    ("user", "where", "pages", "counts"),
    [
        (ROOT, [], True, False),
        (ROOT, [JobFilter()], True, False),
        (ROOT, [BY_USER], True, True),
        (ROOT, [BY_USER, BY_TIME], True, True),
        (ROOT, [BY_CLUSTER], True, False),
        (ROOT, [BY_PROJECT, BY_TIME], True, False),
        (ROOT, [BY_TIME], True, False),
        (ROOT, [RUNNING], True, True),
        (ROOT, [RUNNING, BY_CLUSTER], True, True),
        (ROOT, [RUNNING, BY_USER], False, False),
        (ROOT, [BY_USER, BY_CLUSTER], False, False),
        (ROOT, [BY_USER, BY_USER], False, False),
        (ROOT, [JobFilter(user=TextMatch("contains", ("u",)))], False, False),
        (ROOT, [JobFilter(states=("running", "failed"))], False, False),
        (ROOT, [JobFilter(duration=Range(1))], False, False),
        (ROOT, [JobFilter(states=())], False, False),
        (ROOT, [BY_ID], True, True),
        (ROOT, [JobFilter(job_id=TextMatch("contains", ("1",)))], False, False),
        (ULLA, [], True, True),
        (ULLA, [BY_CLUSTER], False, False),
        (UDO, [], False, False),
        (UDO, [BY_ID], True, True),
    ],
)
def test_queries_go_to_the_database_only_if_an_index_serves_them(user: User, where: list[JobFilter], pages: bool, counts: bool) -> None:
    assert database_pages(user, where, NEWEST, Slice()) is pages
    assert database_counts(user, where) is counts


def test_other_orders_and_deep_or_unlimited_pages_go_to_the_columns() -> None:
    assert not database_pages(ROOT, [], Order("duration"), Slice())
    assert not database_pages(ROOT, [], Order("start_time", is_footprint=True), Slice())
    assert not database_pages(ROOT, [], NEWEST, Slice(50, DEEP_WITH_ID + 1))
    assert database_pages(ROOT, [], NEWEST, Slice(50, DEEP + 1))
    assert not database_pages(ROOT, [BY_USER], NEWEST, Slice(50, DEEP + 1))
    assert not database_pages(ROOT, [], NEWEST, Slice(None))
    assert database_pages(ROOT, [BY_ID], Order("duration"), Slice(50, DEEP + 1))
