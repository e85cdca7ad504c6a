"""deploy/nats.conf permits each user the operations of the real code, and nothing else."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import NotFoundError

from cli.embedded.accounts import accounts, variables
from cli.embedded.broker import CONFIGURATION
from services.ingest.progress import Progress, Removed
from shared.broker.clusters import ClusterDirectory, add_cluster
from shared.broker.connection import connect_options, dial
from shared.broker.cursor import log_state, read_from
from shared.broker.envelope import Envelope
from shared.broker.last_events import LastEvents, last_events
from shared.broker.outcome import Outcome, publish_and_wait
from shared.broker.publisher import Publisher
from shared.broker.reports import report_subject, reporting
from shared.broker.streams import Durable, ensure_consumer, provision
from shared.domain.events import (
    ApplicationsDetected,
    Event,
    HousekeepingDue,
    IntakeRejected,
    IntakeReplayed,
    JobAdviceMuted,
    JobAdvised,
    JobArchived,
    JobArchiveRequested,
    JobArchivingFailed,
    JobDeleted,
    JobImported,
    JobMetadataEdited,
    JobsMeasured,
    JobStarted,
    JobStopped,
    JobTagged,
    JobUntagged,
    NodesChecked,
    NodesReported,
    RefusalsDismissed,
    RejectionsDismissed,
    RejectionsDue,
    Tag,
    TagCreated,
    TagRemoved,
)
from shared.errors import UserError
from shared.health import Health
from shared.settings import NatsSettings
from tests.deploy.conftest import ROOT, USERS, Broker

pytestmark = pytest.mark.timeout(60)
PREFIX = "jobtide"
COMPLAINT_WAIT_S = 20.0
FORBIDDEN_WAIT_S = 0.3  # refused requests are never answered


def envelope(event: Event, *, message_id: str = "1", reply_to: str | None = None) -> Envelope:
    return Envelope(event, message_id, "/tests/deploy", datetime.now(UTC), reply_to=reply_to)


def events_of(user: str) -> Sequence[Event]:
    """One of each event that the service publishes, with the minimum that determines its subject."""
    kinds: dict[str, list[type[Event]]] = {
        "ingest": [JobStarted, JobStopped, NodesReported, IntakeRejected, IntakeReplayed],
        "archiver": [
            *(JobArchived, JobArchivingFailed, JobArchiveRequested, JobsMeasured, JobAdvised, ApplicationsDetected, JobDeleted),
            NodesChecked,
        ],
        "gateway": [
            *(JobStarted, JobStopped, JobTagged, JobUntagged, TagCreated, TagRemoved),
            *(JobMetadataEdited, JobAdviceMuted, JobDeleted, JobArchiveRequested, NodesReported, IntakeRejected),
            *(RejectionsDismissed, RefusalsDismissed),
        ],
        "operator": [JobImported, JobArchiveRequested, JobStarted, IntakeRejected, TagCreated],
        "jobstore": [HousekeepingDue, RejectionsDue, JobArchiveRequested],
        "adapter": [],
    }
    return [kind.model_construct(cluster="fritz", tag=Tag(type="t", name="n")) for kind in kinds[user]]


async def provisioned(broker: Broker) -> None:
    async with broker.connected("operator") as (client, complaints):
        await provision(client, broker.settings("operator"))
        assert await provision(client, broker.settings("operator")) == []
        await add_cluster(client, broker.settings("operator"), CLUSTER)
        assert complaints == []


CLUSTER = (ROOT / "deploy" / "smoke-cluster.json").read_bytes()


async def refused(client: Client, subject: str, complaints: list[str]) -> bool:
    """Whether the broker keeps ``client`` from publishing to ``subject``."""
    await client.publish(subject, b"{}")
    return await complained(client, complaints)


async def complained(client: Client, complaints: list[str]) -> bool:
    """Whether the broker refused the last message; its error may arrive shortly after the round trip."""
    await client.flush()
    try:
        async with asyncio.timeout(COMPLAINT_WAIT_S):
            while not complaints:
                await asyncio.sleep(0.005)
    except TimeoutError:
        return False
    return "permissions violation" in complaints[-1]


@pytest.mark.parametrize("user", ["ingest", "archiver", "gateway", "operator"])
async def test_users_that_need_the_clusters_can_read_them(broker: Broker, user: str) -> None:
    await provisioned(broker)
    async with broker.connected(user) as (client, complaints):
        directory = ClusterDirectory(client, broker.settings(user))
        assert await directory.refresh()
        assert list(directory) == ["smoke"]
        assert complaints == []


@pytest.mark.parametrize("user", ["ingest", "jobstore", "archiver", "gateway", "operator"])
async def test_each_publisher_publishes_its_events(broker: Broker, user: str) -> None:
    await provisioned(broker)
    async with broker.connected(user) as (client, complaints):
        publisher = Publisher(client, PREFIX)
        for number, event in enumerate(events_of(user)):
            assert await publisher.publish([envelope(event, message_id=str(number))], deadline_s=30)
        assert complaints == []


@pytest.mark.parametrize(
    ("user", "stream", "subject"), [("ingest", "INTAKE", "cc.job.event"), ("archiver", "EVENTS", "jobtide.job.stopped.x")]
)
async def test_a_work_queue_is_created_read_and_acknowledged_by_its_owner(broker: Broker, user: str, stream: str, subject: str) -> None:
    await provisioned(broker)
    filters = ("cc.job.event", "cc.node.state") if user == "ingest" else ("jobtide.job.stopped.>", "jobtide.job.archive_requested.>")
    queue = Durable(stream, user, filters, ack_wait_s=30, max_ack_pending=10)
    async with broker.connected("operator") as (operator, _), broker.connected(user) as (client, complaints):
        await operator.jetstream().publish(subject, b"raw")
        js = client.jetstream(timeout=20)
        assert (await log_state(client, stream)).last_sequence == 1
        assert await ensure_consumer(js, queue) == "created"
        assert await ensure_consumer(js, queue) is None
        subscription = await js.pull_subscribe_bind(durable=user, stream=stream)
        (message,) = await subscription.fetch(1, timeout=20)
        await message.in_progress()
        await message.nak()
        (message,) = await subscription.fetch(1, timeout=20)
        await message.ack_sync()
        one_filter = Durable(stream, user, filters[:1], ack_wait_s=20, max_ack_pending=10)
        assert await ensure_consumer(js, one_filter) == "updated"
        assert complaints == []


async def test_ingest_records_how_far_its_queue_is(broker: Broker) -> None:
    await provisioned(broker)
    queue = Durable("INTAKE", "ingest", ("cc.job.event", "cc.node.state"), ack_wait_s=30, max_ack_pending=10)
    async with broker.connected("operator") as (operator, _), broker.connected("ingest") as (client, complaints):
        await operator.jetstream().publish("cc.job.event", b"raw")
        js, progress = client.jetstream(timeout=20), Progress(client, NatsSettings(), queue)
        assert await ensure_consumer(js, queue, progress.first_unfinished) == "created"
        (message,) = await (await js.pull_subscribe_bind(durable="ingest", stream="INTAKE")).fetch(1, timeout=20)
        await message.ack_sync()
        reports: list[Removed] = []

        async def report(removed: Removed) -> None:
            reports.append(removed)

        await progress.advance(report)
        assert await progress.first_unfinished() == 2
        await operator.jetstream().publish("cc.job.event", b"raw")
        await operator.jetstream().purge_stream("INTAKE")
        await progress.advance(report)
        assert [(removed.first, removed.last) for removed in reports] == [(2, 2)]
        assert complaints == []


@pytest.mark.parametrize("user", ["jobstore", "operator"])
async def test_the_projection_reads_every_log_from_its_own_position(broker: Broker, user: str) -> None:
    await provisioned(broker)
    async with broker.connected("ingest") as (ingest, _), broker.connected(user) as (client, complaints):
        publisher = Publisher(ingest, PREFIX)
        for event in events_of("ingest"):
            await publisher.publish([envelope(event, message_id=event.name)], deadline_s=30)
        for stream, count in (("EVENTS", 2), ("NODES", 1), ("REJECTIONS", 2)):
            assert (await log_state(client, stream)).last_sequence == count
            async with read_from(client, stream, 1) as cursor, asyncio.timeout(30):
                seen = 0
                while seen < count:
                    seen += len(await cursor.batch(100))
                assert seen == count
        assert complaints == []


async def test_the_gateway_gets_outcomes_from_jobstore(broker: Broker) -> None:
    await provisioned(broker)
    async with broker.connected("jobstore") as (jobstore, complaints), broker.connected("gateway") as (gateway, more):
        inbox = gateway.new_inbox()
        (stop, *_) = [event for event in events_of("gateway") if isinstance(event, JobStopped)]
        waiting = asyncio.create_task(publish_and_wait(gateway, Publisher(gateway, PREFIX), [envelope(stop, reply_to=inbox)], timeout_s=5))
        async with read_from(jobstore, "EVENTS", 1) as cursor:
            async with asyncio.timeout(30):
                while not await cursor.batch(1):
                    pass
            await jobstore.publish(inbox, Outcome(sequence=1, kind="applied", job=1).model_dump_json().encode())
        assert [outcome.kind for outcome in await waiting] == ["applied"]
        for stream, consumer in (("INTAKE", "ingest"), ("EVENTS", "archiver")):
            await gateway.jetstream(timeout=20).stream_info(stream)
            with pytest.raises(NotFoundError):
                await gateway.jetstream(timeout=20).consumer_info(stream, consumer)
        assert complaints == more == []


async def test_the_gateway_hears_the_health_of_each_service_and_nobody_reports_for_another(broker: Broker) -> None:
    services = ["ingest", "jobstore", "archiver", "metricstore", "gateway"]
    async with AsyncExitStack() as stack:
        gateway, refusals = await stack.enter_async_context(broker.connected("gateway"))
        heard = await gateway.subscribe(f"{PREFIX}.health.*")
        await gateway.flush()
        for service in services:
            client, complaints = await stack.enter_async_context(broker.connected(service))
            async with reporting(client, broker.settings(service), Health(service)):
                assert report_subject(broker.settings(service), service) == (await heard.next_msg(timeout=20)).subject
            assert b'"has_ended":true' in (await heard.next_msg(timeout=20)).data
            assert complaints == []
            other = services[services.index(service) - 1]
            assert await refused(client, f"{PREFIX}.health.{other}", complaints)
        assert all("health" in refusal for refusal in refusals)  # its own report for another


async def test_the_gateway_reads_when_each_cluster_last_had_an_event(broker: Broker) -> None:
    await provisioned(broker)
    async with broker.connected("ingest") as (ingest, _), broker.connected("gateway") as (gateway, complaints):
        nats = broker.settings("gateway")
        assert await last_events(gateway, nats, ["fritz"], timeout_s=20) == [LastEvents("fritz", None, None)]
        for event in events_of("ingest"):
            await Publisher(ingest, PREFIX).publish([envelope(event, message_id=event.name)], deadline_s=30)
        (of_alex, of_fritz) = await last_events(gateway, nats, ["fritz", "alex"], timeout_s=20)
        assert of_alex == LastEvents("alex", None, None)
        assert of_fritz.job_at is not None
        assert of_fritz.nodes_at is not None
        assert complaints == []
        assert await refused(gateway, "$JS.API.DIRECT.GET.EVENTS.jobtide.tag.created", complaints)


async def test_the_adapter_publishes_to_the_intake_and_may_have_it_acknowledged(broker: Broker) -> None:
    await provisioned(broker)
    async with broker.connected("adapter") as (adapter, complaints), broker.connected("operator") as (operator, _):
        await adapter.publish("cc.job.event", b"job")
        await adapter.publish("cc.node.state", b"node")
        acknowledgement = await adapter.request("cc.job.event", b"job", timeout=20)
        assert b'"INTAKE"' in acknowledgement.data
        assert (await operator.jetstream().stream_info("INTAKE")).state.messages == 3
        assert complaints == []


@pytest.mark.parametrize(
    "subject",
    [
        "jobtide.job.started.fritz",
        "jobtide.intake.rejected",
        "cc.job.other",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.INTAKE",
        "$JS.API.STREAM.PURGE.INTAKE",
        "$JS.API.CONSUMER.CREATE.EVENTS",
        "$JS.ACK.INTAKE.ingest.1.1.1.1.1",
        "$KV.clusters.fritz",
        "$SYS.REQ.SERVER.PING",
        "_INBOX.any",
    ],
)
async def test_the_adapter_may_publish_nowhere_else(broker: Broker, subject: str) -> None:
    async with broker.connected("adapter") as (adapter, complaints):
        assert await refused(adapter, subject, complaints)


@pytest.mark.parametrize("subject", ["cc.job.event", "jobtide.>", "_INBOX.>", ">"])
async def test_the_adapter_reads_nothing(broker: Broker, subject: str) -> None:
    async with broker.connected("adapter") as (adapter, complaints):
        await adapter.subscribe(subject)
        assert await complained(adapter, complaints)


@pytest.mark.parametrize("header", [None, "Nats-Trace-Dest"], ids=["reply", "trace"])
async def test_an_adapter_cannot_have_the_broker_write_into_the_log_for_it(broker: Broker, header: str | None) -> None:
    """The broker publishes acknowledgements and traces to subjects chosen by the publisher."""
    await provisioned(broker)
    targets = ("jobtide.job.started.fritz", "$KV.clusters.fritz", "$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.DELETE.NODES")
    async with broker.connected("operator") as (operator, _), broker.connected("adapter") as (adapter, _):
        js = operator.jetstream()
        await Publisher(operator, PREFIX).publish([envelope(events_of("operator")[0])])
        streams = ("EVENTS", "NODES", "KV_clusters")
        before = [(await js.stream_info(stream)).state for stream in streams]
        for target in targets:
            if header is None:
                await adapter.publish("cc.job.event", b"x", reply=target)
            else:
                await adapter.publish("cc.job.event", b"x", headers={header: target})
        await adapter.request("cc.job.event", b"last", timeout=20)
        assert [(await js.stream_info(stream)).state for stream in streams] == before


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("ingest", "jobtide.job.deleted.fritz"),
        ("ingest", "$KV.clusters.fritz"),
        ("ingest", "$JS.API.STREAM.PURGE.INTAKE"),
        ("ingest", "$JS.API.CONSUMER.DELETE.INTAKE.ingest"),
        ("ingest", "$JS.API.CONSUMER.CREATE.EVENTS"),
        ("jobstore", "jobtide.job.started.fritz"),
        ("jobstore", "cc.job.event"),
        ("jobstore", "jobtide.intake.rejected"),
        ("jobstore", "$JS.API.STREAM.UPDATE.EVENTS"),
        ("jobstore", "$JS.API.CONSUMER.DELETE.EVENTS.archiver"),
        ("jobstore", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.archiver"),
        ("archiver", "jobtide.job.started.fritz"),
        ("archiver", "$JS.API.CONSUMER.MSG.NEXT.INTAKE.ingest"),
        ("archiver", "$JS.API.STREAM.DELETE.EVENTS"),
        ("gateway", "jobtide.job.imported.fritz"),
        ("gateway", "jobtide.job.a_later_event.fritz"),
        ("gateway", "jobtide.tag.a_later_event"),
        ("gateway", "_INBOX.jobstore.1"),
        ("jobstore", "_INBOX.archiver.1"),
        ("jobstore", "_INBOX.1"),
        ("gateway", "jobtide.job.archived.fritz"),
        ("gateway", "jobtide.job.measured.fritz"),
        ("gateway", "jobtide.intake.a_later_event"),
        ("gateway", "jobtide.intake.replayed"),
        ("gateway", "cc.job.other"),
        ("gateway", "$JS.API.STREAM.PURGE.INTAKE"),
        ("gateway", "$KV.clusters.fritz"),
        ("gateway", "$JS.API.STREAM.DELETE.EVENTS"),
        ("gateway", "$JS.API.CONSUMER.MSG.NEXT.INTAKE.ingest"),
    ],
)
async def test_a_service_may_not_do_the_work_of_another(broker: Broker, user: str, subject: str) -> None:
    async with broker.connected(user) as (client, complaints):
        assert await refused(client, subject, complaints)


@pytest.mark.parametrize("user", [user for user in USERS if user != "adapter"])
@pytest.mark.parametrize("subject", ["_INBOX.>", "_INBOX.*.>", ">", "cc.job.event"])
async def test_no_user_can_read_the_answers_of_another(broker: Broker, user: str, subject: str) -> None:
    async with broker.connected(user) as (client, complaints):
        await client.subscribe(f"_INBOX.{user}.>")
        await client.flush()
        assert complaints == []
        await client.subscribe(subject)
        assert await complained(client, complaints)


@pytest.mark.parametrize("prefix", ["_INBOX.adapter", "_INBOX_adapter"])
async def test_an_adapter_is_acknowledged_at_either_inbox(broker: Broker, prefix: str) -> None:
    await provisioned(broker)
    client = Client()
    await client.connect(**connect_options(broker.settings("adapter"), "test") | {"inbox_prefix": prefix})
    try:
        assert b'"INTAKE"' in (await client.request("cc.job.event", b"job", timeout=20)).data
    finally:
        await client.close()


@pytest.mark.parametrize("configuration", [(ROOT / "deploy" / "nats.conf").read_text(), CONFIGURATION], ids=["deployed", "embedded"])
def test_the_log_is_synced_ten_times_a_second(configuration: str) -> None:
    """By default it is synced every two minutes, while the databases are synced within a second."""
    assert re.findall(r"^ *sync_interval: (\S+)$", configuration, re.MULTILINE) == ['"100ms"']


def test_the_accounts_are_those_of_the_embedded_broker() -> None:
    """Bring the file up to date with ``python -m cli.embedded.accounts``."""
    assert (ROOT / "deploy" / "nats.conf").read_text().endswith(accounts(NatsSettings(), variables()))


async def test_a_request_that_is_not_allowed_has_no_effect(broker: Broker) -> None:
    await provisioned(broker)
    async with broker.connected("gateway") as (gateway, _), broker.connected("operator") as (operator, _):
        with pytest.raises((NatsTimeoutError, TimeoutError)):
            await gateway.request("$JS.API.STREAM.DELETE.EVENTS", b"", timeout=FORBIDDEN_WAIT_S)
        assert await operator.jetstream().stream_info("EVENTS")


async def test_a_wrong_password_is_refused(broker: Broker) -> None:
    wrong = Broker(broker.url, dict.fromkeys(USERS, "wrong"), broker.log_file)
    with pytest.raises(UserError, match="refuses user 'operator'"):
        await dial(wrong.settings("operator"), "test")
