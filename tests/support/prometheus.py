"""A real Prometheus with given samples."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.debian import PROMETHEUS, installed
from tests.support.programs import end, free_port
from tests.support.waiting import until_blocking
from tests.support.web import answers

Sample = tuple[float, float]  # Unix seconds and value


def openmetrics(series: Mapping[str, Sequence[Sample]]) -> str:
    """``series`` by selector, such as ``load{instance="a:9100"}``."""
    by_name: dict[str, list[str]] = {}
    for selector, samples in series.items():
        by_name.setdefault(selector.partition("{")[0], []).extend(f"{selector} {value} {time:.3f}" for time, value in samples)
    lines = [line for name, own in by_name.items() for line in (f"# TYPE {name} gauge", *own)]
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def prometheus(folder: Path, series: Mapping[str, Sequence[Sample]], *, web: str = "") -> Iterator[str]:
    """The address of a server that has these samples. ``web`` is the content of its web configuration."""
    found = installed(PROMETHEUS)
    data, samples = folder / "data", folder / "samples.txt"
    samples.write_text(openmetrics(series))
    tool = found.program.with_name("promtool")
    subprocess.run(
        [tool, "tsdb", "create-blocks-from", "openmetrics", samples, data],
        check=True,
        capture_output=True,
        timeout=60,
        env=found.environment,
    )
    (folder / "prometheus.yml").write_text("global: {}\n")
    (folder / "web.yml").write_text(web)
    port = free_port()
    command = [
        str(found.program),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--web.config.file={folder / 'web.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        "--query.lookback-delta=59s",
    ]
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=found.environment)
    try:
        url = f"http://127.0.0.1:{port}"
        until_blocking(lambda: answers(f"{url}/-/ready", {200, 401}), 30, f"Prometheus ready, see {folder}/prometheus.log")
        yield url
    finally:
        end(process, signal.SIGKILL)
