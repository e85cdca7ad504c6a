"""Services as real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from shared.settings import PREFIX, SettingsGroup
from tests.support.programs import end
from tests.support.waiting import until

START_S = 60.0
REPOSITORY = Path(__file__).parents[2]


def environment(groups: Iterable[SettingsGroup]) -> dict[str, str]:
    """The environment variables for the same settings."""
    variables: dict[str, str] = {}
    for group in groups:
        for name in group.model_fields_set:
            value = getattr(group, name)
            if value is None:
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            text = json.dumps(value) if isinstance(value, list | dict | bool) else str(value)
            variables[f"{PREFIX}{group.section}_{name}".upper()] = text
    return variables


class ServiceProcess:
    """``python -m services.<name>``, its output in a file. Starts again with the same settings."""

    def __init__(self, name: str, variables: Mapping[str, str], log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    @property
    def log_text(self) -> str:
        """Everything written to standard error and output, over all starts."""
        return self.log_file.read_text(errors="replace")

    def log_lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The structured log lines since the last start, all or those of one event."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            texts = log.read().decode(errors="replace").splitlines()
        lines = [json.loads(text) for text in texts if text.startswith("{") and text.endswith("}")]
        return [line for line in lines if event is None or line.get("event") == event]

    @property
    def addresses(self) -> dict[str, str]:
        """``health``, and ``http`` of the gateway, as ``HOST:PORT``."""
        line = self.log_lines("service_up")[-1]
        return {key: str(line[key]) for key in ("health", "http") if key in line}

    def launch(self) -> None:
        """Start without waiting for it to be up."""
        assert not self.is_running
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.name}"],
                env=inherited | {"PYTHONUNBUFFERED": "1"} | dict(self._variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
            )

    async def up(self, deadline_s: float = START_S) -> "ServiceProcess":
        """Wait until it reports that it is up."""

        def is_up() -> bool:
            assert self.is_running, f"{self.name} ended with {self.exit_code}"
            return bool(self.log_lines("service_up"))

        try:
            await until(is_up, deadline_s, f"{self.name} up")
        except AssertionError as e:
            e.add_note(f"its log ends:\n{self.log_text[-3000:]}")
            raise
        return self

    async def ended(self, deadline_s: float = 30.0) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        await until(lambda: not self.is_running, deadline_s, f"{self.name} ended")
        assert self.exit_code is not None
        return self.exit_code

    def kill9(self) -> None:
        """SIGKILL; returns when it is gone."""
        assert self._process is not None
        end(self._process, signal.SIGKILL)

    @property
    def variables(self) -> Mapping[str, str]:
        """Its settings as environment variables."""
        return self._variables

    async def terminate(self, deadline_s: float = 30.0) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await self.ended(deadline_s)

    async def restart(self) -> "ServiceProcess":
        """Kill the process if it runs, start it, and wait until it is up."""
        if self.is_running:
            self.kill9()
        self.launch()
        return await self.up()


class ServiceRunner:
    """Starts services, and kills all of them at the end of the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[ServiceProcess] = []

    def prepare(self, name: str, *groups: SettingsGroup, **variables: str) -> ServiceProcess:
        """A service that is not started yet. ``variables`` are whole names: ``JOBTIDE_INGEST_BATCH="10"``.

        Every address is a free port of this machine unless it is given.
        """
        address = f"{PREFIX}{name}_{'http' if name == 'gateway' else 'health'}".upper()
        log_file = self._folder / f"{name}-{len(self._processes)}.log"
        extra = (
            {f"{PREFIX}METRICSTORE_HTTP": "127.0.0.1:0", f"{PREFIX}METRICSTORE_PATH": str(self._folder / "samples")}
            if name == "metricstore"
            else {}
        )
        process = ServiceProcess(name, {address: "127.0.0.1:0"} | extra | environment(groups) | variables, log_file)
        self._processes.append(process)
        return process

    async def start(self, name: str, *groups: SettingsGroup, **variables: str) -> ServiceProcess:
        """A service that is up."""
        process = self.prepare(name, *groups, **variables)
        process.launch()
        return await process.up()

    def end_all(self) -> None:
        for process in self._processes:
            if process.is_running:
                process.kill9()
