"""The simulated site: its machines and schedulers, and the demo as a whole."""

import json
import random
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from cli.demo import adapter
from cli.demo.machines import CLUSTERS, definition, expand, nodes_of
from cli.demo.scheduler import Scheduler
from shared.domain.intake import job_started, job_stopped, nodes_reported
from shared.domain.payloads import NodeStatePayload, StartPayload, StopPayload
from shared.domain.wire import read_object
from shared.lineprotocol import Point, parse_lines
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, clean_environment
from tests.support.processes import REPOSITORY
from tests.support.waiting import until_blocking

NOW = 1_700_000_000


def scheduler(name: str) -> Scheduler:
    return Scheduler(name, nodes_of(definition(name))[1], "seed", 1000, max_running=200, starts_per_s=4.0)


def turn(one: Scheduler, now: int) -> None:
    one.forget(one.ended(now))
    one.start_some(now, 1.0)


def point(line: bytes) -> Point:
    (found,) = parse_lines(line)
    assert isinstance(found, Point)
    return found


@pytest.mark.parametrize(
    ("expression", "hosts"),
    [("a1", ["a1"]), ("a[08-10],b", ["a08", "a09", "a10", "b"]), ("r[1-2]n[3,5]", ["r1n3", "r1n5", "r2n3", "r2n5"])],
)
def test_a_node_list_is_expanded(expression: str, hosts: list[str]) -> None:
    assert expand(expression) == hosts


@pytest.mark.parametrize("name", CLUSTERS)
def test_no_node_or_accelerator_is_given_to_two_jobs(name: str) -> None:
    one = scheduler(name)
    for second in range(300):
        turn(one, NOW + second)
        used = [(host, part) for job in one.running.values() for host, parts in job.placements for part in parts or ("whole",)]
        assert len(used) == len(set(used))
    assert len(one.running) > 50


@pytest.mark.parametrize("name", CLUSTERS)
def test_what_the_adapter_sends_is_accepted(name: str) -> None:
    cluster, nodes = nodes_of(definition(name))
    by_name = {node.hostname: node for node in nodes}
    one = scheduler(name)
    for second in range(200):
        turn(one, NOW + second)
        for job in one.ended(NOW + second + 1):
            stop, _ = read_object(StopPayload, point(adapter.stop_line(job)).fields["event"].encode())
            assert job_stopped(stop, may_wait=True).stop_time == job.end
    for job in one.running.values():
        start, _ = read_object(StartPayload, point(adapter.start_line(job, by_name)).fields["event"].encode())
        assert job_started(start, {name: cluster}).sub_cluster in job.request.kind.subclusters
    line = adapter.node_line(name, adapter.node_states(one).values(), NOW)
    report, refusals = nodes_reported(read_object(NodeStatePayload, point(line).fields["event"].encode())[0], {name: cluster})
    assert len(report.nodes) == len(nodes)
    assert not refusals


def test_a_restarted_scheduler_knows_the_occupied_nodes() -> None:
    first = scheduler("alex")
    for second in range(20):
        turn(first, NOW + second)
    second_run = Scheduler("alex", first.nodes, first.seed, first.next_id, 200, 4.0, dict(first.running))
    random.seed(1)
    for second in range(20, 40):
        turn(first, NOW + second)
        turn(second_run, NOW + second)
    assert {job.job_id for job in first.running.values()} == {job.job_id for job in second_run.running.values()}


def shell_blocks(page: str, section: str = "") -> list[str]:
    text = (REPOSITORY / page).read_text()
    part = text.partition(f"## {section}\n")[2].partition("\n## ")[0] if section else text
    return re.findall(r"```sh\n(.*?)```", part, re.DOTALL)


def questions() -> tuple[str, list[str]]:
    """The README's section with queries for the demo: the preparation and the queries."""
    first, *others = shell_blocks("README.md", "Ask")
    return first, [line for block in others for line in block.splitlines()]


