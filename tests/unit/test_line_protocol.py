"""Line protocol: the ends of lines, their content, and bad lines that do not affect others."""

import json
import time
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.lineprotocol import EXCERPT_BYTES, MAX_STRAY_QUOTES, BadLine, Point, _usual, parse_lines
from tests.support.builders import line, start_line
from tests.support.processes import REPOSITORY

MIB = 1024 * 1024


def parsed(data: bytes) -> list[Point | BadLine]:
    return list(parse_lines(data))


def events(data: bytes) -> list[object]:
    """The event field of each line, None for a bad line."""
    return [found.fields.get("event") if isinstance(found, Point) else None for found in parse_lines(data)]


def test_a_line_has_measurement_tags_and_typed_fields() -> None:
    data = b'job,function=start_job,a=b event="{}",i=12i,u=12u,f=1.5,e=1e3,t=true,n=F 1700000000000000000\n'
    fields = {"event": "{}", "i": 12, "u": 12, "f": 1.5, "e": 1000.0, "t": True, "n": False}
    assert parsed(data) == [Point(1, "job", {"function": "start_job", "a": "b"}, fields)]


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"  \n \n", b"# text\n", b"  # text", b"#", b"# tab\tand \x07 bell\n", b"\r\n", b'# "unclosed\n'],
    ids=repr,
)
def test_blank_lines_and_comments_are_ignored(data: bytes) -> None:
    assert parsed(data) == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'a e="1"\nb e="2"\n', [("a", 1), ("b", 2)]),
        (b'a e="1"\r\nb e="2"\r\n', [("a", 1), ("b", 2)]),
        (b'a e="1"\r', [("a", 1)]),
        (b'a e="1"', [("a", 1)]),
        (b'\n\n# c\na e="1"\n\nb e="2"', [("a", 4), ("b", 6)]),
        (b'   a   e="1"   5   \n', [("a", 1)]),
        (b'a e="x\ny\nz"\nb e="2"', [("a", 1), ("b", 4)]),
        (b'# "\na e="1"\n', [("a", 2)]),
    ],
    ids=repr,
)
def test_lines_end_at_lf_outside_quotes(data: bytes, expected: list[tuple[str, int]]) -> None:
    assert [(p.measurement, p.number) for p in parsed(data) if isinstance(p, Point)] == expected
    assert len(parsed(data)) == len(expected)


@pytest.mark.parametrize(
    ("data", "measurement", "tags"),
    [
        (b'jo\\ b e="1"', "jo b", {}),
        (b'jo\\,b e="1"', "jo,b", {}),
        (b'a,t=x\\,y\\=z\\ q e="1"', "a", {"t": "x,y=z q"}),
        (b'a,t=x\\y e="1"', "a", {"t": "x\\y"}),
        (b'a,k\\=1=v e="1"', "a", {"k=1": "v"}),
        (b'a,t="q" e="1"', "a", {"t": '"q"'}),
        (b'a,t=x"y e="1"', "a", {"t": 'x"y'}),
        (b'\xef\xbb\xbfa e="1"', "\ufeffa", {}),
        ('ä,t=ö e="1"'.encode(), "ä", {"t": "ö"}),
    ],
    ids=repr,
)
def test_names_and_tags_have_their_own_escapes(data: bytes, measurement: str, tags: dict[str, str]) -> None:
    assert parsed(data) == [Point(1, measurement, tags, {"e": "1"})]


