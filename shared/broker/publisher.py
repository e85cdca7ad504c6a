"""Publishing events so that each is in the log exactly once, or the caller knows that it may not be.

Acknowledgements come to an inbox of our own: ``publish_async`` of nats-py 2.16 makes a task for each message, and
keeps the slot of an acknowledgement that was lost with the connection for ever.
"""

import asyncio
import itertools
from collections.abc import Sequence

import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from shared.backoff import Backoff
from shared.broker.envelope import Envelope
from shared.domain import reasons
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

ACK_TIMEOUT_S = 5.0
HEADER_FRAME = 64  # version line and line ends
MOST_IN_FLIGHT = 1000  # acknowledgements awaited at once


class Publisher:
    """Publishes envelopes and awaits the broker's acknowledgements. One per connection; safe to share between tasks."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._inbox = client.new_inbox()
        self._subscribed = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._numbers = itertools.count()
        self._waiting: dict[str, asyncio.Future[int]] = {}

    async def publish(self, envelopes: Sequence[Envelope], *, deadline_s: float = 60.0) -> list[int]:
        """Store every envelope, in order; returns their sequences in the log (those of the first copy for duplicates).

        What is not acknowledged is published again under the same message id, with growing pauses.
        Raises Unavailable when ``deadline_s`` passes first: then some may be stored, and publishing all of them
        again is right. Raises Refused when one is larger than the broker takes; the others may be stored.
        """
        sequences: list[int] = []
        give_up = asyncio.get_running_loop().time() + deadline_s
        for first in range(0, len(envelopes), MOST_IN_FLIGHT):
            sequences += await self._publish_some(envelopes[first : first + MOST_IN_FLIGHT], give_up)
        return sequences

    async def _publish_some(self, envelopes: Sequence[Envelope], give_up: float) -> list[int]:
        loop = asyncio.get_running_loop()
        acks: dict[int, int] = {}
        pause = Backoff(first_s=0.1, most_s=2.0)
        while True:
            missing = [index for index in range(len(envelopes)) if index not in acks]
            failure = await self._try(envelopes, missing, acks)
            if len(acks) == len(envelopes):
                return [acks[index] for index in range(len(envelopes))]
            left_s = give_up - loop.time()
            if left_s <= 0:
                raise Unavailable(f"the broker did not acknowledge {len(envelopes) - len(acks)} of {len(envelopes)} events") from failure
            log.warning("publish_retried", missing=len(envelopes) - len(acks), error=repr(failure))
            await asyncio.sleep(min(pause.next_s(), left_s))

    async def _try(self, envelopes: Sequence[Envelope], missing: list[int], acks: dict[int, int]) -> Exception | None:
        """Publish once, all at a time, and collect the acknowledgements that come; the first failure is returned."""
        loop = asyncio.get_running_loop()
        futures: dict[str, tuple[int, asyncio.Future[int]]] = {}
        failure: Exception | None = None
        try:
            await self._subscribe()
            for index in missing:
                envelope = envelopes[index]
                reply = f"{self._inbox}.{next(self._numbers)}"
                future: asyncio.Future[int] = loop.create_future()
                futures[reply] = (index, future)
                self._waiting[reply] = future
                body, headers = envelope.body(), envelope.headers()
                # The broker counts headers too, and closes the connection of who is above; nats-py looks at the body only.
                if len(body) + sum(len(k) + len(v) + 4 for k, v in headers.items()) + HEADER_FRAME > self._client.max_payload:
                    raise MaxPayloadError
                await self._client.publish(envelope.subject(self._prefix), body, reply=reply, headers=headers)
            if futures:
                await asyncio.wait([future for _, future in futures.values()], timeout=ACK_TIMEOUT_S)
        except MaxPayloadError as e:
            raise Refused(reasons.TOO_LARGE, f"the event is larger than the broker's limit of {self._client.max_payload} bytes") from e
        except (NatsError, OSError) as e:
            failure = e
        finally:
            for reply in futures:
                self._waiting.pop(reply, None)
        for index, future in futures.values():
            if not future.done():
                future.cancel()
                failure = failure or TimeoutError("no acknowledgement")
            elif (error := future.exception()) is None:
                acks[index] = future.result()
            else:
                failure = failure or Unavailable(str(error))
        return failure

    async def _subscribe(self) -> None:
        async with self._subscribed:
            if self._subscription is None:
                self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._acknowledged)

    async def _acknowledged(self, message: Msg) -> None:
        future = self._waiting.pop(message.subject, None)
        if future is None or future.done():
            return
        if not message.data:  # no stream listens on the subject, or it has no leader now
            future.set_exception(Unavailable("no stream takes the event"))
            return
        answer = orjson.loads(message.data)
        if "error" in answer:
            future.set_exception(Unavailable(f"the broker does not take the event: {answer['error'].get('description')}"))
        else:
            future.set_result(answer["seq"])
