"""Files of jobs: the same jobs as the list, in three formats."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import duckdb
import pytest

from services.gateway.errors import RequestError
from services.gateway.frame.query import read_values
from services.gateway.reading.model import JobFilter, MetricRange, Order, Overlap, Range, TextMatch
from services.gateway.rest.export_rows import COLUMNS, csv_lines
from services.gateway.rest.list_query import JobListQuery, number_range
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.rows import job_row, write
from tests.gateway.stack import Client, gateway, token

NAME = '=cmd|"/C calc"!A0, 🦊\nsecond line'
NOW = 1_700_000_000.0


@pytest.fixture
async def jobs(site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings) -> AsyncIterator[Client]:
    """Seven jobs of two users, read in chunks of three; a file may have six."""
    footprint = json.dumps({"cpu_load_avg": -1.5, "other_avg": 3})
    await write(database, "job", [job_row(1, job_name=NAME, hosts=" f0101 f0102 ", footprint=footprint)])
    await write(database, "job", [job_row(key, hpc_user="ulla" if key < 6 else "udo") for key in range(2, 8)])
    tags = [{"id": key, "tag_type": "app", "tag_name": "lbm", "tag_scope": scope} for key, scope in ((1, "global"), (2, "eva"))]
    await write(database, "tag", tags)
    await write(database, "jobtag", [{"job_id": 1, "tag_id": 1}, {"job_id": 1, "tag_id": 2}])
    async with gateway(site, database, archive_settings, chunk_rows=3, export_jobs=6) as client:
        await until_ready(client)
        yield client


async def file_of(client: Client, name: str, query: str, **options: Any) -> bytes:
    response = await client.raw("GET", f"/frontend/export/jobs.{name}?{query}", **options)
    body = await response.read()
    assert response.status == 200, body
    assert response.headers["Content-Disposition"] == f'attachment; filename="jobs.{name}"'
    return body


def table(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


async def test_a_list_is_exported_with_its_filters_order_and_columns(jobs: Client, tmp_path_factory: pytest.TempPathFactory) -> None:
    query = "user=ulla&userMatch=eq&sort=jobId"
    lines = [json.loads(line) for line in (await file_of(jobs, "ndjson", query)).splitlines()]
    assert [job["jobId"] for job in lines] == [1001, 1002, 1003, 1004, 1005]
    first = lines[0]
    assert list(first)[: len(COLUMNS)] == [column.name for column in COLUMNS]
    assert (first["jobName"], first["nodes"], first["tags"], first["cpu_load_avg"]) == (NAME, "f0101 f0102", "app: lbm", -1.5)
    assert first["startTime"] == "2023-11-14T22:13:21Z"
    assert "other_avg" not in first

    rows = table(await file_of(jobs, "csv", query))
    assert [row["jobId"] for row in rows] == ["1001", "1002", "1003", "1004", "1005"]
    assert list(rows[0]) == list(first)
    assert (rows[0]["jobName"], rows[0]["cpu_load_avg"], rows[1]["cpu_load_avg"]) == (f"'{NAME}", "-1.5", "")

    path = tmp_path_factory.mktemp("export") / "jobs.parquet"
    path.write_bytes(await file_of(jobs, "parquet", query))
    found = duckdb.execute("SELECT * FROM read_parquet($path)", {"path": str(path)})
    assert [column[0] for column in found.description or ()] == list(first)
    stored = found.fetchall()
    assert [row[1] for row in stored] == [1001, 1002, 1003, 1004, 1005]
    assert stored[0][2] == NAME
    kinds = duckdb.execute("SELECT typeof(startTime), typeof(energy) FROM read_parquet($path) LIMIT 1", {"path": str(path)}).fetchone()
    assert kinds == ("TIMESTAMP", "DOUBLE")


async def test_an_export_has_only_jobs_that_the_user_may_see_and_is_bounded(jobs: Client) -> None:
    own = token("user", user="ulla")
    for query in ("", "user=udo", "dbId=7", "project=phys-a&sort=-duration"):
        rows = table(await file_of(jobs, "csv", query, auth=own))
        assert {row["user"] for row in rows} <= {"ulla"}
        assert len(rows) == (0 if query in ("user=udo", "dbId=7") else 5)
    assert await file_of(jobs, "ndjson", "dbId=7", auth=own) == b""
    assert (await file_of(jobs, "parquet", "dbId=7", auth=own))[:4] == b"PAR1"
    assert table(await file_of(jobs, "csv", "tag=1", auth=token("user", user="eva"))) == []

    status, answer = await jobs.get("/frontend/export/jobs.parquet")
    assert (status, answer["error"]) == (
        400,
        "export: more than 6 jobs match (setting gateway.export_jobs); restrict the filters",
    )
    status, answer = await jobs.get("/frontend/export/jobs.csv?numNodes=some")
    assert (status, answer["error"]) == (400, "query parameter numNodes: a range is A-B, lessthan-N or morethan-N")
    assert (await jobs.get("/frontend/export/jobs.csv", auth=""))[0] == 401


async def test_many_exports_at_once_are_all_complete(jobs: Client) -> None:
    answers = await asyncio.gather(*(file_of(jobs, name, "user=ulla") for name in ("csv", "ndjson", "parquet") for _ in range(4)))
    assert len(set(answers[:4])) == len(set(answers[4:8])) == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_texts_that_a_spreadsheet_would_run_are_quoted(text: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_lines([[text, -1, "a=b"]]).decode(), newline=""))
    assert row == [f"'{text}", "-1", "a=b"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"user": ["k104"]}, JobFilter(user=TextMatch("contains", ("k104",)))),
        ({"user": ["k104"], "userMatch": "eq"}, JobFilter(user=TextMatch("eq", ("k104",)))),
        ({"user": ["a", "b"], "userMatch": "eq"}, JobFilter(user=TextMatch("in", ("a", "b")))),
        ({"project": "iwa", "projectMatch": "contains"}, JobFilter(project=TextMatch("contains", ("iwa",)))),
        ({"jobId": ["12"], "jobIdMatch": "contains"}, JobFilter(job_id=TextMatch("contains", ("12",)))),
        ({"state": ["failed", "failed"]}, JobFilter(states=("failed",))),
        ({"schedule": "batch", "shared": "none"}, JobFilter(is_interactive=False, shared="none")),
        ({"duration": "morethan-300"}, JobFilter(duration=Range(300), duration_at=int(NOW))),
        ({"energy": "0.5-2", "numNodes": "lessthan-8"}, JobFilter(energy=Range(0.5, 2), num_nodes=Range(None, 8))),
        ({"stat": ["mem_used_max-1e-3-2"]}, JobFilter(metric_stats=(MetricRange("mem_used_max", Range(0.001, 2)),))),
        ({"stat": ["acc-util_avg-morethan-2"]}, JobFilter(metric_stats=(MetricRange("acc-util_avg", Range(2)),))),
        ({"startTime": "last24h"}, JobFilter(start_time=Range(int(NOW) - 86_400))),
        ({"overlaps": "last6h"}, JobFilter(overlaps=Overlap(int(NOW) - 21_600, None, int(NOW)))),
        ({"overlaps": "1600000000-1600003600"}, JobFilter(overlaps=Overlap(1_600_000_000, 1_600_003_600, int(NOW)))),
        ({"startTime": "1600000000-0"}, JobFilter(start_time=Range(1_600_000_000))),
        ({"tag": ["1"], "tagAll": ["2", "3"], "tagNone": ["4"]}, JobFilter(tags=(1,), all_tags=(2, 3), no_tags=(4,))),
    ],
)
def test_parameters_of_a_list_become_a_filter(values: dict[str, Any], expected: JobFilter) -> None:
    assert read_values(JobListQuery, values, "query parameter").filter(NOW) == expected


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"stat": ["mem used-1-2"]}, "stat"),
        ({"startTime": "last5h"}, "startTime"),
        ({"overlaps": "1-x"}, "overlaps"),
        ({"tagAll": ["hangs"]}, "tagAll"),
        ({"state": ["walking"]}, "state"),
        ({"page": "2"}, "page"),
        ({"energy": "1e999-2"}, "energy"),
    ],
)
def test_parameters_that_are_wrong_or_unknown_are_named(values: dict[str, Any], name: str) -> None:
    with pytest.raises(RequestError, match=name):
        read_values(JobListQuery, values, "query parameter")


def test_lists_are_sorted_by_columns_and_footprints() -> None:
    assert JobListQuery(sort="-duration").order(NOW) == Order("duration", duration_at=int(NOW))
    assert JobListQuery(sort="-acc-util_avg").order(NOW) == Order("acc-util_avg", is_footprint=True)
    assert JobListQuery(sort="mem_used_max").order(NOW) == Order("mem_used_max", is_descending=False, is_footprint=True)
    with pytest.raises(RequestError, match="sort: 'colour' is neither"):
        JobListQuery(sort="colour").order(NOW)
    assert number_range("0-0") == Range()
