"""The rule for a loaded job and the condition for the database agree, for every combination of roles."""

from itertools import chain, combinations

import pytest
from sqlalchemy import create_engine, insert, select

from services.gateway.errors import RequestError
from services.gateway.people.identity import ROLES, User
from services.gateway.reading.filters import may_see, visible_to
from shared.database.tables import metadata, tables
from tests.gateway.rows import job_row

USERS = ("ulla", "emil")
PROJECTS = ("a", "b")
EVERY_SET_OF_ROLES = [frozenset(some) for some in chain.from_iterable(combinations(ROLES, n) for n in range(len(ROLES) + 1))]


def test_may_see_and_visible_to_agree() -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine, [tables.job])
    owners = [(owner, project) for owner in USERS for project in PROJECTS]
    with engine.begin() as connection:
        connection.execute(insert(tables.job), [job_row(n, hpc_user=o, project=p) for n, (o, p) in enumerate(owners)])
        for roles in EVERY_SET_OF_ROLES:
            for projects in (frozenset(), frozenset({"a"}), frozenset(PROJECTS)):
                user = User("ulla", roles, projects)
                in_hand = {n for n, (owner, project) in enumerate(owners) if may_see(user, owner, project)}
                try:
                    condition = visible_to(user)
                except RequestError:
                    assert in_hand == set(), roles
                else:
                    assert set(connection.scalars(select(tables.job.c.id).where(condition))) == in_hand, roles
    engine.dispose()


@pytest.mark.parametrize("roles", [set(), {"anonymous"}, {"Admin"}])
def test_an_unknown_role_sees_nothing(roles: set[str]) -> None:
    assert not may_see(User("ulla", frozenset(roles)), "ulla", "a")
