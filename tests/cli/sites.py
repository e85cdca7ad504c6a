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

START_S = 30.0


def clean_environment(**variables: str) -> dict[str, str]:
    """Of this process, without any setting of jobtide."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "JWT_"))}
    return inherited | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"} | variables


def jobtide(*arguments: str | Path, text: bytes = b"", cwd: Path = REPOSITORY, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, arguments)],
        input=text,
        capture_output=True,
        check=False,
        timeout=40,
        cwd=cwd,
        env=clean_environment(**{"PYTHONPATH": str(REPOSITORY)} | variables),
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def assert_user_mistake(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2 and one line on standard error that says what."""
    assert done.returncode == 2, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def on_a_terminal(data: Path, *more: str, until: str, **variables: str) -> str:
    """`jobtide up` on a terminal of its own, interrupted once it shows ``until``: all that it showed."""
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
            except OSError:  # how Linux says that the other side is closed
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


class UpProcess:
    """``jobtide up`` over one data folder."""

    def __init__(self, data: Path, *more: str) -> None:
        self.data = data
        self._arguments = ["--data", str(data), "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0", *more]
        self._process: subprocess.Popen[bytes] | None = None
        self.log_file = data.with_name(f"{data.name}.log")

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
                env=clean_environment(**variables),
            )

    def start(self, **variables: str) -> "UpProcess":
        """Returns when the site is ready."""
        self.launch(**variables)

        def is_ready() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log_text[-3000:]}"
            return (self.data / "run.json").exists()

        until_blocking(is_ready, START_S, f"ready, the log ends:\n{self.log_text[-2000:] if self.log_file.exists() else ''}")
        return self

    @property
    def log_text(self) -> str:
        return self.log_file.read_text(errors="replace")

    def interrupt(self, number: signal.Signals = signal.SIGINT, timeout_s: float = 5.0) -> int:
        """As Ctrl-C; the exit code. Fails when it takes longer than a person should wait."""
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

    # What is only on the way to something else is done here and not by a command, which takes a second.

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
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def jobs(self, query: str = "") -> list[dict[str, Any]]:
        status, body = self.get(f"/api/jobs/{query}")
        assert status == 200, body
        jobs: list[dict[str, Any]] = body["jobs"]
        return jobs
