"""Finds the original message of a replay.

A replay names an earlier intake message in a header. Adapters may send any header, so it is only accepted if both messages
are identical. Its only effect is then that the rejections of the original are replaced instead of added a second time.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from shared.broker.envelope import REPLAY_OF
from shared.errors import Unavailable

TIMEOUT_S = 5.0
MAX_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Original:
    """The original of a replayed message: its sequence in the intake, and when the broker stored it."""

    sequence: int
    received_at: datetime


async def original_of(client: Client, stream: str, message: Msg) -> Original | None:
    """The earlier message of ``stream`` that ``message`` replays. None if it is not a replay, or the original has expired.

    Raises Unavailable.
    """
    named = (message.headers or {}).get(REPLAY_OF, "")
    if not (named.isascii() and named.isdigit() and len(named) <= MAX_DIGITS):
        return None
    sequence = int(named)
    if not 0 < sequence < message.metadata.sequence.stream:
        return None
    try:
        answer = await client.request(f"$JS.API.STREAM.MSG.GET.{stream}", orjson.dumps({"seq": sequence}), timeout=TIMEOUT_S)
        found = orjson.loads(answer.data)
    except (NatsError, TimeoutError, OSError, orjson.JSONDecodeError) as e:
        raise Unavailable(f"the broker does not answer for message {sequence} of {stream}: {e!r}") from e
    if "error" in found:
        if found["error"].get("code") == HTTPStatus.NOT_FOUND:
            return None
        raise Unavailable(f"the broker does not return message {sequence} of {stream}: {found['error'].get('description')}")
    stored = found["message"]
    is_same = (stored["subject"], base64.b64decode(stored.get("data", ""))) == (message.subject, message.data)
    return Original(sequence, _time(stored["time"])) if is_same else None


def _time(text: str) -> datetime:
    """Parse an RFC 3339 time of the broker with up to nine digits, rounding like nats-py does for delivered messages.

    ``get_msg`` of nats-py truncates instead, but message ids contain the time, so both must agree.
    """
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    nanoseconds = int(datetime.fromisoformat(f"{seconds}+00:00").timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)
    return datetime.fromtimestamp(nanoseconds / 1_000_000_000.0, UTC)  # a float divisor, as in nats-py
