"""Following one query through the code requires opening only a few files."""

import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import structlog

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.rows import job_row, write
from tests.gateway.stack import Client, gateway, token

ROOT = Path(__file__).parents[2]
CODE = tuple(f"{ROOT}/{folder}/" for folder in ("services", "shared", "cli"))
BELOW = (f"{ROOT}/shared/http/", f"{ROOT}/shared/database/dialects/")  # serve every request and know no query
LIMIT = 20
GRAPHQL = {
    "query": """{ jobs(filter: [{cluster: {eq: "fritz"}, user: {contains: "ul"}}], order: {field: "duration", type: "col"}) {
        count hasNextPage
        items { id jobId user project cluster duration startTime state tags { name } resources { hostname } footprint { value }
                energyFootprint { value } metaData userData { name } } } }"""
}


class Entered:
    """The files of this project whose functions run for a request, in its task or in its reading threads."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._counts = False

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if self._counts and event == "call" and name.startswith(CODE) and not name.startswith(BELOW) and self._is_for_request():
            self.files.add(str(Path(name).relative_to(ROOT)))

    def _is_for_request(self) -> bool:
        """The outermost layer binds the number of the request to its context; no other task reads."""
        return threading.current_thread() is not threading.main_thread() or "request" in structlog.contextvars.get_contextvars()

    @contextmanager
    def counting(self) -> Iterator[None]:
        self._counts = True
        try:
            yield
        finally:
            self._counts = False


@pytest.fixture
def entered() -> Iterator[Entered]:
    found, before = Entered(), (sys.getprofile(), threading.getprofile())
    threading.setprofile(found.note)
    sys.setprofile(found.note)
    yield found
    sys.setprofile(before[0])
    threading.setprofile(before[1])


@pytest.fixture
async def client(
    entered: Entered, site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings
) -> AsyncIterator[Client]:
    """A gateway without the columns in memory, which read in the background."""
    metadata = {"footprint": '{"flops_any_avg": 1.5}', "energy_footprint": '{"core_power": 2.0}'}
    await write(database, "job", [job_row(key, **metadata) for key in range(1, 81)])
    async with gateway(site, database, archive_settings, columns=False) as client:
        await until_ready(client)
        yield client


async def test_a_graphql_query_of_jobs_enters_fewer_than_twenty_files(entered: Entered, client: Client) -> None:
    with entered.counting():
        status, answer = await client.post("/query", GRAPHQL, auth=token("admin", user="eva"))
    assert status == 200
    assert "errors" not in answer
    assert answer["data"]["jobs"]["count"] == 80
    _require_few(entered)


async def test_a_rest_query_of_jobs_enters_fewer_than_twenty_files(entered: Entered, client: Client) -> None:
    with entered.counting():
        status, answer = await client.get("/api/jobs/?cluster=fritz&with-metadata")
    assert status == 200
    assert len(answer["jobs"]) == 25
    _require_few(entered)


def _require_few(entered: Entered) -> None:
    assert "services/gateway/reading/jobs.py" in entered.files  # the profile saw the request
    assert "services/gateway/reading/filters.py" in entered.files
    assert len(entered.files) < LIMIT, "\n".join(sorted(entered.files))