def answer_of(site: UpProcess, typed: str) -> str:
    """The output of shell commands, adapted to the ports and folder of this site."""
    preparation, _ = questions()
    script = f"{preparation}{typed}".replace("--data var", f"--data {site.data}").replace("http://127.0.0.1:8080", site.run_json["http"])
    script = script.replace(". .venv/bin/activate\n", f'jobtide() {{ "{sys.executable}" -m cli.main "$@"; }}\n')
    environment = clean_environment(PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=40, cwd=REPOSITORY, env=environment, check=False)
    assert done.returncode == 0, (typed, done)
    return done.stdout


def values(answer: Any) -> Iterator[Any]:
    """All values in it, at any depth."""
    if isinstance(answer, dict | list):
        for part in answer.values() if isinstance(answer, dict) else answer:
            yield from values(part)
    else:
        yield answer


def unanswered(site: UpProcess, asked: list[str]) -> list[tuple[str, str]]:
    """The root fields without a value, each with its question. Samples and statistics of a young site come a little later than its jobs."""
    answers = answer_of(site, "\n".join(asked)).splitlines()
    assert len(answers) == len(asked)
    missing = []
    for line, text in zip(asked, answers, strict=True):
        answer = json.loads(text)
        assert "errors" not in answer, (line, answer)
        missing += [(line, name) for name, data in answer["data"].items() if all(value in (0, None) for value in values(data))]
    return missing


def assert_the_questions_of_the_readme_are_answered(site: UpProcess) -> None:
    _, typed = questions()
    asked = [line for line in typed if line.startswith("ask ")]
    (followed,) = [line for line in typed if line not in asked]
    assert len(asked) >= 4
    until_blocking(lambda: not unanswered(site, asked), 60, "an answer to each question of the README")
    asked_with_curl = next(block for block in shell_blocks("docs/gateway.md") if "/query" in block)
    assert "errors" not in json.loads(answer_of(site, asked_with_curl))
    event = answer_of(site, f"( timeout 20 {followed} || true ) | grep -m 1 '^data: '")
    assert json.loads(event.removeprefix("data: "))["cluster"] == "fritz"


def assert_the_shown_people_sign_in(site: UpProcess) -> None:
    shown = re.search(r"^sign in at (\S+) with the password (\S+) as (.+)$", site.log_text, re.MULTILINE)
    assert shown
    address, password, people = shown.groups()
    assert (site.data / "demo-password").stat().st_mode & 0o777 == 0o600
    for name in re.findall(r"(\S+) \(", people):
        form = urllib.parse.urlencode({"username": name, "password": password}).encode()
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(f"{address}/login", form, timeout=30) as page:
            assert f'"username":"{name}"' in page.read().decode()


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_the_demo_runs_hundreds_of_jobs_and_continues_after_a_kill(new_up: Up) -> None:
    site = new_up("--demo").start(JOBTIDE_UP_DEMO_DAYS="0")

    def shown() -> dict[str, int]:
        lines = re.findall(r"^running (\d+)  finished (\d+)  archived (\d+)", site.log_text, re.MULTILINE)
        return dict(zip(("running", "finished", "archived"), map(int, lines[-1]), strict=True)) if lines else {}

    until_blocking(lambda: shown().get("running", 0) > 100 and shown()["archived"] > 5, 60, "a busy site")
    assert re.search(r"^curl -H 'X-Auth-Token: \S+' 'http://127.0.0.1:\d+/api/jobs/", site.log_text, re.MULTILINE)
    assert_the_shown_people_sign_in(site)
    assert_the_questions_of_the_readme_are_answered(site)
    site.kill9()
    state = json.loads((site.data / "demo.json").read_bytes())
    left_running = {entry[0] for cluster in state.values() for entry in cluster["running"]}
    (site.data / "run.json").unlink()
    site.start()
    until_blocking(lambda: re.search(r"continues with \d+ running jobs", site.log_text))

    def all_are_known() -> bool:
        known = {job["jobId"] for job in site.jobs("?items-per-page=2000")}
        return left_running <= known

    until_blocking(all_are_known, 60, "the jobs of the first run")
    first_to_end = min((entry[2], entry[0]) for cluster in state.values() for entry in cluster["running"])[1]
    until_blocking(lambda: first_to_end not in {job["jobId"] for job in site.jobs("?state=running&items-per-page=2000")}, 60)
    assert site.interrupt(timeout_s=5.0) == 0
    assert "Traceback" not in site.log_text
