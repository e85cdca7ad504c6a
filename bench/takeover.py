"""`jobtide takeover run` of a cc-backend with many jobs into an embedded site: ``python -m bench.takeover --jobs 100000``.

Prints one line of JSON for each of: the first run, a second one that finds nothing new, and the verification.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.cli.sites import UpProcess, clean_environment
from tests.support.builders import START_TIME
from tests.support.cc_backend import FormerSite
from tests.support.processes import REPOSITORY

SCRIPT = "#!/bin/bash\n#SBATCH --nodes=1\n" + "srun ./a.out --input case.dat --steps 1000\n" * 12
BATCH = 10_000


def fill(site: FormerSite, jobs: int, entries: int) -> None:
    """Jobs with scripts of half a kilobyte and footprints, one in ten with a tag; the first ``entries`` are archived."""
    site.cluster("fritz")
    first = site.job(1, monitoring_status=2)
    columns = [row[1] for row in site.db.execute("PRAGMA table_info(job)")]
    (template,) = site.db.execute("SELECT * FROM job WHERE id = ?", [first])
    like: dict[str, Any] = dict(zip(columns, template, strict=True))
    statement = f"INSERT INTO job VALUES ({', '.join('?' * len(columns))})"

    def row(number: int) -> list[Any]:
        changed = {
            "id": number,
            "job_id": number,
            "start_time": START_TIME + number,
            "meta_data": json.dumps({"jobName": f"run {number}", "jobScript": f"{SCRIPT}# {number}\n"}).encode(),
            "footprint": b'{"cpu_load_avg": 12.5, "flops_any_avg": 3.25, "mem_bw_avg": 40.0, "mem_used_max": 77.5}',
            "monitoring_status": 3 if number < entries + 2 else 2,
        }
        return list((like | changed).values())

    for begin in range(2, jobs + 1, BATCH):
        site.db.execute("BEGIN")
        site.db.executemany(statement, (row(number) for number in range(begin, min(begin + BATCH, jobs + 1))))
        site.db.execute("COMMIT")
    site.db.execute("BEGIN")
    site.tag("quality", "good", *range(10, jobs + 1, 10))
    site.db.execute("COMMIT")
    data = {"cpu_load": {"node": {"unit": {"base": ""}, "timestep": 60, "series": [{"hostname": "f0101", "data": [1.5] * 60}]}}}
    for number in range(2, entries + 2):
        site.entry(number, data)


def processor_s(pids: list[int]) -> float:
    """Processor time of processes so far, with their threads."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(site: UpProcess, *arguments: str | Path) -> dict[str, Any]:
    """Run a command: its seconds and peak memory, and the processor time of itself and of the site meanwhile."""
    load = os.getloadavg()[0]
    data, services = site.data, [site.process.pid, *site.children()]
    own, others = resource.getrusage(resource.RUSAGE_CHILDREN), processor_s(services)
    began = time.monotonic()
    command = [sys.executable, "-m", "cli.main", "takeover", *map(str, arguments), "--data", str(data)]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=clean_environment(PYTHONPATH=str(REPOSITORY)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        peak_kb = 0
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
            peak_kb = max(peak_kb, int(found[1]) if found else 0)
            time.sleep(0.2)
        out, err = process.communicate()
    result = {"command": arguments[0], "seconds": round(time.monotonic() - began, 1), "peak_mb": peak_kb // 1024, "load_before": load}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result["cpu_s"] = round(after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime, 1)
    result["cpu_of_site_s"] = round(processor_s(services) - others, 1)
    if process.returncode != 0:
        raise SystemExit(f"{result}\n{out}\n{err[-2000:]}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=0, help="jobs with an entry in the archive, which is copied")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jobtide-takeover-") as folder:
        there = FormerSite(Path(folder) / "cc-backend")
        fill(there, options.jobs, min(options.entries, options.jobs - 1))
        here = UpProcess(Path(folder) / "data").start()
        try:
            for name in ("run", "run", "verify"):
                print(json.dumps({"jobs": options.jobs, "entries": options.entries} | timed(here, name, there.folder)), flush=True)
        finally:
            here.end()
            there.stop()


if __name__ == "__main__":
    main()
