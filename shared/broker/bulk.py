"""Many messages over a connection of nats-py, at a third of the processor time.

nats-py 2.16 passes each received message through a queue to a task of its subscription, parses headers that nobody reads, and sends
each published message by itself. Here a subscription may take its messages straight from the parser, headers are parsed when they
are read, and a batch is sent in one go. Everything else (connecting and reconnecting, TLS, requests, other subscriptions) is left
to nats-py. Its statistics do not count these messages.

This relies on internals, for which nats-py is pinned: the parser of a connection, and its list of commands to be sent.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import BadSubjectError, ConnectionClosedError, ConnectionDrainingError, OutboundBufferLimitError, ProtocolError
from nats.protocol.parser import Parser

Receive = Callable[[Msg], None]

MAX_LINE = 64 * 1024  # bytes; the longest one is INFO, with the addresses of all servers of a cluster
MAX_MESSAGE = 64 * 1024 * 1024 + MAX_LINE  # bytes; the highest limit of a server
_LINE_END = b"\r\n"
_MESSAGES = (b"MSG", b"HMSG")
_VERSION = "NATS/1.0"


class BulkClient(Client):
    """``receivers`` are the functions of ``subscribe`` by the number of the subscription."""

    def __init__(self) -> None:
        super().__init__()
        self.receivers: dict[int, Receive] = {}
        self._ps = _Parser(self)

    async def subscribe_bulk(self, subject: str, receive: Receive) -> Subscription:
        """See ``subscribe``."""
        number = self._sid + 1  # the one that nats-py takes, so that no message comes before its receiver is known
        self.receivers[number] = receive
        try:
            return await self.subscribe(subject)
        except BaseException:
            self._remove_sub(number)
            raise

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        self.receivers.pop(sid, None)


async def subscribe(client: Client, subject: str, receive: Receive) -> Subscription:
    """Call ``receive`` for each message, in order. It must neither block nor keep messages without a bound, as nats-py drops none."""
    if isinstance(client, BulkClient):
        return await client.subscribe_bulk(subject, receive)

    async def receive_one(message: Msg) -> None:
        receive(message)

    return await client.subscribe(subject, cb=receive_one, pending_msgs_limit=-1, pending_bytes_limit=-1)


class _Parser(Parser):
    """Splits what the server sends into messages and other lines. nats-py handles all but the messages of ``receivers``."""

    def __init__(self, client: BulkClient) -> None:
        super().__init__(client)
        self._client = client

    def reset(self) -> None:
        """Called for each new connection."""
        super().reset()
        self._received = bytearray()  # the beginning of an incomplete message or line
        self._needed = 0  # bytes until it is complete, as far as known

    async def parse(self, data: bytes = b"") -> None:
        """Raises nats.errors.ProtocolError."""
        received = self._received
        received += data
        if len(received) < self._needed:
            return
        buffer = bytes(received)
        receivers = self._client.receivers
        at = self._needed = 0
        while (line_end := buffer.find(_LINE_END, at)) >= 0:
            words = buffer[at:line_end].split()
            end, receive = line_end + 2, None
            if words and words[0] in _MESSAGES:
                try:
                    size = int(words[-1])
                    receive = receivers.get(int(words[2]))
                except (ValueError, IndexError) as e:
                    raise ProtocolError("nats: malformed MSG") from e
                if not 0 <= size <= MAX_MESSAGE:
                    raise ProtocolError("nats: size of MSG")
                end += size + 2
                if end > len(buffer):
                    self._needed = end - at
                    break
            if receive is None:
                await super().parse(buffer[at:end])
                if self.buf:
                    raise ProtocolError("nats: unknown line")
            else:
                try:
                    receive(_Message.parsed(self._client, words, buffer[line_end + 2 : end - 2]))
                except Exception as e:  # noqa: BLE001 - reading goes on, as after the error of a callback of nats-py
                    await self._client._error_cb(e)
            if self._received is not received:
                return  # a reconnect meanwhile has begun with another buffer
            at = end
        else:
            if len(buffer) - at > MAX_LINE:
                raise ProtocolError("nats: a line without an end")
        del received[:at]


class _Message(Msg):
    """A message that parses its headers when they are first read. It does not know its subscription (``sid``)."""

    def __init__(self, client: Client, subject: str, reply: str, data: bytes, raw_headers: bytes) -> None:
        self._client = client
        self.subject = subject
        self.reply = reply
        self.data = data
        self._raw_headers = raw_headers

    @classmethod
    def parsed(cls, client: Client, words: Sequence[bytes], content: bytes) -> "_Message":
        """``words`` are ``MSG subject number [reply] size``, or ``HMSG subject number [reply] size-of-headers size``.

        The server accepts subjects that are not UTF-8. A reader must see such a message to get past it.
        """
        has_headers = words[0] == b"HMSG"
        reply = words[3].decode(errors="replace") if len(words) > 4 + has_headers else ""
        size = int(words[-2]) if has_headers else 0
        return cls(client, words[1].decode(errors="replace"), reply, content[size:] if size else content, content[:size])

    @cached_property
    def headers(self) -> dict[str, str] | None:  # type: ignore[override]  # nats-py has an attribute, which nobody sets later
        """None without headers, as in nats-py."""
        return _headers(self._raw_headers) or None if self._raw_headers else None


def _headers(raw: bytes) -> dict[str, str]:
    """Header values by name; a status line becomes ``Status`` and ``Description``."""
    first, *lines = raw.decode(errors="replace").split("\r\n")
    headers = {}
    if first != _VERSION:
        status, _, description = first.removeprefix(_VERSION).strip().partition(" ")
        headers = {"Status": status, "Description": description} if description else {"Status": status}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip()
        if colon and name.isascii() and " " not in name:
            headers[name] = value.strip()
    return headers


# sending


def frame(subject: str, body: bytes, reply: str = "", headers: Mapping[str, str] | None = None) -> tuple[bytes, int]:
    """A message as the protocol has it, and its size as the broker counts it. Raises nats.errors.BadSubjectError."""
    to = f"{_checked(subject)} {reply} " if reply else f"{_checked(subject)} "
    if not headers:
        return b"PUB %b%d\r\n%b\r\n" % (to.encode(), len(body), body), len(body)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") > len(headers) or lines.count("\r") > len(headers):
        lines = "".join([f"{name}: {_one_line(value)}\r\n" for name, value in headers.items()])
    head = f"{_VERSION}\r\n{lines}\r\n".encode()
    size = len(head) + len(body)
    return b"HPUB %b%d %d\r\n%b%b\r\n" % (to.encode(), len(head), size, head, body), size


@lru_cache(maxsize=1000)
def _checked(subject: str) -> str:
    """A space or line end in it would begin another command."""
    if not subject or any(character.isspace() for character in subject):
        raise BadSubjectError
    return subject


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


async def send(client: Client, frames: Sequence[bytes]) -> None:
    """Send frames in order, with the errors of nats-py's ``publish``. While the broker is away, they wait within its buffer."""
    if client.is_closed:
        raise ConnectionClosedError
    if client.is_draining_pubs:
        raise ConnectionDrainingError
    size = sum(map(len, frames))
    if not client.is_connected and client._pending_data_size + size > client._max_pending_size:
        raise OutboundBufferLimitError
    client._pending += frames
    client._pending_data_size += size
    if client._pending_data_size > client._max_pending_size:
        await client._flush_pending(force_flush=True)
    elif client._flush_queue is not None and client._flush_queue.empty():
        await client._flush_pending()


async def acknowledge(client: Client, messages: Sequence[Msg]) -> None:
    """``Msg.ack`` for all of them."""
    await send(client, [b"PUB %b 0\r\n\r\n" % message.reply.encode() for message in messages])
    for message in messages:
        message._ackd = True
