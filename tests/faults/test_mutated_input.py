"""No input stops ingest: every line becomes an event or a rejection."""

import gc
from collections import Counter
from datetime import UTC, datetime

import psutil
import pytest

from services.ingest.translate import IntakeSubjects, RawMessage, Translator
from shared.broker.cursor import log_state, read_from
from shared.broker.envelope import Envelope, read
from shared.broker.streams import LOGS
from shared.domain import reasons
from shared.domain.events import IntakeRejected, JobStarted
from shared.domain.recorded import IntakeOrigin, Recorded
from shared.settings import DatabaseSettings, NatsSettings
from tests.support.builders import start_line
from tests.support.clusters import sample_clusters
from tests.support.databases import dump
from tests.support.mutations import mutated_lines
from tests.support.nats import client_of, publish
from tests.support.processes import ServiceRunner
from tests.support.verdict import settled

LINES = 200_000
WARM_UP = 40_000
MAX_GROWTH = 24 * 1024 * 1024
RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)


def _translate(translator: Translator, sequence: int, data: bytes) -> list[Envelope]:
    subject = "cc.node.state" if data.startswith(b"nodestate") else "cc.job.event"
    return translator.translate(RawMessage(subject, data, "INTAKE@now", sequence, RECEIVED))


def _is_blank(data: bytes) -> bool:
    """Whether the payload has only comments and empty lines."""
    return all(not line.strip(b" \r") or line.strip(b" \t").startswith(b"#") for line in data.split(b"\n"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_mutated_lines_become_events_or_rejections_in_bounded_memory() -> None:
    translator = Translator(IntakeSubjects(NatsSettings()), sample_clusters(), 8 * 1024 * 1024)
    process = psutil.Process()
    outcomes: Counter[str] = Counter()
    before = 0
    for number, data in enumerate(mutated_lines(seed=3, count=LINES), start=1):
        envelopes = _translate(translator, number, data)
        assert envelopes or not data or _is_blank(data), f"line {number} vanished: {data!r}"
        for envelope in envelopes:
            outcomes[envelope.event.code if isinstance(envelope.event, IntakeRejected) else envelope.event.name] += 1
            stored = read(number, envelope.headers(), envelope.body(), RECEIVED)
            assert isinstance(stored, Recorded), f"line {number} made an event that cannot be read: {data!r}"
        if number == WARM_UP:
            gc.collect()
            before = process.memory_info().rss
    gc.collect()
    growth = process.memory_info().rss - before
    assert outcomes[reasons.INTERNAL] == 0, outcomes
    assert growth < MAX_GROWTH, f"{growth / 1024 / 1024:.1f} MiB more after {LINES - WARM_UP} lines"
    assert outcomes["job.started"] > LINES / 100
    assert outcomes["job.stopped"] > LINES / 100
    assert len(outcomes) > 12, outcomes


def test_a_payload_that_is_not_utf8_is_accepted_with_replaced_bytes() -> None:
    translator = Translator(IntakeSubjects(NatsSettings()), sample_clusters(), 8 * 1024 * 1024)
    (envelope,) = _translate(translator, 1, start_line(1, user="ali-ce").replace(b"ali-ce", b"ali\xe2ce"))
    assert isinstance(envelope.event, JobStarted)
    assert envelope.event.user == "ali\ufffdce"
    assert [oddity.code for oddity in envelope.event.oddities] == ["not_utf8"]


THROUGH_THE_BROKER = 6000
LARGEST = 8 * 1024 * 1024


async def _origins(site: NatsSettings) -> set[int]:
    """The intake sequences with an event or rejection in the log."""
    found = set()
    async with client_of(site) as client:
        for stream in LOGS:
            last = (await log_state(client, site.stream(stream))).last_sequence
            async with read_from(client, site.stream(stream), 1) as cursor:
                at = 0
                while at < last:
                    for record in await cursor.batch(1000):
                        at = record.sequence
                        origin = IntakeOrigin.of(record.message_id) if isinstance(record, Recorded) else None
                        if origin is not None:
                            found.add(origin.sequence)
    return found


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_mutated_messages_give_the_same_rows_in_both_databases(
    service: ServiceRunner, site: NatsSettings, sqlite_database: DatabaseSettings, postgres_database: DatabaseSettings
) -> None:
    large = start_line(77, metaData={"jobScript": "x" * (LARGEST - 100_000)})
    cut = start_line(78, metaData={"jobScript": "x" * (LARGEST - 1000)})  # the event has more fields and headers: it must shrink
    messages = [*mutated_lines(seed=8, count=THROUGH_THE_BROKER), large, cut]
    ingest = await service.start("ingest", site)
    jobstores = [await service.start("jobstore", site, database) for database in (sqlite_database, postgres_database)]
    for part in (messages[at : at + 500] for at in range(0, len(messages), 500)):
        await publish(site, *part)
    for database in (sqlite_database, postgres_database):
        await settled(site, database, published=len(messages))

    expected = {number for number, data in enumerate(messages, start=1) if not _is_blank(data)}
    assert expected - await _origins(site) == set()
    for process in (ingest, *jobstores):
        assert await process.terminate() == 0
        assert [line for line in process.log_lines() if line["level"] == "error"] == []
    rows = await dump(sqlite_database)
    assert len(rows["job"]) > THROUGH_THE_BROKER / 100
    assert {row[1] for row in rows["job"]} & {77, 78} == {77, 78}
    assert rows == await dump(postgres_database)
