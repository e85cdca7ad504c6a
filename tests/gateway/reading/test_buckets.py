"""Hours, days and months of a time zone, and bins of values."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from services.gateway.errors import RequestError
from services.gateway.graphql.fields.timeline import zone_of
from services.gateway.reading.buckets import MAX_BUCKETS, Bin, bounds
from services.gateway.reading.distribution import Axis
from shared.domain.values import TIME_MAX

BERLIN = ZoneInfo("Europe/Berlin")


def stamp(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("bin_", "zone", "first", "last", "expected"),
    [
        ("month", "UTC", "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z", ["2026-11-01T00Z", "2026-12-01T00Z", "2027-01-01T00Z"]),
        ("month", "Europe/Berlin", "2026-10-31T23:00:00Z", "2026-10-31T23:00:00Z", ["2026-11-01T00+01:00", "2026-12-01T00+01:00"]),
        ("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T12:00:00Z", ["2026-10-25T00+02:00", "2026-10-26T00+01:00"]),
        ("day", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T21:59:59Z", ["2026-03-29T00+01:00", "2026-03-30T00+02:00"]),
        ("day", "America/Sao_Paulo", "2018-11-04T04:00:00Z", "2018-11-04T04:00:00Z", ["2018-11-04T03Z", "2018-11-05T02Z"]),
        ("day", "Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-30T12:00:00Z", ["2011-12-29T10Z", "2011-12-30T10Z", "2011-12-31T10Z"]),
        ("hour", "Asia/Kolkata", "2026-11-30T10:00:00Z", "2026-11-30T10:29:59Z", ["2026-11-30T09:30Z", "2026-11-30T10:30Z"]),
        ("hour", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", ["2026-10-25T00Z", "2026-10-25T01Z", "2026-10-25T02Z"]),
    ],
)  # fmt: skip
def test_buckets_begin_at_the_hours_midnights_and_months_of_the_zone(
    bin_: Bin, zone: str, first: str, last: str, expected: list[str]
) -> None:
    assert bounds(stamp(first), stamp(last), bin_, ZoneInfo(zone)) == [stamp(text) for text in expected]


@pytest.mark.parametrize("bin_", ["hour", "day", "month"])
def test_the_number_of_buckets_is_bounded(bin_: Bin) -> None:
    width = {"hour": 3600, "day": 86_400, "month": 31 * 86_400}[bin_]
    assert len(bounds(0, (MAX_BUCKETS - 20) * width, bin_, BERLIN)) <= MAX_BUCKETS + 1
    for last in ((MAX_BUCKETS + 50) * width, TIME_MAX):
        with pytest.raises(RequestError, match="bin: more than 1000 buckets"):
            bounds(0, last, bin_, BERLIN)


def test_times_outside_of_the_calendar_are_an_error() -> None:
    with pytest.raises(RequestError, match="outside of the calendar"):
        bounds(TIME_MAX, TIME_MAX, "month", BERLIN)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "../../etc/passwd", "", "Europe", "\0"])
def test_an_unknown_zone_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(RequestError, match="zone: "):
        zone_of(name)


@pytest.mark.parametrize("low", [-5.0, -0.5, 0.0, 0.5, 1e9])
@pytest.mark.parametrize("largest", [None, -1e12])
def test_bins_rise_from_any_lower_end_although_no_job_has_a_larger_value(low: float, largest: float | None) -> None:
    edges = Axis("duration", 4, low).edges(largest)
    assert (len(edges), edges[0], edges == sorted(set(edges))) == (5, low, True)
