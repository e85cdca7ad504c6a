"""Publishes raw bytes to the intake and waits until they are stored."""

from collections.abc import Sequence

from nats.aio.client import Client

from shared.broker.publisher import NoStream, Outgoing, Publisher
from shared.errors import Refused, UserError

DEADLINE_S = 20.0  # time limit for all messages together, since no progress is shown


async def publish_to_intake(client: Client, messages: Sequence[tuple[str, bytes]]) -> list[int]:
    """Store all (subject, bytes), in order; returns their intake sequences.

    Raises UserError when no stream captures a subject or a message is too large, Unavailable when the broker does not
    acknowledge them; then some may be stored.
    """
    outgoing = [Outgoing(subject, data) for subject, data in messages]
    try:
        return await Publisher(client, "").publish_raw(outgoing, deadline_s=DEADLINE_S, waits_for_stream=False)
    except NoStream as e:
        subjects = ", ".join(sorted({subject for subject, _ in messages}))
        raise UserError(
            f"no stream captures {subjects}: not among `job_subjects` and `node_subjects` in [nats],"
            " or `jobtide provision` has not run since they were changed"
        ) from e
    except Refused as e:
        raise UserError(str(e)) from e
