"""Writes: every change is an event in the log, and jobstore reports its outcome."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.errors import of_refusal, public_text
from services.gateway.people.identity import User
from services.gateway.writing.link import BrokerLink
from shared import prometheus
from shared.backoff import Backoff
from shared.broker.envelope import Envelope
from shared.broker.outcome import NoOutcome, Outcome, publish_and_wait
from shared.broker.streams import EVENTS
from shared.database.progress import Progress, progress_of
from shared.domain.events import Event, JobStarted, JobStopped
from shared.errors import Refused, Unavailable

SOURCE = "jobtide/gateway"


class Commands:
    """Publishes on behalf of a user. Raises Unavailable when the broker does not accept an event, RequestError for a refusal."""

    def __init__(self, link: BrokerLink, engine: AsyncEngine, timeout_s: float, registry: CollectorRegistry) -> None:
        self._link = link
        self._oddities = prometheus.ODDITIES.counter(registry)
        self._engine = engine
        self._timeout_s = timeout_s

    async def decide(self, event: Event, user: User, *following: Event) -> Outcome:
        """Publish an event and wait for its outcome, applied or duplicate.

        ``following`` are published with it, so that the log has all or a repeated request brings the rest; all outcomes are awaited.
        Raises RequestError for the first that was refused, unless the event itself is a duplicate; NoOutcome without an answer in time.
        """
        events = [event, *following]
        for oddity in (oddity for e in events if isinstance(e, JobStarted | JobStopped) for oddity in e.oddities):
            self._oddities.labels(code=oddity.code).inc()
        client, publisher = self._link.client, self._link.publisher
        try:
            envelopes = [_envelope(e, user, reply_to=client.new_inbox()) for e in events]
            outcomes = await publish_and_wait(client, publisher, envelopes, timeout_s=self._timeout_s)
        except NoOutcome as e:
            raise NoOutcome(e.sequence, public_text(Unavailable(e.why)) if e.why else None) from e
        except Unavailable:
            await self._link.require_store()  # names the cause, if the broker stores nothing
            raise
        except Refused as e:
            raise of_refusal(e) from e
        except NatsError as e:
            raise Unavailable("the broker went away") from e
        for outcome in outcomes if outcomes[0].kind != "duplicate" else ():
            if outcome.kind == "refused":
                raise of_refusal(Refused(outcome.code or "", outcome.text or outcome.code or "refused"))
            if outcome.kind == "waiting":
                raise NoOutcome(outcome.sequence)
        return outcomes[0]

    async def record(self, events: Sequence[Event], user: User) -> int:
        """Publish without waiting for an outcome; returns the last sequence."""
        try:
            return (await self._link.publisher.publish([_envelope(e, user) for e in events], deadline_s=self._timeout_s))[-1]
        except Unavailable:
            await self._link.require_store()
            raise
        except Refused as e:
            raise of_refusal(e) from e

    async def applied(self, sequence: int, stream: str = EVENTS) -> None:
        """Wait until jobstore has handled everything up to ``sequence`` of EVENTS or REJECTIONS. Raises NoOutcome after the time."""
        pause = Backoff(first_s=0.01, max_s=0.2)
        try:
            async with asyncio.timeout(self._timeout_s):
                while _position(await progress_of(self._engine), stream) < sequence:  # noqa: ASYNC110 - the position moves in the database
                    await asyncio.sleep(pause.next_s())
        except TimeoutError as e:
            raise NoOutcome(sequence) from e


def _position(progress: Progress, stream: str) -> int:
    return progress.events if stream == EVENTS else progress.rejections


def _envelope(event: Event, user: User, reply_to: str | None = None) -> Envelope:
    return Envelope(event, str(uuid.uuid4()), SOURCE, datetime.now(UTC), actor=user.name, reply_to=reply_to)
