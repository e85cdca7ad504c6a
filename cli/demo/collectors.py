"""The metric collectors of the simulated nodes: one message of lines for every few nodes, as a real collector with a router sends."""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator

import numpy as np
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from cli.demo.behaviour import Behaviour, behaviour, loads_of
from cli.demo.machines import Node
from cli.demo.measuring import Place, measured
from cli.demo.scheduler import Scheduler
from shared.backoff import sleep_unless
from shared.domain.clusters import Cluster, Metric
from shared.settings import NatsSettings

log = structlog.get_logger()

NODES_PER_MESSAGE = 64
TICK_S = 1.0
MAX_MISSED_S = 600


class Collectors:
    """Publishes the metrics of all nodes of one cluster, each at its timestep."""

    def __init__(self, client: Client, nats: NatsSettings, cluster: Cluster, scheduler: Scheduler) -> None:
        self._client = client
        self._subject = subject_for(nats, cluster.name)
        self._cluster = cluster
        self._scheduler = scheduler
        self._behaviours: dict[int, Behaviour] = {}
        self._dice = np.random.default_rng()
        self._last = int(time.time())  # the second up to which samples were published
        self._groups = _groups([node for node in scheduler.nodes if not scheduler.is_broken(node)])

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until ``stop``. Samples are lost while the broker is away, as those of a real collector."""
        if self._subject is None:
            log.warning("demo_without_metrics", why="every subject of metric_subjects has wildcards")
            return
        while not await sleep_unless(stop, TICK_S):
            now = int(time.time())
            await self._send(range(self._last + 1, now + 1)[-60:])
            self._last = now

    async def catch_up(self, since: int | None) -> None:
        """Publish one sample of each metric, because the metrics of nodes are checked from their first report on.

        ``since`` is the end of the history: if it is not long ago, all samples from then on are published, so that curves have no hole.
        """
        now = int(time.time())
        newest = now - now % math.lcm(*(metric.timestep for metric in self._cluster.metric_config))
        missed = range(since, now + 1) if since is not None and now - since <= MAX_MISSED_S else range(0)
        await self._send(sorted({newest, *missed}))
        self._last = now

    async def _send(self, times: Iterable[int]) -> None:
        if self._subject is None:
            return
        try:
            for at in times:
                for message in self.messages(at):
                    await self._client.publish(self._subject, message)
                    await asyncio.sleep(0)
        except (NatsError, OSError) as e:
            log.debug("demo_metrics_not_sent", error=repr(e))

    def messages(self, at: int) -> Iterator[bytes]:
        """The messages due in this second; none if no metric is due."""
        due = [metric for metric in self._cluster.metric_config if at % metric.timestep == 0]
        if not due:
            return
        by_subcluster = {sub.name: [m for m in (metric.on(sub.name) for metric in due) if m] for sub in self._cluster.sub_clusters}
        running = self._scheduler.running
        self._behaviours = {id_: self._behaviours.get(id_) or behaviour(job) for id_, job in running.items()}
        for nodes in self._groups:
            yield "\n".join(self._lines(nodes, by_subcluster[nodes[0].subcluster], at)).encode()

    def _lines(self, nodes: list[Node], metrics: list[Metric], at: int) -> Iterator[str]:
        hosts = {node.hostname for node in nodes}
        jobs = [one for one in self._behaviours.values() if any(host in hosts for host, _ in one.job.placements)]
        loads = loads_of(nodes, jobs, np.array([at], dtype=np.float64))
        source = f"cluster={self._cluster.name},hostname"
        for metric in metrics:
            for places, samples in measured(metric, nodes, loads, self._dice):
                for place, value in zip(places, samples[:, 0].tolist(), strict=True):
                    if not math.isnan(value):  # NaN: the node is silent
                        yield f"{metric.name},{source}={place.host},{_type(place)} value={value:.5g} {at}"


def _type(place: Place) -> str:
    return f"type={place.kind},type-id={place.id}" if place.kind else "type=node"


def _groups(nodes: list[Node]) -> list[list[Node]]:
    """Split the nodes into one group per message, each from a single subcluster."""
    by_subcluster: dict[str, list[Node]] = {}
    for node in nodes:
        by_subcluster.setdefault(node.subcluster, []).append(node)
    return [some[first : first + NODES_PER_MESSAGE] for some in by_subcluster.values() for first in range(0, len(some), NODES_PER_MESSAGE)]


def subject_for(nats: NatsSettings, cluster: str) -> str | None:
    """The first configured subject without wildcards, with the cluster filled in."""
    for subject in nats.metric_subjects:
        if not {"*", ">"}.intersection(subject.split(".")):
            return subject.replace("{cluster}", cluster)
    return None
