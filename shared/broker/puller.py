"""Pull requests to a consumer; the next request is always in flight.

nats-py's ``fetch`` requests, collects and returns, so broker and handler wait for each other, and it creates a task for each
message. Here messages arrive in a bounded buffer while the reader processes the previous ones.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from shared.broker.bulk import subscribe
from shared.errors import ConsumerLost, Unavailable

EXPIRES_S = 1.0  # lifetime of one request; a lost request or consumer goes unnoticed for that long on a quiet stream
_ANSWER_S = 0.5  # how late the broker's status message for an expired request may arrive
MAX_BYTES = 64 * 1024 * 1024  # per request; two outstanding requests bound the buffer
_CLOSE_S = 2.0

_REQUEST_OVER = {"404", "408"}  # no messages, request timeout: the usual ends of a request
_REQUEST_FILLED = ("batch completed", "maxbytes")  # text of a 409 when the request is complete


class Puller:
    """Reads from one consumer, durable or not. One task reads at a time.

    ``reads_ahead``: the next request is sent while the reader works on a batch. Without it, at most the rest of the last
    request waits in the buffer.
    """

    def __init__(self, client: Client, stream: str, consumer: str, *, reads_ahead: bool = True) -> None:
        self._client = client
        self._reads_ahead = reads_ahead
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._what = f"consumer {consumer} of {stream}"
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._buffer: deque[Msg] = deque()
        self._asked = 0
        self._asked_until = 0.0
        self._arrived = asyncio.Event()
        self._error: Unavailable | None = None
        self.is_ending = False

    async def open(self) -> None:
        """Subscribe. Raises Unavailable."""
        try:
            self._subscription = await subscribe(self._client, self._inbox, self._receive)  # the requests bound the buffer
        except (NatsError, OSError) as e:
            raise Unavailable(f"cannot subscribe: {e!r}") from e

    async def close(self) -> list[Msg]:
        """Unsubscribe, and return the messages that were not read, which the caller then owns.

        Messages that the broker has already sent are among them: they are waited for. Hand messages back only afterwards,
        since the broker may deliver them to the open request at once.
        """
        self.end()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(NatsError, OSError, TimeoutError):  # without a connection nothing is on its way
                end: Callable[[], Awaitable[None]] = subscription.drain if self._client.is_connected else subscription.unsubscribe
                await asyncio.wait_for(end(), _CLOSE_S)
        return self.drop()

    def _receive(self, message: Msg) -> None:
        """A message of the stream, or a status message for a request."""
        # Only status messages arrive at the inbox; a message of the stream has its own subject, whatever its headers.
        status = (message.headers or {}).get("Status") if message.subject == self._inbox else None
        if status is None:
            self._buffer.append(message)
            self._asked = max(0, self._asked - 1)
        else:
            self._asked = 0
            description = (message.headers or {}).get("Description", "")
            if status == "503" or (status == "409" and "deleted" in description.lower()):
                self._error = ConsumerLost(f"the {self._what} does not exist")
            elif status not in _REQUEST_OVER and not any(words in description.lower() for words in _REQUEST_FILLED):
                self._error = Unavailable(f"the {self._what}: {status} {description}")
        self._arrived.set()

    async def batch(self, limit: int, max_bytes: int = MAX_BYTES) -> list[Msg]:
        """Up to ``limit`` messages, as soon as one is available; empty after a quiet second and after the end was requested.

        The batch ends with the message at which the bodies reach ``max_bytes``.

        Raises ConsumerLost when the consumer no longer exists, Unavailable when the broker cannot serve it now.
        """
        deadline = asyncio.get_running_loop().time() + EXPIRES_S + _ANSWER_S
        while not self._buffer:
            self._raise_error()
            self._arrived.clear()  # before the request, so that a message that arrives meanwhile is noticed
            if self.is_ending:
                return []
            await self._ask(limit)
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return []
            try:
                await asyncio.wait_for(self._arrived.wait(), left_s)
            except TimeoutError:
                return []
            if self._asked == 0 and not self._buffer and self._error is None:
                return []
        messages: list[Msg] = []
        while self._buffer and len(messages) < limit and max_bytes > 0:
            messages.append(self._buffer.popleft())
            max_bytes -= len(messages[-1].data)
        if self._reads_ahead and len(self._buffer) < limit:
            await self._ask(limit)
        return messages

    def end(self) -> None:
        """End the current wait and all later ones immediately."""
        self.is_ending = True
        self._arrived.set()

    def drop(self) -> list[Msg]:
        """Empty the buffer and return its messages, which the caller then owns."""
        messages = list(self._buffer)
        self._buffer.clear()
        return messages

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    async def _ask(self, limit: int) -> None:
        """Send the next request unless one is open."""
        now = asyncio.get_running_loop().time()
        if self._asked > 0 and now < self._asked_until:
            return
        request = {"batch": limit, "expires": int(EXPIRES_S * 1e9), "max_bytes": MAX_BYTES}
        self._asked, self._asked_until = limit, now + EXPIRES_S + _ANSWER_S
        try:
            await self._client.publish(self._subject, json.dumps(request).encode(), reply=self._inbox)
        except (NatsError, OSError) as e:
            self._asked = 0
            raise Unavailable(f"the {self._what} cannot be asked: {e!r}") from e


@asynccontextmanager
async def pulling(
    client: Client, stream: str, consumer: str, stop: asyncio.Event | None = None, *, reads_ahead: bool = True
) -> AsyncIterator[Puller]:
    """Read from an existing consumer; after ``stop`` it no longer waits for messages. Raises Unavailable."""
    puller = Puller(client, stream, consumer, reads_ahead=reads_ahead)
    await puller.open()
    ending = asyncio.create_task(_end_with(stop, puller), name="end of reading") if stop is not None else None
    try:
        yield puller
    finally:
        if ending is not None:
            ending.cancel()
        await puller.close()


async def _end_with(stop: asyncio.Event, puller: Puller) -> None:
    await stop.wait()
    puller.end()
