"""The outcome of an event: jobstore's answer, after its commit, to a waiting publisher."""

from typing import Literal

from nats.aio.client import Client
from pydantic import Field, ValidationError

from shared.broker.envelope import Envelope
from shared.broker.publisher import Publisher
from shared.domain.events import Part
from shared.errors import Unavailable


class Outcome(Part):
    """``applied`` changed rows, ``duplicate`` changed nothing, ``waiting`` is an event that waits for another one."""

    sequence: int
    kind: Literal["applied", "duplicate", "refused", "waiting"]
    job: int | None = Field(None, description="Database id of the job concerned.")
    code: str | None = Field(None, description="Reason code of a refusal.")
    text: str | None = None


class NoOutcome(Unavailable):
    """The event is recorded under ``sequence``, but its outcome was not reported in time."""

    def __init__(self, sequence: int) -> None:
        super().__init__(f"the event is recorded under sequence {sequence}, its outcome is not known yet")
        self.sequence = sequence


async def publish_and_wait(client: Client, publisher: Publisher, envelope: Envelope, *, timeout_s: float) -> Outcome:
    """Publish one event and wait for jobstore's answer. ``envelope.reply_to`` must be ``client.new_inbox()``.

    Raises NoOutcome after ``timeout_s``, Unavailable when the broker did not accept the event, Refused when it is too large.
    """
    assert envelope.reply_to is not None
    subscription = await client.subscribe(envelope.reply_to, max_msgs=1)
    try:
        (sequence,) = await publisher.publish([envelope], deadline_s=timeout_s)
        try:
            message = await subscription.next_msg(timeout=timeout_s)
            return Outcome.model_validate_json(message.data)
        except (TimeoutError, ValidationError) as e:
            raise NoOutcome(sequence) from e
    finally:
        await subscription.unsubscribe()
