"""The age of the messages that a work queue has not finished, and when the broker will remove them."""

import time
from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Backlog:
    """``age_s`` of the oldest unfinished message, 0 without any; ``limit_s`` is the age at which it expires, 0 for never."""

    stream: str
    age_s: float
    limit_s: float

    @property
    def is_old(self) -> bool:
        """Whether half of the time to act has passed."""
        return self.limit_s > 0 and self.age_s > self.limit_s / 2

    def __str__(self) -> str:
        return f"the oldest unread message of {self.stream} is {self.age_s:,.0f} s old; it expires after {self.limit_s:,.0f} s"


async def backlog_of(js: JetStreamContext, stream: str, consumer: str) -> Backlog:
    """Raises errors of nats-py."""
    info = await js.stream_info(stream)
    age_s = await unread_s(js, stream, await js.consumer_info(stream, consumer))
    return Backlog(stream, age_s, info.config.max_age or 0.0)


async def unread_s(js: JetStreamContext, stream: str, consumer: ConsumerInfo) -> float:
    """The age of the oldest message that the consumer has not finished; 0 without any. Raises errors of nats-py."""
    if not (consumer.num_pending or consumer.num_ack_pending):
        return 0.0
    done = (consumer.ack_floor.stream_seq or 0) if consumer.ack_floor else 0
    try:
        stored_at = (await js.get_msg(stream, seq=done + 1, subject=">", next=True)).time
    except NotFoundError:
        return 0.0  # finished or removed meanwhile
    return max(0.0, time.time() - stored_at.timestamp()) if stored_at is not None else 0.0
