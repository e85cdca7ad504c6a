#!/usr/bin/env python3
"""Smoke test of a deployment: run it on the machine of docker-compose.yml after `up`. Exits with 0 when everything works.

As the broker's adapter user it publishes jobs and finds them in the API and the archive; it stops the jobstore,
publishes more, starts it again and finds those too; and it tries what an adapter must not be able to do.
Python's standard library is enough: the client protocol of the broker is a few lines of text.

It needs the right to use Docker, and leaves a cluster named `smoke` with a few finished jobs.
"""

import argparse
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLUSTER_FILE = ROOT / "deploy" / "smoke-cluster.json"
CLUSTER = "smoke"
WAIT_S = 60.0
SOCKET_S = 10.0
ARCHIVED = 3  # monitoringStatus


class Failed(Exception):
    """A check failed; the text names it."""


class Adapter:
    """A minimal NATS client that publishes and collects the errors that the broker reports."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=SOCKET_S)
        self._lines = self._socket.makefile("rb")
        if not self._lines.readline().startswith(b"INFO "):
            raise Failed(f"{host}:{port} is no NATS server")
        self._send("CONNECT " + json.dumps({"user": user, "pass": password, "name": "smoke", "verbose": False, "pedantic": False}))
        if errors := self.complaints():
            raise Failed(f"the broker refuses user {user}: {errors}")

    def _send(self, line: str, payload: bytes | None = None) -> None:
        self._socket.sendall(line.encode() + b"\r\n" + (b"" if payload is None else payload + b"\r\n"))

    def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        self._send(f"PUB {subject} {reply} {len(payload)}", payload)

    def subscribe(self, subject: str) -> None:
        self._send(f"SUB {subject} 1")

    def complaints(self) -> list[str]:
        """Wait until the broker has handled everything sent before; returns the errors that it reported."""
        self._send("PING")
        errors: list[str] = []
        while line := self._lines.readline().strip():
            if line == b"PONG":
                return errors
            if line == b"PING":
                self._send("PONG")
            elif line.startswith(b"-ERR"):
                errors.append(line.decode())
        raise Failed(f"the broker closed the connection: {errors}")


class Deployment:
    """The containers, through the compose command that is installed."""

    def __init__(self) -> None:
        self._compose = next((command for command in (["docker", "compose"], ["docker-compose"]) if _works([*command, "version"])), None)

    def compose(self, *arguments: str) -> str:
        if self._compose is None:
            raise Failed("neither `docker compose` nor `docker-compose` works here")
        done = subprocess.run([*self._compose, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(self._compose + list(arguments))}: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def jobtide(self, *arguments: str, file: Path | None = None) -> str:
        """The command `jobtide` in a container of its own; ``file`` is seen there under /input."""
        mount = ["-v", f"{file}:/input:ro"] if file else []
        return self.compose("run", "--rm", "-T", *mount, "tools", "jobtide", *arguments)

    def archived(self, paths: list[str]) -> dict[str, Any]:
        """The meta.json of each existing entry, read in the gateway's container."""
        code = (
            "import json, pathlib, sys\n"
            "root = pathlib.Path('/var/lib/jobtide/archive')\n"
            "found = {path: json.loads(file.read_text()) for path in sys.argv[1:] if (file := root / path / 'meta.json').exists()}\n"
            "print(json.dumps(found))"
        )
        found: dict[str, Any] = json.loads(self.compose("exec", "-T", "gateway", "python3", "-c", code, *paths))
        return found


class Api:
    def __init__(self, host: str, port: int, token: str) -> None:
        self._host, self._port, self._token = host, port, token

    def get(self, path: str, *, token: bool = True) -> tuple[int, Any]:
        connection = HTTPConnection(self._host, self._port, timeout=SOCKET_S)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"} if token else {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text[:200]

    def jobs(self, started_at: int) -> dict[int, dict[str, Any]]:
        """The jobs of the cluster that started at this second, by job id."""
        path = f"/api/jobs/?cluster={CLUSTER}&start-time={started_at}-{started_at}&items-per-page=1000"
        status, answer = self.get(path)
        if status != 200:
            raise Failed(f"GET {path}: {status} {answer}")
        return {job["jobId"]: job for job in answer["jobs"]}


def start_line(job_id: int, started_at: int) -> bytes:
    return _line(
        "start_job",
        {
            "jobId": job_id,
            "cluster": CLUSTER,
            "user": "smoke",
            "project": "smoke",
            "startTime": started_at,
            "numNodes": 1,
            "resources": [{"hostname": f"smoke{job_id % 99 + 1:02d}"}],
        },
    )


def stop_line(job_id: int, started_at: int) -> bytes:
    stop = {"jobId": job_id, "cluster": CLUSTER, "startTime": started_at, "stopTime": started_at + 600, "jobState": "completed"}
    return _line("stop_job", stop)


def _line(function: str, payload: dict[str, Any]) -> bytes:
    text = json.dumps(payload).replace("\\", "\\\\").replace('"', '\\"')
    return f'job,function={function},hostname=smoke,type=node,type-id=0 event="{text}"\n'.encode()


