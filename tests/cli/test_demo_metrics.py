"""The metrics of the simulated site: what its collectors send, and how its jobs behave."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nats.aio.client import Client

from cli.demo.behaviour import Behaviour, Load, behaviour, loads_of
from cli.demo.collectors import Collectors, subject_for
from cli.demo.machines import CLUSTERS, definition, nodes_of
from cli.demo.scheduler import Job, Scheduler
from services.metricstore.catalogue import Catalogue
from services.metricstore.lines import Decoder, Samples, Source
from shared.settings import NatsSettings

NOW = 1_700_000_040  # a multiple of each timestep


def busy(name: str) -> Scheduler:
    one = Scheduler(name, nodes_of(definition(name))[1], "seed", 1000, max_running=200, starts_per_s=20.0)
    for second in range(60):
        one.start_some(NOW - 60 + second, 1.0)
    return one


def job_like(cluster: str, is_wanted: Callable[[Behaviour], bool], hosts: int = 1, accelerators: tuple[str, ...] = ()) -> Behaviour:
    """The first job that behaves as wanted. It runs from ``NOW`` for 100 seconds."""
    placements = tuple((f"n{host}", accelerators) for host in range(hosts))
    found = (behaviour(Job(cluster, job_id, "seed", NOW, NOW + 100, placements)) for job_id in itertools.count(1))
    return next(one for one in found if is_wanted(one))


def load(one: Behaviour, host: str, *seconds: float, accelerator: str | None = None) -> Load:
    """The load at times after ``NOW``."""
    return one.load(host, NOW + np.array(seconds, dtype=np.float64), accelerator)


def is_silent(one: Behaviour, host: str, second: float) -> bool:
    return bool(one.is_silent(host, np.array([NOW + second], dtype=np.float64))[0])


def ends(state: str) -> Callable[[Behaviour], bool]:
    return lambda one: one.job.request.end_state == state and not one.has_io


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_line_of_the_collectors_is_a_sample_of_the_cluster(name: str) -> None:
    cluster, nodes = nodes_of(definition(name))
    catalogue = Catalogue(100_000)
    catalogue.configure({name: cluster})
    samples = Samples()
    scheduler = busy(name)
    for message in Collectors(Client(), NatsSettings(), cluster, scheduler).messages(NOW):
        Decoder(catalogue).decode(message, Source(), NOW, samples)
    assert not samples.refused
    used = scheduler.jobs_by_node()
    failed = {host for host, jobs in used.items() if any(is_silent(behaviour(job), host, 0) for job, _ in jobs)}
    failed |= {node.hostname for node in nodes if scheduler.is_broken(node)}
    assert set(catalogue.clusters[name].hosts) == {node.hostname for node in nodes} - failed
    for node in nodes:
        expected = {metric.name for metric in cluster.metrics_on(node.subcluster)}
        assert set(catalogue.clusters[name].hosts.get(node.hostname, expected)) == expected
    parts = {series.part.id for series in catalogue.series if series.part.kind == "accelerator"}
    assert parts == {accelerator for node in nodes for accelerator in node.accelerators}


@pytest.mark.parametrize("name", CLUSTERS)
def test_between_its_timesteps_a_metric_is_not_sent(name: str) -> None:
    cluster, _ = nodes_of(definition(name))
    collectors = Collectors(Client(), NatsSettings(), cluster, busy(name))
    assert list(collectors.messages(NOW + 1)) == []
    sent = {line.partition(b",")[0].decode() for message in collectors.messages(NOW + 10) for line in message.splitlines()}
    assert sent == {metric.name for metric in cluster.metric_config if metric.timestep == 10}


def test_a_leak_fills_the_memory_until_the_job_ends() -> None:
    one = job_like("fritz", ends("out_of_memory"))
    levels = load(one, "n0", *range(0, 101, 10)).memory.tolist()
    assert levels == sorted(levels)
    assert levels[0] < 0.3
    assert levels[-1] == 1.0


def test_a_job_that_runs_into_its_limit_hangs_before() -> None:
    one = job_like("fritz", ends("timeout"))
    before, after = load(one, "n0", 30, 60).activity
    assert before > 0.7
    assert after < 0.05


def test_a_node_that_fails_goes_silent_before_the_job_ends() -> None:
    one = job_like("fritz", ends("node_fail"), hosts=3)
    silent = [host for host in ("n0", "n1", "n2") if is_silent(one, host, 90)]
    assert silent == [one.odd_host]
    assert not is_silent(one, silent[0], 50)


def test_one_node_of_some_jobs_is_slow() -> None:
    one = job_like("fritz", lambda it: it.odd_host is not None and ends("completed")(it), hosts=4)
    loads = {host: load(one, host, 10).activity[0] for host in ("n0", "n1", "n2", "n3")}
    assert [host for host, activity in loads.items() if activity < 0.5] == [one.odd_host]


def test_one_of_eight_accelerators_of_some_jobs_is_idle() -> None:
    accelerators = tuple(f"0000000{k}:00:00.0" for k in range(8))
    one = job_like("alex", lambda it: it.idle is not None and ends("completed")(it), accelerators=accelerators)
    idle = [accelerator for accelerator in accelerators if load(one, "n0", 10, accelerator=accelerator).activity[0] == 0]
    assert idle == [one.idle]


def test_phases_of_output_interrupt_the_computation() -> None:
    one = job_like("fritz", lambda it: it.has_io and it.job.request.end_state == "completed")
    found = load(one, "n0", *range(60))
    assert set((found.io > 0)[found.activity < 0.5].tolist()) == {True}
    assert 10 <= (found.io > 0).sum() <= 20


def test_a_node_carries_the_sum_of_its_jobs() -> None:
    node = next(node for node in nodes_of(definition("alex"))[1] if len(node.accelerators) == 8)
    steady = [behaviour(Job("alex", job_id, "seed", NOW, NOW + 100, ((node.hostname, node.accelerators[:4]),))) for job_id in (1, 2)]
    now = np.array([NOW + 10], dtype=np.float64)
    alone = [loads_of([node], [one], now).nodes.activity[0, 0] for one in steady]
    assert loads_of([node], steady, now).nodes.activity[0, 0] == pytest.approx(sum(alone))
    assert loads_of([node], [], now).nodes.activity[0, 0] < 0.05


class Recorder(Client):
    """Keeps what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    async def publish(self, subject: str, payload: bytes = b"", *_: Any, **__: Any) -> None:
        self.lines += payload.decode().splitlines()


async def test_the_first_samples_follow_the_history_without_a_hole() -> None:
    cluster, nodes = nodes_of(definition("fritz"))
    recorder = Recorder()
    collectors = Collectors(recorder, NatsSettings(), cluster, Scheduler("fritz", nodes, "seed", 1000, max_running=1, starts_per_s=1.0))
    history_end = int(time.time()) - 130
    await collectors.catch_up(history_end)
    sent = {(line.partition(",")[0], int(line.rpartition(" ")[2])) for line in recorder.lines}
    for metric in cluster.metrics_on(nodes[0].subcluster):
        expected = {at for at in range(history_end, history_end + 130) if at % metric.timestep == 0}
        assert expected <= {at for name, at in sent if name == metric.name}
    recorder.lines.clear()
    await collectors.catch_up(history_end - 86_400)
    assert len({line.rpartition(" ")[2] for line in recorder.lines}) == 1


def test_lines_go_to_the_first_subject_without_wildcards() -> None:
    assert subject_for(NatsSettings(metric_subjects=["*.metrics", "{cluster}.m"]), "fritz") == "fritz.m"
    assert subject_for(NatsSettings(metric_subjects=["*.metrics"]), "fritz") is None
