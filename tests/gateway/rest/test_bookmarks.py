"""Links to job lists of cc-backend lead to the jobs that cc-backend shows: by the filters of the pages, and in exported files."""

import json
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, quote

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.conftest import until_ready
from tests.gateway.rows import job_row, write
from tests.gateway.stack import gateway
from tests.support.processes import REPOSITORY

BOOKMARKS: list[tuple[str, Any]] = json.loads((REPOSITORY / "tests" / "data" / "bookmarks.json").read_text())
BROKEN = BOOKMARKS[-1][0]  # its parameters cannot be read: pages show all jobs, exports are refused
NOW = 1_770_000_000
SPANS_S = {"last6h": 6 * 3600, "last24h": 24 * 3600, "last7d": 7 * 86400, "last30d": 30 * 86400}
RANGES = {
    "numNodes": "num_nodes",
    "numHWThreads": "num_hwthreads",
    "numAccelerators": "num_acc",
    "duration": "duration",
    "energy": "energy",
}
EXACT = {
    "cluster": "cluster",
    "subCluster": "subcluster",
    "partition": "cluster_partition",
    "shared": "shared",
    "arrayJobId": "array_job_id",
}
QUERY = "query ($filter: [JobFilter!]) { jobs(filter: $filter, page: {page: 1, itemsPerPage: 2000}) { items { id } } }"
Row = dict[str, Any]


def bounds(text: str) -> tuple[float, float]:
    """Both included; 0 leaves an end open."""
    first, _, second = text.rpartition("-")
    low, high = {"lessthan": (0.0, float(second)), "morethan": (float(second), 0.0)}.get(first) or (float(first), float(second))
    return low, high or float("inf")


def within(value: float | None, text: str) -> bool:
    low, high = bounds(text)
    return value is not None and low <= value <= high


def statistic(text: str) -> tuple[str, str]:
    """`mem_used_max-10-200` is a key and a range."""
    key, low, high = text.rsplit("-", 2)
    return key, f"{low}-{high}"


def matcher(given: dict[str, list[str]]) -> Callable[[Row], bool]:
    """What cc-backend makes of the parameters of a link: all must hold; one user, a job name and tags as documented there."""

    def texts(row: Row, name: str, value: str, usual: str) -> bool:
        wanted, how = given.get(name, []), given.get(f"{name}Match", [usual])[0]
        return not wanted or (wanted[0] in value if how == "contains" and len(wanted) == 1 else value in wanted)

    def holds(row: Row) -> bool:
        if row["job_state"] == "running":
            row = row | {"duration": NOW - row["start_time"]}
        started = given.get("startTime", ["0-0"])[0]
        span = f"{NOW - SPANS_S[started]}-{NOW}" if started in SPANS_S else started
        stats = [statistic(text) for text in given.get("stat", [])]
        footprint = json.loads(row["footprint"])
        schedule = given.get("schedule", [""])[0]
        return (
            all(str(row[column]) == given[name][0] for name, column in EXACT.items() if name in given)
            and all(within(row[column], given[name][0]) for name, column in RANGES.items() if name in given)
            and all(within(footprint.get(key), text) for key, text in stats)
            and within(row["start_time"], span)
            and texts(row, "user", row["hpc_user"], "contains")
            and texts(row, "project", row["project"], "eq")
            and texts(row, "jobId", str(row["job_id"]), "eq")
            and texts(row, "node", row["hosts"].strip(), "eq")
            and given.get("jobName", [""])[0] in row["job_name"]
            and ("state" not in given or row["job_state"] in given["state"])
            and ("dbId" not in given or str(row["id"]) in given["dbId"])
            and ("tag" not in given or str(row["id"] % 12) in given["tag"])
            and (not schedule or (row["job_name"] == "interactive") == (schedule == "interactive"))
        )

    return holds


