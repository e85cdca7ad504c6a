"""Publishes the events of the simulated schedulers, and stores their state to continue after a restart."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from cli.demo import adapter
from cli.demo.collectors import Collectors
from cli.demo.machines import CLUSTERS, definition, nodes_of
from cli.demo.scheduler import Job, Scheduler
from cli.demo.state import FIRST_IDS, SchedulerState, read_states, write_states
from shared.backoff import Backoff, sleep_unless
from shared.settings import NatsSettings

log = structlog.get_logger()

TICK_S = 0.5
FLUSH_TIMEOUT_S = 2
NODE_STATES_EVERY_S = 5.0
ALL_NODES_EVERY_S = 60.0  # in between, only nodes that changed are reported
INVALID_EVERY_S = 40.0
MAX_RUNNING = {"fritz": 260, "alex": 140}
STARTS_PER_S = {"fritz": 3.0, "alex": 2.0}


class Feed:
    """Publishes with plain NATS, as adapters do. The state is written before a start and after a stop is published."""

    def __init__(self, client: Client, nats: NatsSettings, state_file: Path) -> None:
        self._client = client
        self._nats = nats
        self._state_file = state_file
        states = read_states(state_file)
        self._schedulers = {name: _scheduler(name, states.get(name)) for name in CLUSTERS}
        self._reported: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in CLUSTERS}
        self._node_states_at = self._all_nodes_at = self._invalid_at = 0.0
        self.was_continued = bool(states)

    @property
    def running(self) -> int:
        return sum(len(scheduler.running) for scheduler in self._schedulers.values())

    def collectors(self) -> list[Collectors]:
        """The metric collectors of the nodes, one group for each cluster."""
        return [
            Collectors(self._client, self._nats, nodes_of(definition(name))[0], scheduler) for name, scheduler in self._schedulers.items()
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until ``stop``; waits while the broker is unavailable."""
        pause = Backoff(first_s=TICK_S, max_s=5.0)
        while not stop.is_set():
            try:
                await self._announce()
                await self._feed(stop, pause)
            except (NatsError, OSError, TimeoutError) as e:
                log.warning("demo_waits_for_broker", error=repr(e))
                await pause.wait(stop)

    async def _announce(self) -> None:
        """Publish starts for all running jobs, as an adapter does after an outage of itself or its broker."""
        for scheduler in self._schedulers.values():
            await self._publish_starts(scheduler, list(scheduler.running.values()))

    async def _feed(self, stop: asyncio.Event, pause: Backoff) -> None:
        before = time.monotonic()
        while not stop.is_set():
            now, passed_s = int(time.time()), time.monotonic() - before
            before += passed_s
            for scheduler in self._schedulers.values():
                await self._schedule(scheduler, now, passed_s)
            await self._report_nodes(now)
            await self._publish_invalid(now)
            await self._flush()
            self._save()
            pause.reset()
            await sleep_unless(stop, TICK_S)

    async def _schedule(self, scheduler: Scheduler, now: int, passed_s: float) -> None:
        ended = scheduler.ended(now)
        for job in ended:
            await self._publish(self._nats.job_subjects[0], job.cluster, adapter.stop_line(job))
        if ended:
            await self._flush()
            scheduler.forget(ended)
        started = scheduler.start_some(now, passed_s)
        if started:
            self._save()
            await self._publish_starts(scheduler, started)

    async def _flush(self) -> None:
        """Wait until the broker has received everything published so far."""
        await self._client.flush(timeout=FLUSH_TIMEOUT_S)

    async def _publish_starts(self, scheduler: Scheduler, jobs: list[Job]) -> None:
        nodes = {node.hostname: node for node in scheduler.nodes}
        for job in jobs:
            await self._publish(self._nats.job_subjects[0], job.cluster, adapter.start_line(job, nodes))

    async def _report_nodes(self, now: int) -> None:
        clock = time.monotonic()
        if clock - self._node_states_at < NODE_STATES_EVERY_S:
            return
        everything = clock - self._all_nodes_at >= ALL_NODES_EVERY_S or not self._all_nodes_at
        self._node_states_at = clock
        self._all_nodes_at = clock if everything else self._all_nodes_at
        for name, scheduler in self._schedulers.items():
            states = adapter.node_states(scheduler)
            changed = [state for host, state in states.items() if everything or self._reported[name].get(host) != state]
            self._reported[name] = states
            if changed:
                await self._publish(self._nats.node_subjects[0], name, adapter.node_line(name, changed, now))

    async def _publish_invalid(self, now: int) -> None:
        """Publish an invalid message, as every site has them: a truncated line, or a cluster that is not configured."""
        clock = time.monotonic()
        if clock - self._invalid_at < INVALID_EVERY_S:
            return
        is_first, self._invalid_at = not self._invalid_at, clock
        if is_first:
            return
        lost = {"jobId": random.randint(1, 9999), "cluster": "testbed", "user": "ops", "startTime": now, "numNodes": 1}
        start = adapter.line("job", lost | {"resources": [{"hostname": "t01"}]}, now, function="start_job")
        odd = random.choice([start, start[: len(start) // 2]])
        await self._publish(self._nats.job_subjects[0], "testbed", odd)

    async def _publish(self, subject: str, cluster: str, data: bytes) -> None:
        await self._client.publish(subject.replace("{cluster}", cluster), data)

    def _save(self) -> None:
        write_states(
            self._state_file,
            {name: SchedulerState(one.seed, one.next_id, list(one.running.values())) for name, one in self._schedulers.items()},
        )


def _scheduler(name: str, state: SchedulerState | None) -> Scheduler:
    _, nodes = nodes_of(definition(name))
    state = state or SchedulerState(f"{random.getrandbits(48):x}", FIRST_IDS[name], [])
    running = {job.job_id: job for job in state.running}
    return Scheduler(name, nodes, state.seed, state.next_id, MAX_RUNNING[name], STARTS_PER_S[name], running)
