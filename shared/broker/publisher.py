"""Publishing events so that each is in the log exactly once, or the caller knows that it may not be."""

import asyncio
from collections.abc import Sequence

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.api import PubAck
from nats.js.errors import APIError

from shared.backoff import Backoff
from shared.broker.envelope import Envelope
from shared.domain import reasons
from shared.errors import Refused, Unavailable

log = structlog.get_logger()

ACK_TIMEOUT_S = 5.0
MOST_IN_FLIGHT = 1000  # acks awaited at once; below nats-py's own bound of 4,000, which raises


class Publisher:
    """Publishes envelopes and awaits the broker's acknowledgements. One per connection; safe to share between tasks."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._js = client.jetstream(timeout=ACK_TIMEOUT_S)

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
        acks: dict[int, PubAck] = {}
        pause = Backoff(first_s=0.1, most_s=2.0)
        while True:
            missing = [index for index in range(len(envelopes)) if index not in acks]
            failure = await self._try(envelopes, missing, acks)
            if len(acks) == len(envelopes):
                return [acks[index].seq for index in range(len(envelopes))]
            left_s = give_up - loop.time()
            if left_s <= 0:
                raise Unavailable(f"the broker did not acknowledge {len(envelopes) - len(acks)} of {len(envelopes)} events") from failure
            log.warning("publish_retried", missing=len(envelopes) - len(acks), error=repr(failure))
            # A future whose ack was lost keeps its slot in nats-py for ever: a new context has free slots.
            self._js = self._client.jetstream(timeout=ACK_TIMEOUT_S)
            await asyncio.sleep(min(pause.next_s(), left_s))

    async def _try(self, envelopes: Sequence[Envelope], missing: list[int], acks: dict[int, PubAck]) -> BaseException | None:
        futures: dict[int, asyncio.Future[PubAck]] = {}
        try:
            for index in missing:
                envelope = envelopes[index]
                futures[index] = await self._js.publish_async(
                    envelope.subject(self._prefix), envelope.body(), headers=envelope.headers(), wait_stall=ACK_TIMEOUT_S
                )
        except MaxPayloadError as e:
            raise Refused(reasons.TOO_LARGE, f"the event is larger than the broker's limit of {self._client.max_payload} bytes") from e
        except (NatsError, OSError) as e:
            failure: BaseException | None = e
        else:
            failure = None
        if futures:
            await asyncio.wait(futures.values(), timeout=ACK_TIMEOUT_S)
        for index, future in futures.items():
            if not future.done():
                future.cancel()
                failure = failure or TimeoutError("no acknowledgement")
            elif (error := future.exception()) is None:
                acks[index] = future.result()
            else:
                failure = error if isinstance(error, APIError | NatsError) else failure or error
        return failure