def rows() -> list[Row]:
    """Two jobs for each link that fit it, among others with values of other links."""
    chance = random.Random(7)
    links = [parse_qs(link) for link, _ in BOOKMARKS if link != BROKEN]
    pools = {name: [value for link in links for value in link.get(name, [])] for name in {name for link in links for name in link}}
    found = []
    for number in range(6 * len(links)):
        own = links[number // 6] if number % 3 == 0 else {name: [chance.choice(values)] for name, values in pools.items()}
        take = {name: chance.choice(values) for name, values in own.items()}
        key = int(take["dbId"]) + 10_000 * number if number % 3 and "dbId" in take else int(take.get("dbId", 100 + number))
        key += (int(take["tag"]) - key) % 12 if "tag" in take else 0
        middle = {name: sum(min(end, bounds(take[name])[0] + 1) for end in bounds(take[name])) / 2 for name in RANGES if name in take}
        started = take.get("startTime", "last24h")
        since, until = (NOW - SPANS_S[started], NOW) if started in SPANS_S else bounds(started)
        footprint = {key: bounds(text)[0] + 0.5 for key, text in map(statistic, own.get("stat", []))}
        found.append(
            job_row(
                key,
                job_id=int(take.get("jobId", 900_000 + number)) + (0 if number % 3 == 0 else 10_000_000),
                hpc_user=take.get("user", "k104de11")
                + ("" if "userMatch" in take or len(own.get("user", [])) > 1 else chance.choice(["", "x"])),
                project=take.get("project", "iwal"),
                cluster=take.get("cluster", "fritz"),
                subcluster=take.get("subCluster", "main"),
                cluster_partition=take.get("partition", "work"),
                job_state=take.get("state", "completed"),
                shared=take.get("shared", "none"),
                array_job_id=int(take.get("arrayJobId", 0)),
                start_time=int(since + (until - since) * chance.random()),
                job_name="interactive"
                if take.get("schedule") == "interactive"
                else take.get("jobName", "other") + chance.choice(["", "2"]),
                hosts=f" {take.get('node', 'f0101')} ",
                resources=json.dumps([{"hostname": take.get("node", "f0101")}]),
                footprint=json.dumps(footprint),
                duration=int(middle.get("duration", 60)),
                num_nodes=int(middle.get("numNodes", 1)),
                num_hwthreads=int(middle.get("numHWThreads", 1)),
                num_acc=int(middle.get("numAccelerators", 0)),
                energy=middle.get("energy", 0.0),
            )
        )
    return list({(row["id"]): row for row in found}.values())


def run(saved: dict[str, Any]) -> tuple[int, int]:
    return saved["jobId"], int(datetime.fromisoformat(saved["startTime"]).timestamp())


async def test_links_of_cc_backend_lead_to_the_same_jobs_in_lists_and_in_files(
    site: NatsSettings, database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    jobs = rows()
    await write(database, "job", jobs)
    await write(database, "tag", [{"id": key, "tag_type": "t", "tag_name": str(key), "tag_scope": "global"} for key in (4, 5, 9)])
    await write(database, "jobtag", [{"job_id": row["id"], "tag_id": row["id"] % 12} for row in jobs if row["id"] % 12 in (4, 5, 9)])
    ids = {(row["job_id"], row["start_time"]): str(row["id"]) for row in jobs}
    assert len(ids) == len(jobs)
    wrong = []
    async with gateway(site, database, archive_settings, clock=lambda: float(NOW)) as client:
        await until_ready(client)
        for link, wanted in BOOKMARKS:
            expected = {str(row["id"]) for row in jobs if link == BROKEN or matcher(parse_qs(link))(row)}
            assert expected, link
            variables = {"filter": [wanted] if wanted else []}
            status, answer = await client.post("/query", {"query": QUERY, "variables": variables})
            assert status == 200, answer
            shown = {str(row["id"]) for row in answer["data"]["jobs"]["items"]}
            response = await client.raw("GET", f"/frontend/export/jobs.ndjson?{quote(link, safe='=&%')}")
            text = await response.text()
            assert response.status == (400 if link == BROKEN else 200), (link, text)
            saved = expected if link == BROKEN else {ids[run(json.loads(line))] for line in text.splitlines()}
            if not shown == saved == expected:
                wrong.append((link, sorted(shown ^ expected)[:5], sorted(saved ^ expected)[:5]))
    assert wrong == []
