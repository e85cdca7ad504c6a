"""Decoding metric lines to samples, each line independently."""

import itertools
import math

import psutil
import pytest

from services.metricstore.catalogue import Catalogue, Series
from services.metricstore.lines import REASONS, Decoder, Samples, Source
from shared.domain.clusters import read_cluster
from tests.metricstore.site import cluster_text
from tests.support.mutations import mutations_of

RECEIVED = 1_760_000_000
ANY = Source()
METRICS = {"cpu_load": (60, "avg"), "flops_any": (60, "sum"), "net_rx": (10, "sum")}


def catalogue(max_series: int = 1000) -> Catalogue:
    found = Catalogue(max_series)
    found.configure({name: read_cluster(cluster_text(name, METRICS)) for name in ("nova", "luna")})
    return found


def decode(text: str | bytes, source: Source = ANY, max_series: int = 1000) -> tuple[Samples, list[Series]]:
    """Returns the samples, and the series of each."""
    found = catalogue(max_series)
    samples = Samples()
    Decoder(found).decode(text.encode() if isinstance(text, str) else text, source, RECEIVED, samples)
    return samples, [found.series[number] for number in samples.numbers]


@pytest.mark.parametrize(
    ("line", "value", "time"),
    [
        ("cpu_load,cluster=nova,hostname=n1 value=1.5 1760000060", 1.5, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1,type=node value=5i 1760000060", 5, 1_760_000_060),
        ("cpu_load,hostname=n1,cluster=nova value=5u 1760000060\r", 5, 1_760_000_060),
        ("  cpu_load,cluster=nova,host=n1   value=1e3   1760000060  ", 1000, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1 value=1_000 1760000060", 1000, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1 value=1,value=2 1760000060", 2, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1,unit= value=1 1760000060", 1, 1_760_000_060),
        (r"cpu_load,cluster=nova,hostname=n1,disk=My\ Disk\,\ old value=1 1760000060", 1, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1 value=1 1760000060123", 1, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1 value=1 1760000060123456", 1, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1 value=1 1760000060123456789", 1, 1_760_000_060),
        ("cpu_load,cluster=nova,hostname=n1 value=1", 1, RECEIVED),
        ("cpu_load,cluster=nova,hostname=n1 value=-.5 1760000060", -0.5, 1_760_000_060),
    ],
)
def test_a_line_is_a_sample(line: str, value: float, time: int) -> None:
    samples, (series,) = decode(line)
    assert (samples.values, samples.times) == ([value], [time])
    assert (series.cluster, series.metric, series.host, series.part.place) == ("nova", "cpu_load", "n1", ("", ""))


@pytest.mark.parametrize(
    ("tags", "place"),
    [
        ("type=node", ("", "")),
        ("type=node,type-id=0", ("", "")),
        ("type-id=3", ("", "")),
        ("type=socket,type-id=1", ("socket1", "")),
        ("type-id=17,type=hwthread", ("hwthread17", "")),
        ("type=accelerator,type-id=00000000:3B:00.0", ("accelerator00000000:3B:00.0", "")),
        ("type=node,stype=network,stype-id=ib0", ("", "networkib0")),
        ("type=socket,type-id=1,stype=hbm,stype-id=2", ("socket1", "hbm2")),
    ],
)
def test_the_tags_give_the_part_of_a_host(tags: str, place: tuple[str, str]) -> None:
    _, (series,) = decode(f"net_rx,cluster=nova,hostname=n1,{tags} value=1 1760000060")
    assert series.part.place == place


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cpu_load,cluster=nova,hostname=n1", "field"),
        ("cpu_load,cluster=nova,hostname=n1 other=1 1760000060", "field"),
        ("cpu_load,cluster=nova,hostname=n1 value=1,other=2 1760000060", "field"),
        ("cpu_load,cluster=nova,hostname=n1 value=true 1760000060", "value"),
        ('cpu_load,cluster=nova,hostname=n1 value="text" 1760000060', "value"),
        ("cpu_load,cluster=nova,hostname=n1 value= 1760000060", "value"),
        ("cpu_load,cluster=nova,hostname=n1 value=0x5 1760000060", "value"),
        ("cpu_load,cluster=nova,hostname=n1 value=1 soon", "time"),
        ("cpu_load,cluster=nova,hostname=n1 value=1 1760000060.5", "time"),
        ("cpu_load,cluster=nova,hostname=n1 value=1 1760000060 more", "time"),
        ("cpu_load,cluster=nova,hostname=n1 value=1 17600000601234567890123", "time"),
        ("cpu_load,cluster=nova,hostname value=1 1760000060", "syntax"),
        (",cluster=nova,hostname=n1 value=1 1760000060", "syntax"),
        ("cpu_load,hostname=n1 value=1 1760000060", "no_cluster"),
        ("cpu_load,cluster=vega,hostname=n1 value=1 1760000060", "unknown_cluster"),
        ("banana,cluster=nova,hostname=n1 value=1 1760000060", "unknown_metric"),
        ("cpu_load,cluster=nova value=1 1760000060", "no_host"),
        ("cpu_load,cluster=nova,hostname=../n1 value=1 1760000060", "bad_name"),
        ("cpu_load,cluster=nova,hostname=a/b value=1 1760000060", "bad_name"),
        (f"cpu_load,cluster=nova,hostname={'n' * 300} value=1 1760000060", "bad_name"),
    ],
)
def test_a_bad_line_does_not_affect_others(line: str, reason: str) -> None:
    good = "cpu_load,cluster=nova,hostname=n{} value={} 1760000060"
    samples, series = decode("\n".join([good.format(1, 1), line, "", "# a comment", good.format(2, 2)]))
    assert samples.refused == {reason: 1}
    assert reason in REASONS
    assert [one.host for one in series] == ["n1", "n2"]


def test_bytes_that_are_not_text_are_refused() -> None:
    samples, _ = decode(b"cpu_load,cluster=nova,hostname=n\xfc value=1 1760000060\n")
    assert samples.refused == {"syntax": 1}
    assert samples.mistake == "line 1: not UTF-8"


def test_no_number_is_decoded_as_one() -> None:
    samples, _ = decode("cpu_load,cluster=nova,hostname=n1 value=NaN 1\ncpu_load,cluster=nova,hostname=n1 value=-inf 2")
    assert math.isnan(samples.values[0])
    assert samples.values[1] == -math.inf


def test_the_subject_gives_the_cluster_of_lines_without_the_tag() -> None:
    lines = "cpu_load,hostname=n1 value=1 1760000060\ncpu_load,hostname=n1,cluster=luna value=1 1760000060"
    _, series = decode(lines, Source("nova"))
    assert [one.cluster for one in series] == ["nova", "luna"]


def test_a_binding_subject_refuses_lines_of_other_clusters() -> None:
    lines = "cpu_load,hostname=n1 value=1 1760000060\ncpu_load,hostname=n1,cluster=luna value=1 1760000060"
    samples, series = decode(lines, Source("nova", is_binding=True))
    assert [one.cluster for one in series] == ["nova"]
    assert samples.refused == {"foreign_cluster": 1}


def test_the_number_of_series_is_bounded() -> None:
    samples, series = decode("\n".join(f"cpu_load,cluster=nova,hostname=n{n} value=1 1760000060" for n in range(5)), max_series=3)
    assert len(series) == 3
    assert samples.refused == {"too_many_series": 2}


def test_a_series_that_had_no_room_gets_none_in_the_index_either() -> None:
    found = catalogue(max_series=1)
    Decoder(found).decode(
        b"\n".join(b"cpu_load,cluster=nova,hostname=n%d value=1 1" % n for n in range(100)), Source(), RECEIVED, Samples()
    )
    assert list(found.clusters["nova"].hosts) == ["n0"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mutated_lines_raise_nothing_and_leave_their_neighbours() -> None:
    found = catalogue(max_series=100)
    decoder = Decoder(found, max_known=1000)
    good = b"cpu_load,cluster=nova,hostname=n1,type=node value=1.5 1760000060"
    other = b"net_rx,cluster=nova,hostname=n2,type=socket,type-id=1,stype=network,stype-id=ib0,unit=B value=17i 1760000060123"
    damaged = mutations_of([good, other], 12, 200_000)
    process, sizes = psutil.Process(), []
    while some := list(itertools.islice(damaged, 50)):
        samples = Samples()
        decoder.decode(b"\n".join([good, *some, good]), ANY, RECEIVED, samples)
        assert samples.values[0] == samples.values[-1] == 1.5
        sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[len(sizes) // 2] < 8 * 1024 * 1024
    assert len(found.series) <= 100
