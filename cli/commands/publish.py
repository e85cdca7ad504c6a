"""`jobtide publish`: publishes line protocol as an adapter or collector would, and waits until it is stored."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from cli.commands.clusters import read_file
from cli.embedded.accounts import ADAPTER
from cli.raw import publish_to_intake
from cli.site import broker_of, find_site
from shared.broker.streams import covers, intake_filters
from shared.errors import UserError
from shared.lineprotocol import BadLine, Point, parse_lines
from shared.settings import NatsSettings

NODE_MEASUREMENT = "nodestate"
CHUNK_BYTES = 512 * 1024  # bounded because a failure redelivers the whole message


@dataclass(frozen=True, slots=True)
class Line:
    """One line including its line feed, and the subject that an adapter would publish it to."""

    subject: str
    data: bytes


def split(payload: bytes, nats: NatsSettings, subject: str | None = None) -> Iterator[Line]:
    """The lines as ingest would split them; blank lines and comments stay with the preceding line.

    Invalid lines are included, so that the site refuses them visibly.
    Raises UserError when a subject needs the cluster and a line does not name one.
    """
    physical = payload.split(b"\n")
    parsed = list(parse_lines(payload))
    for index, line in enumerate(parsed):
        end = parsed[index + 1].number - 1 if index + 1 < len(parsed) else len(physical)
        data = b"\n".join(physical[line.number - 1 : end])
        yield Line(subject or subject_of(line, nats), data.rstrip(b"\n") + b"\n")


def subject_of(line: Point | BadLine, nats: NatsSettings) -> str:
    is_node = isinstance(line, Point) and line.measurement == NODE_MEASUREMENT
    pattern = (nats.node_subjects if is_node else nats.job_subjects)[0]
    if "{cluster}" not in pattern:
        return pattern
    cluster = _cluster_of(line)
    if not cluster:
        raise UserError(f"line {line.number} names no cluster, which the subject {pattern} needs; give --subject")
    return pattern.replace("{cluster}", cluster)


def _cluster_of(line: Point | BadLine) -> str | None:
    try:
        payload = orjson.loads(line.fields["event"]) if isinstance(line, Point) else {}
        cluster = payload.get("cluster")
    except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError):
        return None
    return cluster if isinstance(cluster, str) else None


def together(lines: Iterator[Line], max_bytes: int) -> Iterator[Line]:
    """Adjacent lines of one subject joined into messages of up to ``max_bytes``."""
    subject, parts, size = "", list[bytes](), 0
    for line in lines:
        if parts and (line.subject != subject or size + len(line.data) > max_bytes):
            yield Line(subject, b"".join(parts))
            parts, size = [], 0
        subject = line.subject
        parts.append(line.data)
        size += len(line.data)
    if parts:
        yield Line(subject, b"".join(parts))


def _require_captured(nats: NatsSettings, subject: str) -> None:
    """Raises UserError if ``--subject`` is not one of the configured subjects."""
    patterns = intake_filters([*nats.job_subjects, *nats.node_subjects, *nats.metric_subjects])
    if not any(covers(pattern, subject) for pattern in patterns):
        raise UserError(
            f"--subject: no stream captures {subject}: it is not one of `job_subjects`, `node_subjects` and `metric_subjects` in [nats]"
        )


def run_publish(data: Path | None, path: Path, *, chunks: bool, subject: str | None) -> None:
    payload = sys.stdin.buffer.read() if str(path) == "-" else read_file(path)

    async def run() -> tuple[int, int]:
        async with broker_of(find_site(data), "publish", ADAPTER) as (client, nats):
            if subject:
                _require_captured(nats, subject)
            lines = list(split(payload, nats, subject))
            messages = list(together(iter(lines), min(CHUNK_BYTES, client.max_payload))) if chunks else lines
            await publish_to_intake(client, [(message.subject, message.data) for message in messages])
            return len(lines), len(messages)

    lines, messages = asyncio.run(run())
    print(f"published {_count(lines, 'line')} in {_count(messages, 'message')}")
    print("`jobtide rejections` shows refused lines", file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
