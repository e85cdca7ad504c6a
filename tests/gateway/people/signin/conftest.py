"""One slapd for the whole run, with a few users; each test that changes it works in its own branch."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from services.gateway.people.users.store import UserStore
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.people.signin.directory import Branch, Tree
from tests.support.slapd import Slapd, directory_server
from tests.support.tls import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Slapd]:
    with directory_server(tmp_path_factory.mktemp("slapd"), authority.server_files()) as server:
        yield server


@pytest.fixture(scope="session")
def tree(slapd: Slapd) -> Tree:
    return Tree(slapd)


@pytest.fixture
def branch(tree: Tree) -> Branch:
    """A branch without users."""
    return tree.branch()


@pytest.fixture
def private_slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server that a test may stop or pause."""
    with directory_server(tmp_path_factory.mktemp("private-slapd")) as server:
        yield server


@pytest.fixture
async def users(sqlite_database: DatabaseSettings) -> AsyncIterator[UserStore]:
    async with AsyncExitStack() as stack:
        yield await store_of(stack, sqlite_database)


@pytest.fixture
async def users_of_both(database: DatabaseSettings) -> AsyncIterator[UserStore]:
    """Once for each engine."""
    async with AsyncExitStack() as stack:
        yield await store_of(stack, database)


async def store_of(stack: AsyncExitStack, database: DatabaseSettings) -> UserStore:
    reading = await stack.enter_async_context(opened(database, read_only=True))
    return UserStore(reading, await stack.enter_async_context(opened(database, durable=True)))
