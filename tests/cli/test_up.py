"""`jobtide up`: a whole site with one command."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, assert_user_mistake, jobtide, on_a_terminal
from tests.support.builders import start_line, stop_line
from tests.support.clusters import cluster_text
from tests.support.nats import publish
from tests.support.programs import nats_program, run_blocking
from tests.support.waiting import until_blocking

SERVICES = {"ingest", "jobstore", "archiver", "metricstore", "gateway"}


def test_run_json_names_every_address_and_each_answers(shared_up: UpProcess) -> None:
    running = shared_up.run_json
    assert running["pid"] == shared_up.process.pid
    assert set(running["health"]) == SERVICES
    assert running["nats"].startswith("nats://127.0.0.1:")
    for url in [running["http"], *running["health"].values()]:
        with urllib.request.urlopen(f"{url}/healthz", timeout=30) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as answer:
            assert answer.status == 200


def test_a_published_job_is_seen_over_rest_running_and_then_stopped(shared_up: UpProcess) -> None:
    shared_up.run("publish", "-", text=start_line(501, "fritz"))
    until_blocking(lambda: [job["jobState"] for job in shared_up.jobs("?state=running") if job["jobId"] == 501] == ["running"])
    shared_up.run("publish", "-", text=stop_line(501, "fritz"))
    until_blocking(lambda: [job["jobState"] for job in shared_up.jobs("?state=completed") if job["jobId"] == 501] == ["completed"])


def test_the_api_requires_a_token_and_healthz_does_not(shared_up: UpProcess) -> None:
    assert shared_up.get("/healthz", with_token=False)[0] == 200
    assert shared_up.get("/api/jobs/", with_token=False)[0] == 401


def test_the_keys_are_readable_only_by_their_owner(shared_up: UpProcess) -> None:
    assert stat.S_IMODE((shared_up.data / "keys.json").stat().st_mode) == 0o600


def test_the_memory_of_the_broker_is_limited(shared_up: UpProcess) -> None:
    pid = int((shared_up.data / "nats" / "nats-server.pid").read_text())
    found = psutil.Process(pid).environ()
    assert found["GOGC"] == "50"
    assert int(found["GOMEMLIMIT"].removesuffix("MiB")) >= 256


def test_a_second_site_on_the_same_folder_is_refused(shared_up: UpProcess) -> None:
    done = jobtide("up", "--data", shared_up.data, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0")
    assert_user_mistake(done, "running", str(shared_up.data))
    assert shared_up.get("/healthz", with_token=False)[0] == 200


@pytest.mark.parametrize("option", ["--http", "--nats"])
def test_a_busy_port_is_reported_in_one_line(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        addresses = {"--http": "127.0.0.1:0", "--nats": "127.0.0.1:0"} | {option: address}
        done = jobtide("up", "--data", tmp_path, *(part for pair in addresses.items() for part in pair))
    assert_user_mistake(done, option, address)
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("wrong", [{"JOBTIDE_GATEWAY_BOGUS": "1"}, {"JOBTIDE_GRAPHQL_MAX_DEPTH": "deep"}])
def test_a_wrong_setting_of_a_service_ends_it_before_anything_starts(tmp_path: Path, wrong: dict[str, Any]) -> None:
    done = jobtide("up", "--data", tmp_path, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", **wrong)
    assert_user_mistake(done, *wrong)
    assert not (tmp_path / "nats").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(new_up: Up, number: signal.Signals) -> None:
    site = new_up().start()
    children = site.children()
    assert children
    assert site.interrupt(number) == 0
    assert not any(psutil.pid_exists(pid) for pid in children)
    assert not (site.data / "run.json").exists()
    assert site.log_text.endswith("stopped\n")
    assert "Traceback" not in site.log_text


def test_on_a_terminal_the_log_goes_to_a_file_that_is_named(tmp_path: Path) -> None:
    log_file = tmp_path / "data" / "jobtide.log"
    shown = on_a_terminal(tmp_path / "data", until="Ctrl-C ends it")
    assert str(log_file) in shown
    assert "provisioned" not in shown
    assert '{"' not in shown
    assert shown.rstrip().endswith("stopped")
    assert '"provisioned"' in log_file.read_text()


def test_on_a_terminal_warnings_are_shown_and_logged(tmp_path: Path) -> None:
    shown = on_a_terminal(tmp_path / "data", until="Ctrl-C ends it", JOBTIDE_JOBSTOR_BATCH="1")
    assert "warning: variable_not_known variable=JOBTIDE_JOBSTOR_BATCH did_you_mean_section=jobstore" in shown
    assert "variable_not_known" in (tmp_path / "data" / "jobtide.log").read_text()


def test_the_display_of_the_demo_has_the_terminal_to_itself(tmp_path: Path) -> None:
    shown = on_a_terminal(tmp_path / "data", "--demo", until="jobs running", JOBTIDE_UP_DEMO_DAYS="0")
    for address in ("http    http://127.0.0.1:", "nats    nats://", f"log     {tmp_path / 'data' / 'jobtide.log'}"):
        assert address in shown
    assert "provisioned" not in shown
    assert '{"' not in shown
    assert '"provisioned"' in (tmp_path / "data" / "jobtide.log").read_text()


def test_jobs_and_keys_survive_a_restart(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(start_line(7, "fritz"))
    (before,) = until_blocking(site.jobs)
    keys = (site.data / "keys.json").read_bytes()
    site.interrupt()
    site.start()
    (after,) = until_blocking(site.jobs)
    assert (after["id"], after["jobId"]) == (before["id"], 7)
    assert (site.data / "keys.json").read_bytes() == keys


def test_after_a_kill_no_server_remains_and_the_next_start_works(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(start_line(8, "fritz"))
    until_blocking(site.jobs)
    children = site.children()
    site.kill9()
    until_blocking(lambda: not any(psutil.pid_exists(pid) for pid in children), what="nats-server ended with its parent")
    assert_user_mistake(jobtide("status", "--data", site.data), "no site runs")
    (site.data / "run.json").unlink()
    site.start()
    until_blocking(lambda: [job["jobId"] for job in site.jobs()] == [8])


def test_a_server_left_by_an_earlier_run_is_stopped(new_up: Up) -> None:
    site = new_up().start()
    site.interrupt()
    left_behind = subprocess.Popen([nats_program(), "-c", site.data.absolute() / "nats" / "nats-server.conf"])
    pid_file = site.data / "nats" / "nats-server.pid"
    until_blocking(lambda: pid_file.exists() and pid_file.read_text().strip() == str(left_behind.pid))
    site.start()
    assert left_behind.wait(5) is not None
    assert site.get("/readyz", with_token=False)[0] == 200


def test_a_broker_that_dies_is_started_again_at_the_same_address(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    url = site.run_json["nats"]
    (server,) = site.children()
    os.kill(server, signal.SIGKILL)
    until_blocking(lambda: site.children() not in ([], [server]), what="a new server")
    until_blocking(lambda: jobtide("provision", "--data", site.data).returncode == 0)
    assert site.run_json["nats"] == url
    site.publish(start_line(9, "fritz"))
    until_blocking(lambda: [job["jobId"] for job in site.jobs()] == [9], 20)


def test_a_metric_store_in_a_process_of_its_own_is_restarted_and_ends_with_the_site(new_up: Up) -> None:
    site = new_up().start(JOBTIDE_UP_METRICSTORE_PROCESS="always")
    site.add_fritz()

    def store() -> int | None:
        for pid in site.children():
            with suppress(OSError):  # it has just ended
                if b"metricstore" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return pid
        return None

    def position() -> Any:
        (found,) = json.loads(site.run("status", "--json").stdout)["metricStores"]
        return (found["state"] or {}).get("position")

    first, address = store(), site.run_json["metrics"]
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until_blocking(lambda: store() not in (None, first), 30, "another process")
    line = f"cpu_load,cluster=fritz,hostname=f0101,type=node value=1 {int(time.time())}"
    run_blocking(publish(site.nats, line.encode(), subject=site.nats.metric_subjects[0]))
    until_blocking(lambda: position() == 1, 40, "the sample in the new process")
    assert site.run_json["metrics"] == address
    children = site.children()
    site.kill9()
    until_blocking(lambda: not any(psutil.pid_exists(pid) for pid in children), 30, "the children ended with their parent")


def test_a_running_broker_is_used_when_its_url_is_given(new_up: Up, private_nats_url: str) -> None:
    site = new_up("--nats", private_nats_url).start()
    assert site.run_json["nats"] == private_nats_url
    assert site.children() == []
    definition = site.data.parent / "fritz.json"
    definition.write_bytes(cluster_text("fritz"))
    site.run("cluster", "add", definition)
    site.run("publish", "-", text=start_line(10, "fritz"))
    until_blocking(lambda: [job["jobId"] for job in site.jobs()] == [10])


def test_a_site_is_ready_after_little_work(new_up: Up) -> None:
    """A limit on processor time against regressions. `make bench` measures the start time."""
    site = new_up()
    site.start().interrupt()
    site.start()
    processes = [psutil.Process(site.process.pid), *map(psutil.Process, site.children())]
    times = [process.cpu_times() for process in processes]
    assert sum(each.user + each.system for each in times) < 5.0  # about 2.3 on a quiet machine


def test_a_log_of_another_database_ends_it_with_one_line(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(start_line(11, "fritz"))
    until_blocking(site.jobs)
    site.interrupt()
    store = site.data / "nats"
    store.rename(site.data / "lost")
    site.launch()
    assert site.process.wait(20) == 2
    last_line = site.log_text.strip().splitlines()[-1]
    assert last_line.startswith("jobtide: ")
    assert re.search("the stream (EVENTS|NODES|REJECTIONS) was recreated", last_line)
    assert "Traceback" not in site.log_text
