"""The raw message of a rejection, and the job that it is about."""

import asyncio
import re
from typing import Any

from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from services.gateway.call import Call
from services.gateway.rest.metadata import JobRequest
from services.gateway.writing.link import BrokerLink
from shared.broker.streams import INTAKE
from shared.domain.values import INT64_MAX
from shared.errors import Unavailable
from shared.lineprotocol import FIELD, Point, parse_lines
from shared.replay import intake_origin

MAX_TEXT = 64 * 1024  # characters of a line, and of its payload
TIMEOUT_S = 5.0
_JOB_ID = re.compile(r'"jobId":\s*([0-9]{1,18})')

Json = dict[str, Any]


async def received(link: BrokerLink, row: Json) -> tuple[Json | None, str]:
    """The message of the intake that a rejection is about, or why there is none."""
    sequence = row["intake_seq"]
    if sequence is None:
        return None, "The input did not come through the intake, so only how it begins is known."
    stream = link.nats.stream(INTAKE)
    try:
        jetstream = link.client.jetstream(timeout=TIMEOUT_S)
        if not row["origin"].startswith(await intake_origin(jetstream, stream)):
            return None, f"The stream {stream} was recreated since; the message is lost."
        message = await jetstream.get_msg(stream, seq=sequence)
    except NotFoundError:
        return None, f"The message has left the stream {stream}; it cannot be replayed."
    except Unavailable as e:
        return None, str(e)
    except (NatsError, APIError, TimeoutError):
        return None, f"The broker does not answer for the stream {stream}."
    data = message.data or b""
    raw, payload = await asyncio.to_thread(_line, data, row["line"] or 1)
    found: Json = {
        "stream": stream,
        "sequence": sequence,
        "subject": message.subject,
        "time": None if message.time is None else message.time.timestamp(),
        "bytes": len(data),
        "lines": data.count(b"\n", 0, len(data) - 1) + 1 if data else 0,
        "raw": raw[:MAX_TEXT],
        "payload": None if payload is None else payload[:MAX_TEXT],
        "isCut": max(len(raw), len(payload or "")) > MAX_TEXT,
    }
    return found, ""


def _line(data: bytes, number: int) -> tuple[str, str | None]:
    """A physical line as text, and the payload of the line that begins there."""
    raw = b"".join(data.split(b"\n")[number - 1 : number]).decode(errors="replace")
    for line in parse_lines(data):
        if line.number == number:
            payload = line.fields.get(FIELD) if isinstance(line, Point) else None
            return raw, payload if isinstance(payload, str) else None
        if line.number > number:
            break
    return raw, None


async def job_in(call: Call, row: Json) -> int | None:
    """The newest job with the id and the cluster that the rejection names, by its id in the database."""
    found = _JOB_ID.search(row["excerpt"])
    number = row["job_id"] if row["job_id"] is not None else int(found[1]) if found else None
    if number is None or row["cluster"] is None or not -INT64_MAX <= number <= INT64_MAX:
        return None
    jobs = await call.gateway.jobs.newest(call.user, JobRequest(job_id=number, cluster=row["cluster"]).filter())
    return None if jobs is None else jobs.jobs[0].id
