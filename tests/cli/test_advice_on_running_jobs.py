"""Jobs with a problem get their sentence on a whole site, while they run and at their end."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.demo.machines import definition
from cli.keys import read_keys, sign_token
from shared.broker.clusters import add_cluster
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess
from tests.support.builders import start_line, stop_line
from tests.support.nats import client_of, publish
from tests.support.programs import run_blocking
from tests.support.waiting import until_blocking

WAIT_S = 60.0
RAN_S, STEP_S = 2400, 10
LEAK, HANG, SLOW_NODE, IDLE_DEVICE = 1, 2, 3, 4
DEVICES = [f"00000000:{bus}:00.0" for bus in ("0E", "13", "49", "4F", "90", "96", "CC", "D1")]
OWN = 'tag = "own"\ntitle = "t"\nmetrics = ["cpu_load"]\nwhen = "job.numNodes == 1"\ntext = "It runs on {job.numNodes} node."\n'
UNKNOWN: dict[str, Any] = {"state": "unknown", "advice": [], "tags": []}
MUTE = 'mutation ($job: ID!, $muted: Boolean!) { muteAdvice(job: $job, rule: "hangs", muted: $muted) { rule } }'
QUERY = """
query($id: String!) { jobs(filter: [{jobId: {eq: $id}}]) { items {
  id state mutedAdvice tags { type name scope } advice { rule severity text action metric since } } } }
