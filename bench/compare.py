"""Run the same rows in this checkout and in a worktree of another commit, alternately, and compare medians.

Both meet the same load of the machine this way, so a ratio means something where single figures do not.
Each checkout is measured by its own benchmark code and with its own virtual environment.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.results import number
from tests.support.processes import REPOSITORY

WORKTREES = Path("var/against")
OUTPUT = Path("var/bench")
INSTALL_TIMEOUT_S = 900.0
RUN_TIMEOUT_S = 3 * 3600.0
STOP_TIMEOUT_S = 60.0
WHOLE = "the whole run"
_MEASURED = re.compile(r" \((p50|before): [^)]*\)")  # figures inside the names of others


class ComparisonFailed(Exception):
    """A checkout cannot be prepared or measured."""


@dataclass(frozen=True, slots=True)
class Figure:
    """``cpu`` is the processor time of all processes per event or request, in the unit of its row. None if the row does not measure it."""

    row: str
    what: str
    setting: str
    unit: str
    value: float
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians of one figure over all runs: of this checkout, and of the other commit."""

    figure: Figure
    here: float
    there: float
    cpu_here: float | None
    cpu_there: float | None

    @property
    def ratio(self) -> float | None:
        return _ratio(self.here, self.there)

    @property
    def cpu_ratio(self) -> float | None:
        return None if self.cpu_here is None or self.cpu_there is None else _ratio(self.cpu_here, self.cpu_there)


def figures(reports: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """The results of row reports as ``RowReport.write`` stores them."""
    return [
        Figure(
            report["row"],
            result["what"],
            ", ".join(result["setting"].values()),
            result["unit"],
            result["value"],
            _cpu(result["details"]),
        )
        for report in reports
        for result in report["results"]
    ]


def _cpu(details: Mapping[str, Any]) -> float | None:
    used = next((value for key, value in details.items() if key.startswith(("cpu_us_per", "cpu_ms_per"))), None)
    if isinstance(used, Mapping):
        return float(sum(used.values()))
    return None if used is None else float(used)


def compare(here: Sequence[Sequence[Figure]], there: Sequence[Sequence[Figure]]) -> list[Comparison]:
    """One run per element. Figures that are missing in a run, or were renamed between the commits, are left out."""
    if not here or not there:
        return []
    by_key = [{_key(figure): figure for figure in run} for run in (*here, *there)]
    ours, theirs = by_key[: len(here)], by_key[len(here) :]
    return [
        Comparison(
            figure,
            median(run[key].value for run in ours),
            median(run[key].value for run in theirs),
            _median_cpu(run[key] for run in ours),
            _median_cpu(run[key] for run in theirs),
        )
        for key, figure in ours[0].items()
        if all(key in run for run in by_key)
    ]


def _key(figure: Figure) -> tuple[str, str, str, str]:
    return figure.row, _MEASURED.sub("", figure.what), figure.setting, figure.unit


def _median_cpu(found: Iterable[Figure]) -> float | None:
    used = [figure.cpu for figure in found]
    known = [one for one in used if one is not None]
    return median(known) if len(known) == len(used) else None


def _ratio(here: float, there: float) -> float | None:
    return here / there if there else None


def run_against(commit: str, rows: Sequence[str], scale: str, times: int, console: Console) -> list[Comparison]:
    """Measure both checkouts ``times`` times. Raises ComparisonFailed."""
    other = prepare(commit, console)
    here: list[list[Figure]] = []
    there: list[list[Figure]] = []
    for turn in range(times):
        pair = [(REPOSITORY, here), (other, there)]
        for checkout, runs in pair if turn % 2 == 0 else reversed(pair):  # neither is always the first
            console.print(f"  [dim]run {turn + 1} of {times}: {checkout}[/]", highlight=False)
            runs.append(_measure(checkout, rows, scale))
    found = compare(here, there)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / f"against-{other.name}.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    return found


def prepare(commit: str, console: Console) -> Path:
    """A worktree of the commit with its own virtual environment, reused by later runs. Raises ComparisonFailed."""
    name = _output("git", "rev-parse", "--verify", "--short=12", f"{commit}^{{commit}}")
    path = REPOSITORY / WORKTREES / name
    if not path.exists():
        _output("git", "worktree", "add", "--detach", str(path), name)
    python = _python(path)
    ready = path / ".venv" / ".ready"
    if not ready.exists():
        console.print(f"  [dim]installing {name} into {path / '.venv'}, which takes minutes[/]", highlight=False)
        _output(sys.executable, "-m", "venv", str(path / ".venv"))
        _output(str(python), "-m", "pip", "install", "--quiet", "-e", f"{path}[dev]")
        ready.touch()
    return path


def _python(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "python"


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    if done.returncode:
        raise ComparisonFailed(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def _measure(checkout: Path, rows: Sequence[str], scale: str) -> list[Figure]:
    files = [checkout / OUTPUT / f"{row}.json" for row in rows]
    for file in files:
        file.unlink(missing_ok=True)  # left by an earlier run
    python = sys.executable if checkout == REPOSITORY else str(_python(checkout))
    began, used = time.monotonic(), _children_cpu_s()
    command = [python, "-m", "bench", *rows, "--scale", scale]
    status, printed = _ended(command, checkout)
    took_s, cpu_s = time.monotonic() - began, _children_cpu_s() - used
    if status or not all(file.exists() for file in files):
        raise ComparisonFailed(f"{checkout}: the benchmark failed: {printed.strip()[-2000:]}")
    whole = [Figure(WHOLE, "wall time", "", "s", took_s), Figure(WHOLE, "processor time of all processes", "", "s", cpu_s)]
    return figures(orjson.loads(file.read_bytes()) for file in files) + whole


def _ended(command: Sequence[str], checkout: Path) -> tuple[int, str]:
    """Exit status and output. An interrupted run gets SIGTERM, so that it stops its own servers and services."""
    with subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            printed, _ = process.communicate(timeout=RUN_TIMEOUT_S)
        except BaseException:
            process.terminate()
            process.wait(STOP_TIMEOUT_S)
            raise
        return process.returncode, printed


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def table(found: Sequence[Comparison], commit: str) -> Table:
    result = Table(title=f"This checkout against {commit}, medians", title_justify="left", show_lines=False)
    for name in ("row", "what", "setting"):
        result.add_column(name, overflow="fold")
    for name in ("here", "there", "ratio", "processor time"):
        result.add_column(name, justify="right", no_wrap=True)
    for one in found:
        figure = one.figure
        result.add_row(
            figure.row,
            figure.what,
            figure.setting,
            f"{number(one.here)} {figure.unit}".strip(),
            f"{number(one.there)} {figure.unit}".strip(),
            "" if one.ratio is None else f"{one.ratio:.2f}",
            "" if one.cpu_ratio is None else f"{one.cpu_ratio:.2f}",
        )
    return result