@pytest.mark.parametrize(
    "data",
    [
        b'\tjob event="{}" 1',
        b'job\tevent="{}" 1',
        b'job event="{}"\t1',
        b"\t",
        b"job",
        b"job 5",
        b"job,function=start_job 1735689600000000000",
        b',a=b event="{}"',
        b'jo\x00b event="{}"',
        b'job event="{}" 5 6',
        b'job event="{}" 1.5',
        b'job event="{}" now',
        b'job event="{}" +5',
        b'job event="{}" 1e9',
        b'job event="{}" 9223372036854775808',
        b'job event="{}"x 5',
        b"job event='{}' 5",
        b'job event={"jobId":1} 5',
        b'job event="{}',
        b'job event="{}\\" 5',
        b'job event="a\\\\"b" 5',
        b'job event="1" 5\rjob event="2" 6',
        b'job event="{}",event=x',
        b'job event="{}",a="x 5',
        b'job event="{}",a="x"y 5',
        b'job event="{}" a=5 6',
        b'job\x01,a=b event="{}"',
        b'job,function=\x01 event="{}"',
    ],
    ids=repr,
)
def test_text_that_is_not_line_protocol_is_a_bad_line(data: bytes) -> None:
    (bad,) = parsed(data + b"\n")
    assert isinstance(bad, BadLine)
    assert bad.text
    assert bad.excerpt == data[:EXCERPT_BYTES]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'job event="1",event="2"', {"event": "2"}),
        (b'job event=5i,event="2"', {"event": "2"}),
        (b'job event="1",event=5i', {"event": 5}),
        (b'job event="a=b,c=d"', {"event": "a=b,c=d"}),
        (b'job a=1,event="x,a=2 b",a=3', {"event": "x,a=2 b"}),
    ],
    ids=repr,
)
def test_the_last_of_repeated_field_keys_wins(data: bytes, expected: dict[str, object]) -> None:
    (point,) = parsed(data)
    assert isinstance(point, Point)
    assert point.fields == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'job,function=1,function=2 event="x"', {"function": "2"}),
        (b'job,function=1,b=3,function=2 event="x"', {"function": "2"}),
        (b'job,function=1,function=2,function=3 event="x"', {"function": "3"}),
        (b'job,function=1,a\\ b=1,a\\ b=2 event="x"', {"function": "1"}),
    ],
    ids=repr,
)
def test_the_last_of_repeated_tag_keys_wins(data: bytes, expected: dict[str, str]) -> None:
    (point,) = parsed(data)
    assert isinstance(point, Point)
    assert point.tags == expected
    assert point.fields == {"event": "x"}


@pytest.mark.parametrize(
    "data",
    [
        b'job,function=f,hostname=m,partition=,type=node event="{}"',
        b'job,partition=,function=f event="{}"',
        b'job,function=f, event="{}"',
        b'job,,function=f event="{}"',
        b'job,function=f,=b event="{}"',
        b'job,function=f,a event="{}"',
        b'job,function=f,a=b=c event="{}"',
        b'job,function=f,a=,a=b event="{}"',
        b'job,function=f,a=\xfc event="{}"',
        b'job,function=f,a=\x01\x7f event="{}"',
        b'job,a=\t,function=f event="{}"',
        b'job,function=f,function= event="{}"',
        b'job,function=f event="{}",a=NaN 5',
        b'job,function=f a=inf,event="{}" 5',
        b'job,function=f event="{}",a=+3,b=5x,c=1e400,d=,e',
        b'job,function=f event="{}",a="x",a="y" 5',
        b'job,function=f event="{}", 5',
        b'job,function=f ,event="{}" 5',
        b'job,function=f event="{}",m="caf\xe9" 5',
    ],
    ids=repr,
)
def test_unused_tags_and_fields_never_invalidate_a_line(data: bytes) -> None:
    (point,) = parsed(data + b"\n")
    assert isinstance(point, Point)
    assert (point.measurement, point.tags["function"], point.fields["event"], point.is_repaired) == ("job", "f", "{}", False)


