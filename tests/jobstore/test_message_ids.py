"""Rejections across a change of the format of message ids: the same input is rejected once, and no other input is lost."""

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.domain import reasons
from shared.domain.events import IntakeRejected
from shared.domain.recorded import IntakeOrigin, without_stored_time
from shared.settings import DatabaseSettings
from tests.jobstore.logs import RECEIVED, apply, record
from tests.support.builders import START_TIME, job_started
from tests.support.databases import query

NEW = IntakeOrigin("INTAKE@2026-01-01T00:00:00+00:00", 77, 3, 1_767_323_045_000_001).message_id()
OLD = without_stored_time(NEW)
REJECTED = IntakeRejected(code=reasons.LINE_PROTOCOL, text="x", subject="cc.job.event", stream="INTAKE", sequence=77, line=3, excerpt="x")


async def origins(database: DatabaseSettings) -> list[str]:
    return [row[0] for row in await query(database, "SELECT origin FROM rejection ORDER BY seq")]


async def test_a_message_read_before_and_after_an_upgrade_has_one_rejection(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [record(1, REJECTED, message_id=OLD)], [record(2, REJECTED, message_id=NEW)], [record(3, REJECTED, message_id=NEW)])
    assert await origins(database) == [OLD]


async def test_a_message_read_twice_within_a_batch_has_one_rejection(engine: AsyncEngine, database: DatabaseSettings) -> None:
    await apply(engine, [record(1, REJECTED, message_id=OLD), record(2, REJECTED, message_id=NEW)])
    assert await origins(database) == [OLD]


async def test_a_start_refused_before_and_after_an_upgrade_is_rejected_once(engine: AsyncEngine, database: DatabaseSettings) -> None:
    again = job_started(5, start_time=START_TIME + 60)
    await apply(engine, [record(1, job_started(5)), record(2, again, message_id=OLD)], [record(3, again, message_id=NEW)])
    assert len(await origins(database)) <= 1


async def test_a_message_of_a_restored_intake_has_its_own_rejection(engine: AsyncEngine, database: DatabaseSettings) -> None:
    later = IntakeOrigin("INTAKE@2026-01-01T00:00:00+00:00", 77, 3, 1_767_323_999_000_000).message_id()
    await apply(engine, [record(1, REJECTED, message_id=OLD)], [record(2, REJECTED, at=RECEIVED + 60, message_id=later)])
    assert await origins(database) == [OLD, later]


async def test_a_message_of_a_restored_intake_has_its_own_rejection_if_both_ids_have_stored_times(
    engine: AsyncEngine, database: DatabaseSettings
) -> None:
    later = IntakeOrigin("INTAKE@2026-01-01T00:00:00+00:00", 77, 3, 1_767_323_999_000_000).message_id()
    await apply(engine, [record(1, REJECTED, message_id=NEW), record(2, REJECTED, at=RECEIVED + 60, message_id=later)])
    assert await origins(database) == [NEW, later]
