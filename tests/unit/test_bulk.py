"""Messages read and sent in bulk arrive as those of nats-py do."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadSubjectError, ProtocolError
from nats.protocol.parser import Parser

from shared.broker.bulk import BulkClient, frame, send, subscribe
from shared.broker.connection import dial
from shared.broker.cursor import read_from
from shared.settings import NatsSettings
from tests.support.waiting import until

BULK, PLAIN = 1, 2  # numbers of subscriptions

WORDS = st.text("abc.$_-", min_size=1, max_size=9)
HEADERS = st.dictionaries(st.sampled_from(["a", "ce-type", "Nats-Msg-Id", " b ", "c d", "\u00e9"]), st.text("xyz: é%", max_size=9))
VERSIONS = st.sampled_from(["NATS/1.0", "NATS/1.0 404 No Messages", "NATS/1.0 408"])
FLAGS = st.booleans()


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A message as the server sends it, or another line."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n"]))
    head = f"{draw(WORDS)} {draw(st.sampled_from([BULK, PLAIN]))} {draw(WORDS) + ' ' if draw(FLAGS) else ''}".encode()
    body = draw(st.binary(max_size=30))
    has_headers = draw(FLAGS)
    if has_headers:
        version = draw(VERSIONS)
        named = {} if version.endswith("408") else draw(HEADERS)  # nats-py takes a header after such a line for the description
        lines = f"{version}\r\n".encode() + b"".join(f"{name}: {value}\r\n".encode() for name, value in named.items()) + b"\r\n"
        return b"HMSG %b%d %d\r\n%b%b\r\n" % (head, len(lines), len(lines) + len(body), lines, body)
    return b"MSG %b%d\r\n%b\r\n" % (head, len(body), body)


class _Observed(BulkClient):
    """Records what the parser does, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def see(self, message: Msg) -> None:
        self.seen.append((message.subject, message.reply, message.data, message.headers or None))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.see(self._build_message(sid, subject, reply, data, await self._process_headers(headers)))

    async def _process_ping(self) -> None:
        self.seen.append("ping")

    async def _process_pong(self) -> None:
        self.seen.append("pong")


async def parsed(parser: Parser, pieces: list[bytes]) -> None:
    for piece in pieces:
        await parser.parse(piece)


@given(st.lists(frames(), max_size=12), st.lists(st.integers(0, 600), max_size=8))
def test_whatever_the_pieces_everything_arrives_as_with_nats_py(sent: list[bytes], cuts: list[int]) -> None:
    async def compare() -> None:
        ours, theirs = _Observed(), _Observed()
        ours.receivers[BULK] = ours.see
        whole = b"".join(sent)
        ends = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
        await parsed(ours._ps, [whole[begin:end] for begin, end in pairwise(ends)])
        await parsed(Parser(theirs), [whole])
        assert ours.seen == theirs.seen

    asyncio.run(compare())


async def test_a_function_that_fails_does_not_end_the_reading() -> None:
    client = _Observed()
    errors: list[Exception] = []

    async def on_error(error: Exception) -> None:
        errors.append(error)

    def fail(message: Msg) -> None:
        raise ValueError(message.subject)

    client._error_cb = on_error
    client.receivers[BULK] = fail
    await client._ps.parse(b"MSG a 1 0\r\n\r\nMSG b 2 0\r\n\r\n")
    assert [str(error) for error in errors] == ["a"]
    assert [seen[0] for seen in client.seen] == ["b"]


@pytest.mark.parametrize(
    "text",
    [
        b"MSG a one 0\r\n",
        b"MSG a 1 x\r\n",
        b"MSG a 1 -9\r\n",
        b"MSG a 1 99999999999\r\n",
        b"MSG\r\n",
        b"hello\r\n",
        b"x" * 5000 + b"\r\n",
        b"x" * 70_000,
    ],
    ids=lambda text: text[:24].decode(),
)
async def test_what_is_no_protocol_is_an_error_of_the_protocol(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        await _Observed()._ps.parse(text)


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0\r\n"])
def test_a_subject_cannot_begin_another_command(subject: str) -> None:
    with pytest.raises(BadSubjectError):
        frame(subject, b"")


async def test_messages_are_sent_and_received_as_with_nats_py(nats_settings: NatsSettings, nats_client: Client) -> None:
    bulk = await dial(nats_settings, "bulk")
    try:
        expected: list[Msg] = []
        found: list[Msg] = []

        async def expect(message: Msg) -> None:
            expected.append(message)

        await nats_client.subscribe("bulk.>", cb=expect)
        await subscribe(bulk, "bulk.>", found.append)
        for client in (nats_client, bulk):
            await client.flush(30)
        await send(bulk, [frame("bulk.a", b"x" * 100_000)[0], frame("bulk.b", b"", "to", {"a": "one\r\ntwo", "b": " é "})[0]])
        await nats_client.publish("bulk.c", b"c", headers={"a": "b"})
        await until(lambda: len(found) == len(expected) == 3, 30)
        as_text = [(m.subject, m.reply, m.data, m.headers) for m in sorted(expected, key=lambda m: m.subject)]
        assert [(m.subject, m.reply, m.data, m.headers) for m in sorted(found, key=lambda m: m.subject)] == as_text
        assert as_text[1] == ("bulk.b", "to", b"", {"a": "one  two", "b": "é"})
    finally:
        await bulk.close()


async def test_a_message_with_a_subject_that_is_not_utf8_is_read_as_the_others(nats_settings: NatsSettings, nats_client: Client) -> None:
    """The broker stores it, and a reader that did not see it could not get past it."""
    stream = f"{nats_settings.prefix}-odd"
    await nats_client.jetstream(timeout=30).add_stream(name=stream, subjects=[f"{stream}.>"])
    bulk = await dial(nats_settings, "bulk")
    try:
        await send(bulk, [b"PUB %b.\xff 1\r\na\r\n" % stream.encode(), frame(f"{stream}.b", b"b")[0]])
        async with read_from(bulk, stream, 1) as cursor:
            found: list[Msg] = []
            while len(found) < 2:
                found += await cursor.raw_batch(10)
        assert [(message.subject, message.data) for message in found] == [(f"{stream}.\ufffd", b"a"), (f"{stream}.b", b"b")]
    finally:
        await bulk.close()


async def test_a_reconnect_while_lines_are_handled_leaves_nothing_of_the_old_connection() -> None:
    client = _Observed()

    async def reconnect() -> None:
        client._ps.reset()

    client._process_ping = reconnect  # type: ignore[method-assign]
    client.receivers[BULK] = client.see
    await client._ps.parse(b"PING\r\nMSG a 1 1000000\r\nx")
    await client._ps.parse(b"MSG b 1 1\r\nb\r\n")
    assert [seen[0] for seen in client.seen] == ["b"]