def test_a_stray_quote_in_an_unused_field_affects_no_other_line() -> None:
    data = b'job,function=f event="1",msg="abc\njob,function=f event="2"\njob,function=f event="3"\n'
    assert events(data) == [None, "2", "3"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xfc", "\ufffd"),
        (b"stra\xdfe", "stra\ufffde"),
        (b"cut \xc3", "cut \ufffd"),
        (b"\xe2\x82 \xf0\x9f\x98", "\ufffd \ufffd"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
    ids=repr,
)
def test_bytes_that_are_not_utf8_are_replaced_and_reported(value: bytes, text: str) -> None:
    (point,) = parsed(b'job event="' + value + b'"')
    assert point == Point(1, "job", {}, {"event": text}, is_repaired=True)


@pytest.mark.parametrize("timestamp", ["", " 0", " -5", " 1735689600", " 9223372036854775807", " -9223372036854775808"])
def test_a_timestamp_is_optional_and_of_any_unit(timestamp: str) -> None:
    assert events(f'job event="x"{timestamp}'.encode()) == ["x"]


@pytest.mark.parametrize(
    ("wire", "decoded"),
    [
        (rb"\"", '"'),
        (rb"\\", "\\"),
        (rb"\n", "\n"),
        (rb"\r", "\r"),
        (rb"\t", "\t"),
        (rb"\\n", "\\n"),
        (rb"\\\"", '\\"'),
        (rb"\\\\", "\\\\"),
        (rb"\\\n", "\\\n"),
        (rb"\x\u003e\/", "\\x\\u003e\\/"),
        (rb"\x\\\"", '\\x\\"'),
        (b"raw \n \r \t \x01 \x02", "raw \n \r \t \x01 \x02"),
        (b'\x00 \\\\ \x01 \\" \\n', '\x00 \\ \x01 " \n'),
        (b'\x00\x00\x01\x01 \\\\\\"', '\x00\x00\x01\x01 \\"'),
        ("grüße".encode(), "grüße"),
        (b"", ""),
    ],
    ids=repr,
)
def test_five_escapes_are_replaced_in_a_quoted_value(wire: bytes, decoded: str) -> None:
    assert events(b'job event="' + wire + b'" 5') == [decoded]


@given(st.text() | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@example("ends in a backslash \\")
@example('\\"\\n\\\\"')
def test_any_json_survives_the_escaping_of_a_correct_producer(value: object) -> None:
    text = json.dumps(value)
    (point,) = parsed(line(text, function="start_job"))
    assert isinstance(point, Point)
    assert point.fields["event"] == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_escaping(text: str) -> None:
    assert events(line(text)) == [text]


GOOD = [start_line(number, metaData={"jobScript": '#!/bin/sh\necho "a\\b" \t\n'}) for number in range(3)]
BROKEN = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b'job event="', b'job event="{\\"', b'x y="1" "', b"\\", b'a,b="c', b"#", b'job event="a"b"', b"\xff", b'"', b'a b="\\']
    ),
)


@given(BROKEN)
@settings(max_examples=500)
def test_no_line_affects_its_neighbours(middle: bytes) -> None:
    """Except if it opens a string that the next line closes: then the quotes decide."""
    middle = middle.replace(b"\n", b"")
    expected = events(GOOD[0]) + events(GOOD[1]) + events(GOOD[2])
    found = events(GOOD[0] + middle + b"\n" + GOOD[1] + GOOD[2])
    assert [text for text in found if text in expected] == expected


@given(st.integers(0, len(GOOD[0])))
def test_a_line_truncated_anywhere_affects_only_itself(at: int) -> None:
    expected = [*events(GOOD[1]), *events(GOOD[2])]
    assert events(GOOD[0][:at].rstrip(b"\n") + b"\n" + GOOD[1] + GOOD[2])[-2:] == expected
    assert events(GOOD[1] + GOOD[0][at:].rstrip(b"\n") + b"\n" + GOOD[2])[0] == expected[0]


@given(
    st.lists(st.sampled_from([b'"', b'="', b"\\", b" ", b",", b"=", b"\n", b"\r", b"#", b"job", b"event", b"\xff", b"\0", b"\t", b"1i"]))
)
@settings(max_examples=1000)
def test_no_bytes_raise_and_line_numbers_rise(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    numbers = [found.number for found in parse_lines(data)]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= data.count(b"\n") + 1 for number in numbers)


