"""Publishing raw bytes to the intake with the broker's acknowledgement: they are captured, or the caller hears why not."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.api import PubAck
from nats.js.errors import APIError, NoStreamResponseError

from shared.backoff import Backoff
from shared.broker.envelope import MESSAGE_ID
from shared.errors import Unavailable, UserError

IN_FLIGHT = 500  # messages, and
IN_FLIGHT_BYTES = 16 * 1024 * 1024  # bytes, that wait for their acknowledgements at once
HEADER_BYTES = 256  # counted by the broker as part of the payload
ACK_TIMEOUT_S = 5.0
TRIES = 5


class RawPublisher:
    """Each message has an id of its own, so that a repeated publish is stored once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._run = uuid.uuid4().hex
        self._published = 0

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """Store all (subject, bytes), in order; returns their intake sequences.

        Raises UserError when no stream captures a subject or a message is too large, Unavailable when the broker is away.
        """
        sequences: list[int] = []
        for window in _windows(messages):
            sequences += await self._window(window)
        return sequences

    async def _window(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        ids = [f"{self._run}:{self._published + index}" for index in range(len(messages))]
        self._published += len(messages)
        acks: dict[int, PubAck] = {}
        pause = Backoff(first_s=0.2, most_s=2.0)
        for _ in range(TRIES):
            await self._try(messages, ids, acks)
            if len(acks) == len(messages):
                return [acks[index].seq for index in range(len(messages))]
            await asyncio.sleep(pause.next_s())
        raise Unavailable(f"the broker did not acknowledge {len(messages) - len(acks)} messages; some of them may be stored")

    async def _try(self, messages: Sequence[tuple[str, bytes]], ids: list[str], acks: dict[int, PubAck]) -> None:
        js = self._client.jetstream(timeout=ACK_TIMEOUT_S)  # a fresh one: lost acks keep their slots in an old one
        futures: dict[int, asyncio.Future[PubAck]] = {}
        for index, (subject, data) in enumerate(messages):
            if index in acks:
                continue
            # A message that only fits without a header may be stored twice after a retry; that is for the rules to see.
            headers = {MESSAGE_ID: ids[index]} if len(data) + HEADER_BYTES <= self._client.max_payload else None
            try:
                futures[index] = await js.publish_async(subject, data, headers=headers, wait_stall=ACK_TIMEOUT_S)
            except MaxPayloadError as e:
                raise UserError(f"a message of {len(data)} bytes is larger than the broker's limit of {self._client.max_payload}") from e
            except (NatsError, OSError):
                break
        if futures:
            await asyncio.wait(futures.values(), timeout=ACK_TIMEOUT_S)
        errors: dict[int, BaseException | None] = {}
        for index, future in futures.items():
            if future.done():
                errors[index] = future.exception()
            else:
                future.cancel()
        for index, error in errors.items():
            if error is None:
                acks[index] = futures[index].result()
            elif isinstance(error, NoStreamResponseError):
                raise UserError(
                    f"no stream captures the subject {messages[index][0]}: it is none of `job_subjects` and `node_subjects` in [nats],"
                    " or `jobtide provision` has not run since they were changed"
                ) from error
            elif isinstance(error, APIError) and error.code != 503:
                raise UserError(f"the broker refuses {messages[index][0]}: {error.description}") from error


def _windows(messages: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    first, size = 0, 0
    for index, (_, data) in enumerate(messages):
        if index > first and (index - first >= IN_FLIGHT or size + len(data) > IN_FLIGHT_BYTES):
            yield messages[first:index]
            first, size = index, 0
        size += len(data)
    if messages:
        yield messages[first:]
