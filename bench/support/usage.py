"""What processes use: memory, and processor time, which other work on the machine does not change."""

import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

from bench.support.site import Site


@dataclass(frozen=True, slots=True)
class Memory:
    """Sums over processes, bytes. ``pss`` counts a page that several share once in all."""

    rss: int
    pss: int


def memory_of(pids: Iterable[int]) -> Memory:
    found = [psutil.Process(pid).memory_full_info() for pid in pids]
    return Memory(sum(one.rss for one in found), sum(getattr(one, "pss", one.rss) for one in found))


def cpu_seconds(site: Site) -> dict[str, float]:
    """User and system time so far, by process; PostgreSQL's processes are taken together."""
    names = ("jobtide", "nats-server") if site.mode == "embedded" else ("nats-server",)
    pids = dict(zip(names, site.main_pids, strict=True)) | {name: service.pid for name, service in site.services.items()}
    used = {name: _cpu(psutil.Process(pid)) for name, pid in pids.items()}
    if site.server_pid is not None:
        server = psutil.Process(site.server_pid)
        used[site.engine] = sum(_cpu(process) for process in [server, *server.children()])
    return used


def _cpu(process: psutil.Process) -> float:
    """0 for one that has just ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def per_event_us(before: Mapping[str, float], after: Mapping[str, float], events: int) -> dict[str, float]:
    """Processor time of each process, microseconds per event."""
    return {name: round((after[name] - before[name]) / events * 1e6, 1) for name in after}


def of_ended_children() -> float:
    """Processor time of all child processes that have ended, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