HEADS = st.lists(st.sampled_from([b",b=c", b",b=", b",function=stop_job", b",c=d,c=e", b"\\ x", b" ", b"#", b'="']), max_size=3)
INSIDE = [
    b'{\\"a\\":1}',
    b"\\n",
    b"\\\\",
    b"\\",
    b"\\u0041",
    b"\\\\u003c",
    b"\\/",
    b"\\\\/",
    b"\\b",
    b"\n",
    b'"',
    b'",x="',
    b"\xc3\xa4",
    b"\xff",
]
TAILS = st.sampled_from(
    [
        b"",
        b"\n",
        b"\r\n",
        b" ",
        b" 17",
        b" 1795323816000000000\n",
        b" 9223372036854775807",
        b" 9223372036854775808",
        b" -1",
        b" 17 18",
        b"\n\n",
    ]
)


@given(HEADS, st.lists(st.sampled_from(INSIDE), max_size=6), st.binary(max_size=3), TAILS)
@settings(max_examples=1000)
def test_a_line_is_the_same_alone_and_after_another(head: list[bytes], inside: list[bytes], more: bytes, tail: bytes) -> None:
    """A message of one usual line takes a shorter way."""
    line = b"".join([b"job,function=start_job", *head, b' event="', *inside, more, b'"', tail])
    assert parsed(line) == [replace(found, number=found.number - 1) for found in parsed(b"#\n" + line)]


def test_the_lines_of_a_real_adapter_take_the_shorter_way() -> None:
    recording = REPOSITORY / "tests/data/slurmlab/nats.jsonl"
    lines = [json.loads(each)["data"].encode() for each in recording.read_text(encoding="utf-8").splitlines()]
    assert [_usual(each) for each in lines] == [replace(point, number=1) for each in lines for point in parsed(b"#\n" + each)]


@given(st.binary(max_size=200))
@settings(max_examples=1000)
def test_no_bytes_at_all_raise(data: bytes) -> None:
    for found in parse_lines(data):
        assert isinstance(found, Point | BadLine)


@pytest.mark.parametrize(
    "data",
    [
        b'"' * MIB,
        b"\\" * MIB,
        b'a b="' + b"\\" * MIB,
        b'a b="' + b'\\"' * (MIB // 2),
        b'a b="x\n' * (MIB // 7),
        b'a b="x" y\n' * (MIB // 10),
        b'a b="' + b"\n" * MIB,
        b" " * MIB,
        b"\n" * MIB,
        b"a" * MIB,
        b"a," * (MIB // 2),
        b"a " * (MIB // 2),
        b"a" + b",t=1" * (MIB // 4) + b" x=1",
        b"a x=1" + b",y=1" * (MIB // 4),
        b"a " + b'x="",' * (MIB // 5),
        b"a " + b'x="1",' * (MIB // 6) + b'x="2"',
        b'="' * (MIB // 2),
        b'a b="\n' + b'="\n' * (MIB // 3),
        b"#" * MIB,
        b"\\ " * (MIB // 2),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_a_mebibyte_of_any_input_is_parsed_within_seconds(data: bytes) -> None:
    started = time.process_time()
    for _ in parse_lines(data):
        pass
    assert time.process_time() - started < 20


def test_after_many_stray_quotes_every_lf_ends_a_line() -> None:
    stray = b'job event="x" "\n' * (MAX_STRAY_QUOTES + 5)
    assert events(stray + GOOD[0])[-1:] == events(GOOD[0])


def test_the_excerpt_of_a_bad_line_is_its_bounded_beginning() -> None:
    (bad,) = parsed(b'job event="' + b"x" * 5000 + b'"y 5')
    assert isinstance(bad, BadLine)
    assert bad.excerpt == b'job event="' + b"x" * (EXCERPT_BYTES - 11)
