"""Jobs whose stop is no longer in the log, as after `provision --continue-log`: their archiving is requested again."""

from datetime import UTC, datetime

import structlog

from services.archiver.jobs import JobReader
from shared.broker.cursor import LogState
from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import JobArchiveRequested

log = structlog.get_logger()

JOBS_PER_CHUNK = 500


async def request_lost_stops(reader: JobReader, publisher: Publisher, state: LogState) -> int:
    """Publish JobArchiveRequested for stopped jobs that wait to be archived and whose stop is before the log's first event.

    Returns the number of jobs. Replicas use the same message ids. Raises Unavailable.
    """
    if state.first_sequence <= 1:
        return 0
    after, count = 0, 0
    while jobs := await reader.stopped_before(state.first_sequence, after, limit=JOBS_PER_CHUNK):
        now = datetime.now(UTC)
        await publisher.publish(
            [
                Envelope(JobArchiveRequested(id=id_, cluster=cluster), f"lost-stop:{id_}:{state.created}", "jobtide/archiver", now)
                for id_, cluster in jobs
            ]
        )
        after, count = jobs[-1][0], count + len(jobs)
    if count:
        log.warning("lost_stops_requested", jobs=count, first_sequence=state.first_sequence)
    return count
