"""CloudEvents 1.0 in the NATS binary binding: headers carry the attributes, the body is the JSON of the event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote

from shared.domain import reasons
from shared.domain.events import Event, decode, encode, type_of
from shared.domain.recorded import Recorded, Unreadable
from shared.errors import Refused

MESSAGE_ID = "Nats-Msg-Id"
REPLY_TO = "Jobtide-Reply-To"
ACTOR = "Jobtide-Actor"
CLUSTER_HEADER = "Jobtide-Cluster"  # metric lines over HTTP: the cluster of lines without a cluster tag
REPLAY_OF = "Jobtide-Replay-Of"  # raw messages: the intake sequence of the message that is repeated
REPLAYS = "Jobtide-Replays"  # events of a replay: the message id of the original event
STORED_AT = "Jobtide-Stored-At"  # events that moved within the log: when they were first stored, ISO 8601


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event on its way to the log.

    ``message_id`` is deterministic where a retry is possible; it is also the CloudEvents id. ``actor`` is the user
    who caused the event; ``reply_to`` is the inbox that receives its outcome. ``replays`` is the message id of the original event in a
    replay.
    """

    event: Event
    message_id: str
    source: str
    time: datetime
    actor: str | None = None
    reply_to: str | None = None
    replays: str | None = None

    def subject(self, prefix: str) -> str:
        """``<prefix>.job.started.<cluster>``; events that belong to no cluster have no last token."""
        if not belongs_to_cluster(self.event.name):
            return f"{prefix}.{self.event.name}"
        return f"{prefix}.{self.event.name}.{subject_token(self.event.subject_cluster)}"

    def headers(self) -> dict[str, str]:
        message_id = _encoded(self.message_id)
        headers = {
            MESSAGE_ID: message_id,
            "ce-specversion": "1.0",
            "ce-id": message_id,
            "ce-type": type_of(self.event),
            "ce-source": _encoded(self.source),
            "ce-time": self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "content-type": "application/json",
        }
        if self.actor:
            headers[ACTOR] = _encoded(self.actor)
        if self.reply_to:
            headers[REPLY_TO] = self.reply_to
        if self.replays:
            headers[REPLAYS] = _encoded(self.replays)
        return headers

    def body(self) -> bytes:
        return encode(self.event)


def _encoded(value: str) -> str:
    """Percent-encode special characters: a line end would start another header, and nats-py reads ASCII only."""
    is_plain = value.isascii() and value.isprintable() and "%" not in value and value == value.strip()
    return value if is_plain else quote(value, safe=_PLAIN)


_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '%"')


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    value = str(value)  # nats-py returns non-ASCII headers of other publishers as another type
    return unquote(value) if "%" in value else value


def belongs_to_cluster(event_name: str) -> bool:
    """Whether the subject of such events ends with a token for the cluster."""
    return event_name.startswith(("job.", "node."))


def read(sequence: int, headers: Mapping[str, str] | None, body: bytes, stored_at: datetime) -> Recorded | Unreadable:
    """Never raises."""
    headers = headers or {}
    time = log_time = stored_at.timestamp()
    message_id = _header(headers, MESSAGE_ID) or ""
    try:
        event_type = _header(headers, "ce-type")
        if event_type is None:
            raise Refused(reasons.UNREADABLE_EVENT, "the message has no ce-type header")
        time = _time(headers, "ce-time", stored_at)
        stored = _time(headers, STORED_AT, stored_at)
        event = decode(event_type, body)
        actor, reply_to, replays = _header(headers, ACTOR), headers.get(REPLY_TO), _header(headers, REPLAYS) or ""
        return Recorded(sequence, event, time, actor, reply_to, message_id, stored, log_time, replays)
    except Refused as e:
        return Unreadable(sequence, time, e, excerpt_text(body), message_id, log_time)
    except (ValueError, OverflowError) as e:
        reason = Refused(reasons.UNREADABLE_EVENT, str(e))
        return Unreadable(sequence, time, reason, excerpt_text(body), message_id, log_time)


def _time(headers: Mapping[str, str], name: str, default: datetime) -> float:
    """Unix seconds of an ISO 8601 header. Raises ValueError that names the header, OverflowError."""
    if name not in headers:
        return default.timestamp()
    try:
        time = datetime.fromisoformat(str(headers[name]))
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from e
    if time.tzinfo is None:
        raise ValueError(f"{name}: no time zone")
    return time.timestamp()


def excerpt_text(data: bytes, max_bytes: int = 512) -> str:
    """The first bytes as text that every database can store."""
    return data[:max_bytes].decode("utf-8", "replace").replace("\0", "\ufffd")


@lru_cache(maxsize=1000)
def subject_token(cluster: str | None) -> str:
    """A cluster's name as one subject token: characters other than letters, digits, ``-`` and ``_`` become ``=XX``."""
    if not cluster:
        return "_"
    return "".join(chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b"-_" else f"={byte:02X}" for byte in cluster.encode())
