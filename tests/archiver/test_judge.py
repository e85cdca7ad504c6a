"""The verdict on each event, as a table."""

from typing import Any

import pytest

from services.archiver.jobs import Found, JobRecord
from services.archiver.judge import Annotate, Archive, Later, Nothing, RemoveTag, judge
from shared.domain.events import Event, JobArchiveRequested, JobDeleted, JobMetadataEdited, JobTagged, Tag, TagRemoved
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import Refused
from tests.archiver.site import job_row
from tests.support.builders import job_stopped

STOP = job_stopped(1)
REQUEST = JobArchiveRequested(id=7, cluster="fritz")
TAGGED = JobTagged(id=7, cluster="fritz", tags=[])
EDITED = JobMetadataEdited(id=7, cluster="fritz", key="a", value="b")


def found(*, parked: bool = False, **columns: Any) -> Found:
    record = JobRecord(job_row(7, stop_seq=5, **columns), ())
    exists = columns or not parked
    return Found({5: record} if exists else {}, frozenset({5} if parked else ()), {7: record} if exists else {})


NOBODY = Found({}, frozenset(), {})


@pytest.mark.parametrize(
    ("event", "rows", "verdict"),
    [
        (STOP, found(), Archive),
        (STOP, found(monitoring_status=3), Archive),
        (STOP, found(monitoring_status=2), Nothing),
        (STOP, found(monitoring_status=0), Nothing),
        (STOP, found(parked=True), Later),
        (STOP, NOBODY, Nothing),
        (REQUEST, found(), Archive),
        (REQUEST, found(monitoring_status=3), Archive),
        (REQUEST, found(job_state="running"), Nothing),
        (REQUEST, NOBODY, Nothing),
        (TAGGED, found(monitoring_status=3), Annotate),
        (EDITED, found(monitoring_status=3), Annotate),
        (TAGGED, found(monitoring_status=1), Annotate),
        (TAGGED, found(monitoring_status=2), Annotate),
        (TAGGED, found(monitoring_status=0), Annotate),
        (TAGGED, found(job_state="running"), Nothing),
        (TAGGED, NOBODY, Nothing),
        (TagRemoved(tag=Tag(type="t", name="n")), NOBODY, RemoveTag),
        (JobDeleted(id=7, cluster="fritz"), found(), Nothing),
    ],
)
def test_the_verdict_on_an_event(event: Event, rows: Found, verdict: type) -> None:
    assert type(judge(Recorded(5, event, 0.0), 1, rows)) is verdict


def test_an_archived_job_with_a_complete_entry_is_not_written_again() -> None:
    assert judge(Recorded(5, STOP, 0.0), 1, found(monitoring_status=3)) == Archive(found(monitoring_status=3).by_id[7], is_archived=True)


def test_an_unreadable_event_is_acknowledged() -> None:
    assert isinstance(judge(Unreadable(5, 0.0, Refused("unreadable_event", "?"), ""), 1, NOBODY), Nothing)


def test_pauses_of_a_parked_stop_grow() -> None:
    pauses = [judge(Recorded(5, STOP, 0.0), times, found(parked=True)) for times in range(1, 10)]
    assert [verdict.pause_s for verdict in pauses if isinstance(verdict, Later)] == [1, 2, 4, 8, 15, 30, 30, 30, 30]