def archive_path(job_id: int, started_at: int) -> str:
    return f"{CLUSTER}/{job_id // 1000}/{job_id % 1000:03d}/{started_at}"


def check_adapter_is_confined(adapter: Adapter) -> None:
    attempts: list[tuple[str, Callable[[], None]]] = [
        (f"publish to {subject}", lambda subject=subject: adapter.publish(subject, b"{}"))  # type: ignore[misc]
        for subject in (
            f"jobtide.job.started.{CLUSTER}",
            "$JS.API.STREAM.INFO.INTAKE",
            "$JS.API.STREAM.DELETE.EVENTS",
            "$KV.clusters.smoke",
        )
    ]
    attempts.append(("subscribe to everything", lambda: adapter.subscribe(">")))
    for what, attempt in attempts:
        attempt()
        if not any("permissions violation" in error.lower() for error in adapter.complaints()):
            raise Failed(f"the adapter user may {what}")


def publish_jobs(adapter: Adapter, ids: range, started_at: int) -> None:
    for job_id in ids:
        adapter.publish("cc.job.event", start_line(job_id, started_at))
    for job_id in ids:
        adapter.publish("cc.job.event", stop_line(job_id, started_at))
    if errors := adapter.complaints():
        raise Failed(f"the broker does not take jobs from the adapter: {errors}")


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            if holds():
                return
            last = ""
        except (OSError, HTTPException) as e:
            last = f", last error {e!r}"
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {WAIT_S:g} s{last}")
        time.sleep(0.5)


def check_jobs_arrive(deployment: Deployment, api: Api, ids: range, started_at: int) -> None:
    wait_for(
        f"{len(ids)} completed jobs in the API",
        lambda: sum(job["jobState"] == "completed" for job in api.jobs(started_at).values()) == len(ids),
    )
    paths = [archive_path(job_id, started_at) for job_id in ids]
    wait_for(f"{len(ids)} entries in the archive", lambda: len(deployment.archived(paths)) == len(ids))
    for path, meta in deployment.archived(paths).items():
        if meta.get("jobState") != "completed" or meta.get("duration") != 600:
            raise Failed(f"the archive entry {path} is not that of the finished job: {meta}")
    wait_for("their archiving in the API", lambda: all(job["monitoringStatus"] == ARCHIVED for job in api.jobs(started_at).values()))


def steps(deployment: Deployment, environment: dict[str, str], host: str, count: int) -> Iterator[str]:
    """Print and run each step. Raises Failed."""
    deployment.jobtide("cluster", "add", "/input", file=CLUSTER_FILE)
    token = deployment.jobtide("token", "smoke", "--role", "api", "--ttl", "1h").split()[-1]
    api = Api(host, _port(environment, "JOBTIDE_HTTP_PUBLISH", 8080), token)
    yield "the operator added a cluster and signed a token"

    wait_for("/readyz of the gateway", lambda: api.get("/readyz", token=False)[0] == 200)
    status, _ = api.get("/api/jobs/", token=False)
    if status != 401:
        raise Failed(f"the API answers {status} without a token")
    yield "the gateway is ready, and refuses a request without a token"

    adapter = Adapter(host, _port(environment, "JOBTIDE_NATS_PUBLISH", 4222), "adapter", environment["NATS_ADAPTER_PASSWORD"])
    check_adapter_is_confined(adapter)
    yield "the adapter user can neither publish events, nor use JetStream, nor listen"

    started_at = int(time.time()) - 3600
    first = range(started_at * 100, started_at * 100 + count)
    publish_jobs(adapter, first, started_at)
    check_jobs_arrive(deployment, api, first, started_at)
    yield f"{count} jobs went from the adapter to the API and the archive"

    deployment.compose("stop", "jobstore")
    try:
        second = range(first.stop, first.stop + count)
        publish_jobs(adapter, second, started_at + 1)
        if api.jobs(started_at + 1):
            raise Failed("jobs appear although the jobstore is stopped")
        yield f"{count} jobs were published while the jobstore was stopped; the API went on answering"
    finally:
        deployment.compose("start", "jobstore")
    check_jobs_arrive(deployment, api, second, started_at + 1)
    yield "they arrived after its start"


def read_environment(file: Path) -> dict[str, str]:
    if not file.exists():
        raise Failed(f"{file} is missing, run deploy/init-env.sh")
    pairs = (line.partition("=") for line in file.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _port(environment: dict[str, str], name: str, default: int) -> int:
    return int(environment.get(name, str(default)).rpartition(":")[2])


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="where the published ports are")
    parser.add_argument("--jobs", type=int, default=10, help="jobs of each of the two rounds (1 to 50)")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        for done in steps(Deployment(), read_environment(ROOT / ".env"), arguments.host, max(1, min(50, arguments.jobs))):
            print(f"{time.monotonic() - started:5.1f} s  ok  {done}", flush=True)
    except (Failed, OSError, HTTPException, subprocess.TimeoutExpired) as e:
        print(f"{time.monotonic() - started:5.1f} s  FAILED  {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
