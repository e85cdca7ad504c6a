"""The outcome of an event: jobstore's answer, after its commit, to a waiting publisher."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Literal

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from pydantic import Field, ValidationError

from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import Part
from shared.errors import Unavailable


class Outcome(Part):
    """``applied`` changed rows, ``duplicate`` changed nothing, ``waiting`` is an event that waits for another one.

    ``delayed`` precedes the others when the database fails, with the reason in ``text``.
    """

    sequence: int
    kind: Literal["applied", "duplicate", "refused", "waiting", "delayed"]
    job: int | None = Field(None, description="Database id of the job concerned.")
    code: str | None = Field(None, description="Reason code of a refusal.")
    text: str | None = None


class NoOutcome(Unavailable):
    """The event is recorded under ``sequence``, but its outcome was not reported in time. ``why`` is the cause of the delay, if known."""

    def __init__(self, sequence: int, why: str | None = None) -> None:
        super().__init__(f"the event is recorded under sequence {sequence}, its outcome is not known yet" + (f": {why}" if why else ""))
        self.sequence = sequence
        self.why = why


async def publish_and_wait(client: Client, publisher: Publisher, envelopes: Sequence[Envelope], *, timeout_s: float) -> list[Outcome]:
    """Publish events together, in order, and wait for jobstore's answer to each.

    Each envelope needs its own ``client.new_inbox()`` as ``reply_to``. Raises NoOutcome when an answer is missing after ``timeout_s``,
    Unavailable when the broker did not accept the events, Refused when one is too large.
    """
    async with AsyncExitStack() as stack:
        subscriptions = []
        for envelope in envelopes:
            assert envelope.reply_to is not None
            subscription = await client.subscribe(envelope.reply_to)
            stack.push_async_callback(subscription.unsubscribe)
            subscriptions.append(subscription)
        sequences = await publisher.publish(envelopes, deadline_s=timeout_s)
        until = asyncio.get_running_loop().time() + timeout_s
        return [await _outcome(subscription, at, until) for at, subscription in zip(sequences, subscriptions, strict=True)]


async def _outcome(subscription: Subscription, sequence: int, until: float) -> Outcome:
    why = None
    while True:
        try:
            message = await subscription.next_msg(timeout=max(0.001, until - asyncio.get_running_loop().time()))
            outcome = Outcome.model_validate_json(message.data)
        except (TimeoutError, ValidationError) as e:
            raise NoOutcome(sequence, why) from e
        if outcome.kind != "delayed":
            return outcome
        why = outcome.text
