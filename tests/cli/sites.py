"""`jobtide` as a real process, and embedded sites in temporary folders."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cli.embedded.folder import DataFolder
from cli.keys import read_keys, sign_token
from cli.site import Site
from shared.settings import PREFIX, NatsSettings
from tests.support.clusters import add_clusters_blocking
from tests.support.nats import publish
from tests.support.processes import REPOSITORY
from tests.support.programs import end, run_blocking
from tests.support.waiting import until_blocking

START_S = 60.0


# A busy machine can stop a process for seconds; that is not what these tests are about.
PATIENT = {f"{PREFIX}GATEWAY_OUTCOME_TIMEOUT_S": "30"}


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment of this process without settings of jobtide."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "JWT_"))}
    return inherited | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"} | variables


def jobtide(*arguments: str | Path, text: bytes = b"", cwd: Path = REPOSITORY, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command until it exits."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        input=text,
        capture_output=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env=clean_environment(**{"PYTHONPATH": str(REPOSITORY)} | variables),
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def assert_user_mistake(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Require exit code 2 and one line on standard error that contains the texts."""
    assert done.returncode == 2, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def on_a_terminal(data: Path, *more: str, until: str, **variables: str) -> str:
    """Run `jobtide up` on a pseudo terminal until it shows ``until``, then interrupt it; returns its output."""
    ours, theirs = pty.openpty()
    addresses = ("--http", "127.0.0.1:0", "--nats", "127.0.0.1:0")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "up", "--data", str(data), *addresses, *more],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPOSITORY,
        env=clean_environment(TERM="xterm", **variables),
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + START_S
    try:
        while select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # on Linux: the other side is closed
                break
            was_there = until.encode() in shown
            shown += part
            if until.encode() in shown and not was_there:
                process.send_signal(signal.SIGINT)
        assert process.poll() is not None or process.wait(5) == 0, shown[-3000:]
    finally:
        end(process)
        os.close(ours)
    assert until.encode() in shown, shown[-3000:]
    return shown.decode(errors="replace")


def shown_on_a_terminal(*arguments: str | Path) -> str:
    """Run one command on a pseudo terminal until it exits with 0; returns its output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPOSITORY,
        env=clean_environment(TERM="xterm"),
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + START_S
    try:
        while select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # on Linux: the other side is closed
                break
        assert process.wait(30) == 0, shown[-3000:]
    finally:
        end(process)
        os.close(ours)
    return shown.decode(errors="replace")


class UpProcess:
    """``jobtide up`` over one data folder."""

    def __init__(self, data: Path, *more: str) -> None:
        self.data = data
        self._arguments = ["--data", str(data), "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", *more]
        self._process: subprocess.Popen[bytes] | None = None
        self.log_file = data.with_name(f"{data.name}.log")
        self.wait_s = START_S  # until the site is ready

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def run_json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.data / "run.json").read_bytes())
        return value

    def launch(self, **variables: str) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=clean_environment(**PATIENT | variables),
            )

    def start(self, **variables: str) -> "UpProcess":
        """Returns when the site is ready."""
        self.launch(**variables)

        def is_ready() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log_text[-3000:]}"
            return (self.data / "run.json").exists()

        until_blocking(is_ready, self.wait_s, f"ready, the log ends:\n{self.log_text[-2000:] if self.log_file.exists() else ''}")
        return self

    @property
    def log_text(self) -> str:
        return self.log_file.read_text(errors="replace")

    def interrupt(self, number: signal.Signals = signal.SIGINT, timeout_s: float = 30.0) -> int:
        """Interrupt it like Ctrl-C; returns the exit code. Fails if shutdown takes too long."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def kill9(self) -> None:
        end(self.process, signal.SIGKILL)

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            end(self._process)

    def run(self, *arguments: str | Path, text: bytes = b"") -> subprocess.CompletedProcess[str]:
        """A command on this site, which must succeed."""
        done = jobtide(*arguments, "--data", self.data, text=text)
        assert done.returncode == 0, done
        return done

    # Preparatory steps are done directly and not by commands, each of which takes a second.

    @property
    def nats(self) -> NatsSettings:
        """As the operator."""
        return Site(DataFolder(self.data)).nats()

    def add_fritz(self) -> None:
        add_clusters_blocking(self.nats, ["fritz"])

    def publish(self, *lines: bytes) -> None:
        run_blocking(publish(self.nats, *lines))

    def get(self, path: str, *, with_token: bool = True, token: str | None = None) -> tuple[int, Any]:
        """GET on the API: status and JSON. The token is one of the role api unless it is given."""
        if with_token and token is None:
            token = sign_token(read_keys(self.data / "keys.json").private, "tester", ["api"], 3600)
        headers = {"X-Auth-Token": token} if token else {}
        request = urllib.request.Request(self.run_json["http"] + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def metrics_text(self) -> str:
        """The metrics of the gateway."""
        with urllib.request.urlopen(f"{self.run_json['http']}/metrics", timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def delete(self, path: str) -> None:
        """DELETE on the API, which must succeed."""
        self.send("DELETE", path)

    def send(self, method: str, path: str, body: bytes | None = None) -> None:
        """A request to the API, which must succeed."""
        token = sign_token(read_keys(self.data / "keys.json").private, "tester", ["api"], 3600)
        request = urllib.request.Request(self.run_json["http"] + path, headers={"X-Auth-Token": token}, method=method, data=body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def jobs(self, query: str = "") -> list[dict[str, Any]]:
        status, body = self.get(f"/api/jobs/{query}")
        assert status == 200, body
        jobs: list[dict[str, Any]] = body["jobs"]
        return jobs
