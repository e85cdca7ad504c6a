"""The pull subscription that FastStream's batch subscriber reads from, made prompt and watchful.

FastStream 0.7.8 collects a batch by fetching until it is full or its time is over, so a lone message waits for the
whole time; and it retries at once, in silence, when the consumer is gone. This stands between the two:

- after each fetch that brought messages, the next one answers "nothing more" at once, which ends the batch;
- a broken connection pauses, and a lost consumer is told to the service, which binds again.
"""

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError

from shared.backoff import Backoff
from shared.broker.puller import Puller
from shared.errors import ConsumerLost, Unavailable


class PromptPull:
    """Takes the place of ``PullSubscription`` for one batch subscriber. ``on_lost`` may be called more than once.

    What was fetched is added to ``in_hand``, which the handler empties: on a stop the rest is handed back.
    """

    def __init__(self, puller: Puller, *, in_hand: list[Msg], on_turn: Callable[[], None], on_lost: Callable[[], None]) -> None:
        self._puller = puller
        self._in_hand = in_hand
        self._on_turn = on_turn
        self._on_lost = on_lost
        self._batch_is_complete = True  # FastStream may hold messages of its own first fetch
        self._pause = Backoff(first_s=0.1, most_s=2.0)

    async def fetch(self, batch: int = 1, timeout: float | None = None) -> list[Msg]:
        """The messages at hand, after waiting about a second for the first one.

        Raises nats.errors.TimeoutError when there are none, and as the end of each batch.
        """
        if self._batch_is_complete:
            self._batch_is_complete = False
            raise NatsTimeoutError
        self._on_turn()
        try:
            messages = await self._puller.batch(batch)
        except Unavailable as e:
            if isinstance(e, ConsumerLost):
                self._on_lost()
            await asyncio.sleep(self._pause.next_s())
            raise NatsTimeoutError from None
        if not messages:
            raise NatsTimeoutError
        self._pause.reset()
        self._in_hand.extend(messages)
        self._batch_is_complete = True
        return messages

    async def unsubscribe(self) -> None:
        """What is still in the buffer joins what is in hand."""
        self._in_hand.extend(self._puller.drop())