"""


def samples(now: int) -> Iterator[str]:
    """Of all nodes, for the time that the jobs have run until ``now``."""
    for at in range(now - RAN_S, now, STEP_S):
        past = 1 - (now - at) / RAN_S
        hangs = past > 0.5
        nodes = {  # load, computing, memory
            "f0101": (70, 900, 20 + 180 * past),
            "f0102": (1, 0, 60) if hangs else (70, 900, 60),
            "f0103": (70, 900, 60),
            "f0104": (70, 300, 60),
        }
        for host, values in nodes.items():
            for metric, value in zip(("cpu_load", "flops_any", "mem_used"), values, strict=True):
                yield f"{metric},cluster=fritz,hostname={host},type=node value={value:g} {at}"
        for device in DEVICES:
            busy = 0 if device == DEVICES[-1] else 90
            yield f"acc_utilization,cluster=alex,hostname=a0601,type=accelerator,type-id={device} value={busy} {at}"


def token_of(site: UpProcess, user: str, role: str) -> str:
    return sign_token(read_keys(site.data / "keys.json").private, user, [role], 3600)


def ask(site: UpProcess, token: str, query: str, **variables: object) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{site.run_json['http']}/query", body, headers), timeout=20) as answer:
        found = json.loads(answer.read())
    assert "errors" not in found, found
    return found["data"]


def graphql(site: UpProcess, job_id: int) -> dict[str, Any]:
    (job,) = ask(site, token_of(site, "tester", "api"), QUERY, id=str(job_id))["jobs"]["items"] or [UNKNOWN]
    return dict(job)


def advice_of(site: UpProcess, job_id: int, rule: str, state: str) -> dict[str, Any]:
    """Waits for it."""

    def found() -> list[dict[str, Any]]:
        job = graphql(site, job_id)
        return [one for one in job["advice"] if one["rule"] == rule and job["state"] == state]

    (one,) = until_blocking(
        found, WAIT_S, f"{rule} of job {job_id}; it has {graphql(site, job_id)}, the log ends:\n{site.log_text[-2000:]}"
    )
    job = graphql(site, job_id)
    assert {"type": "jobClass", "name": rule, "scope": "global"} in job["tags"]
    return dict(one)


def names(job: dict[str, Any]) -> set[str]:
    """Of the rules in its advice, and of its tags."""
    return {one["rule"] for one in job["advice"]} | {tag["name"] for tag in job["tags"]}


def events(site: UpProcess, after: str = "") -> Iterator[str]:
    """The lines with ids and data of the live feed, for a while."""
    headers = {"X-Auth-Token": token_of(site, "tester", "api")} | ({"Last-Event-ID": after} if after else {})
    give_up = time.monotonic() + WAIT_S
    with urllib.request.urlopen(
        urllib.request.Request(f"{site.run_json['http']}/api/events/?kinds=job", headers=headers), timeout=30
    ) as stream:
        while time.monotonic() < give_up:
            line = stream.readline().decode().strip()
            if line.startswith(("id: ", "data: ")):
                yield line


def is_advised(line: str, job_id: int, rule: str) -> bool:
    found = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
    return found.get("jobId") == job_id and rule in {one["rule"] for one in found.get("advice", [])}


def send(site: UpProcess, *lines: str) -> None:
    run_blocking(publish(site.nats, "\n".join(lines).encode(), subject=site.nats.metric_subjects[0]))


def takes_samples(site: UpProcess, now: int) -> bool:
    send(site, f"cpu_load,cluster=alex,hostname=a0601,type=node value=1 {now}")
    with urllib.request.urlopen(f"{site.run_json['health']['metricstore']}/metrics", timeout=20) as answer:
        found = re.search(r"^jobtide_metricstore_samples_total (\S+)$", answer.read().decode(), re.MULTILINE)
    return found is not None and float(found[1]) > 0


async def add_clusters(site: UpProcess) -> None:
    async with client_of(site.nats) as client:
        for name in ("fritz", "alex"):
            await add_cluster(client, site.nats, definition(name))


@pytest.mark.timeout(240)
def test_jobs_get_their_advice_while_they_run_and_at_their_end(new_up: Up, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    site = new_up().start(
        JOBTIDE_ARCHIVER_ADVICE_RULES=str(rules),
        JOBTIDE_ARCHIVER_FOOTPRINTS_S="2",
        JOBTIDE_ARCHIVER_FOOTPRINTS_SETTLING_S="1",
        JOBTIDE_ARCHIVER_ADVICE_PARAMETERS='{"min_duration_s": 600, "quiet_s": 600}',
    )
    run_blocking(add_clusters(site))
    now = int(time.time()) // STEP_S * STEP_S
    times = {"startTime": now - RAN_S, "walltime": 86_400}
    device_list = [{"hostname": "a0601", "accelerators": DEVICES}]
    site.publish(
        start_line(LEAK, "fritz", ["f0101"], **times, metaData={"jobScript": "#!/bin/bash\nsrun vasp_std\n"}),
        start_line(HANG, "fritz", ["f0102"], **times),
        start_line(SLOW_NODE, "fritz", ["f0103", "f0104"], **times),
        start_line(IDLE_DEVICE, "alex", ["a0601"], **times, numAcc=8, resources=device_list),
    )
    until_blocking(lambda: takes_samples(site, now), WAIT_S, "the metric store knows the clusters")
    send(site, *samples(now))

    application = {"type": "app", "name": "vasp", "scope": "global"}
    until_blocking(lambda: application in graphql(site, LEAK)["tags"], WAIT_S, "the application of a running job")
    leak = advice_of(site, LEAK, "memorygrows", "running")
    assert (leak["severity"], leak["metric"]) == ("warning", "mem_used")
    assert leak["text"].startswith("The memory used only grows: by ")
    assert leak["text"].endswith(" GB.")
    explained = site.run("advice", "test", "memorygrows", str(graphql(site, LEAK)["id"])).stdout
    assert "memorygrows holds (warning): The memory used only grows: by " in explained
    hang = advice_of(site, HANG, "hangs", "running")
    assert (hang["severity"], hang["metric"]) == ("critical", "flops_any")
    assert hang["text"].startswith("The job has computed nothing for ")
    assert hang["since"] is not None
    assert hang["action"]
    slow = advice_of(site, SLOW_NODE, "imbalance", "running")
    assert slow["text"] == "f0103 computes at 900 GFlops/s, f0104 at 300: a difference of 100 % of the mean."
    idle = advice_of(site, IDLE_DEVICE, "unusedaccelerators", "running")
    assert (idle["severity"], idle["text"]) == ("critical", f"1 of 8 accelerators is idle: {DEVICES[-1]} of a0601.")
    assert idle["since"] is not None

    cursor = next(events(site)).partition("id: ")[2]
    (rules / "own.toml").write_text(OWN)  # the archiver reads it without a restart
    assert advice_of(site, HANG, "own", "running")["text"] == "It runs on 1 node."
    assert any(is_advised(line, HANG, "own") for line in events(site, cursor))
    (rules / "own.toml").unlink()
    until_blocking(lambda: "own" not in names(graphql(site, HANG)), WAIT_S, "neither advice nor tag of a removed rule")

    owner, job = token_of(site, "alice", "user"), graphql(site, HANG)["id"]
    shown = ask(site, owner, MUTE, job=job, muted=True)["muteAdvice"]
    assert "hangs" not in {one["rule"] for one in shown}
    after = graphql(site, HANG)
    assert (after["mutedAdvice"], "hangs" in names(after)) == (["hangs"], False)
    assert {"rule": "hangs"} in ask(site, owner, MUTE, job=job, muted=False)["muteAdvice"]

    site.publish(
        stop_line(LEAK, "fritz", startTime=times["startTime"], stopTime=now, jobState="out_of_memory"),
        stop_line(IDLE_DEVICE, "alex", startTime=times["startTime"], stopTime=now, jobState="completed"),
    )
    end = advice_of(site, LEAK, "outofmemory", "out_of_memory")
    assert (end["severity"], end["metric"]) == ("critical", "mem_used")
    assert advice_of(site, IDLE_DEVICE, "unusedaccelerators", "completed")["since"] == idle["since"]
