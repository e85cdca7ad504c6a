"""Embedded sites: one that tests share and only read or add to, and private ones."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.sites import UpProcess
from tests.support.nats import NatsServer

Up = Callable[..., UpProcess]


@pytest.fixture(scope="session")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """A running site with the cluster fritz. Tests must not stop it and must use distinct job ids."""
    folder = tmp_path_factory.mktemp("up")
    site = UpProcess(folder / "data")
    try:
        site.start()
        site.add_fritz()
        yield site
    finally:
        site.end()


@pytest.fixture
def new_up(tmp_path: Path) -> Iterator[Up]:
    """Creates private sites, not yet started; the same name gives the same data folder."""
    made: list[UpProcess] = []

    def make(*more: str, name: str = "data") -> UpProcess:
        made.append(UpProcess(tmp_path / name, *more))
        return made[-1]

    yield make
    for site in made:
        site.end()


@pytest.fixture
def private_nats_url(private_nats: NatsServer) -> str:
    return private_nats.url
