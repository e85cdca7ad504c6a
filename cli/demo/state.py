"""The state of the simulated schedulers on disk, so that the demo continues after a restart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from cli.demo.scheduler import Job
from cli.embedded.folder import write_whole

log = structlog.get_logger()

FIRST_IDS = {"fritz": 1_400_001, "alex": 2_200_001}


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """``seed`` determines the future jobs, ``next_id`` is the id of the next one."""

    seed: str
    next_id: int
    running: Sequence[Job]


def write_states(path: Path, states: Mapping[str, SchedulerState]) -> None:
    value = {
        name: {
            "seed": state.seed,
            "nextId": state.next_id,
            "running": [[job.job_id, job.start, job.end, job.placements, job.pace] for job in state.running],
        }
        for name, state in states.items()
    }
    write_whole(path, orjson.dumps(value))


def read_states(path: Path) -> dict[str, SchedulerState]:
    """The states by cluster; empty if the file is missing or unreadable."""
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, orjson.JSONDecodeError):
        log.warning("demo_state_unreadable", path=str(path))
        return {}
    return {name: _state(name, entry) for name, entry in value.items()} if isinstance(value, dict) else {}


def _state(cluster: str, entry: dict[str, Any]) -> SchedulerState:
    """Jobs stored by earlier versions have no pace."""
    running = [
        Job(cluster, job_id, entry["seed"], start, end, tuple((host, tuple(accelerators)) for host, accelerators in placements), *pace)
        for job_id, start, end, placements, *pace in entry["running"]
    ]
    return SchedulerState(entry["seed"], entry["nextId"], running)
