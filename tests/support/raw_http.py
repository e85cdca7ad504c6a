"""HTTP over plain sockets, for requests that no library would send and connections in any state."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class RawConnection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        """The next answer. Raises IncompleteReadError when the server closes first, TimeoutError after ``ANSWER_S``."""
        async with asyncio.timeout(ANSWER_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.rstrip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(status_line.split()[1]), headers, body)

    async def is_closed_within(self, seconds: float) -> bool:
        """Whether the server closes the connection; data before that are dropped."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65_536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


@asynccontextmanager
async def connected(address: str, local_host: str | None = None, *, receive_bytes: int | None = None) -> AsyncIterator[RawConnection]:
    """``local_host`` is the source address; ``receive_bytes`` limits the kernel's buffer for a client that does not read."""
    host, _, port = address.rpartition(":")
    client = socket.socket()
    client.setblocking(False)
    if receive_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    if local_host is not None:
        client.bind((local_host, 0))
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()


def request(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """``content_encoding="gzip"`` is the header ``content-encoding``. Content-Length is added for a body."""
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")
