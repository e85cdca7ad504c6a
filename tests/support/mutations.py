"""Damages lines, by a seed, as adapters, networks and people do."""

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.builders import line, node_payload, start_payload, stop_payload
from tests.support.clusters import DATA

_NASTY_VALUES: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, "", " ", "\0", "\ud800", "\U0001f4a5" * 3, "x" * 3000, "NaN",
    [], [None], [[]], {}, {"": None}, {"a": {"b": {"c": []}}}, [1, "two", None, {}],
]  # fmt: skip
_NASTY_BYTES = [
    b"\0", b'"', b"\\", b"\\\\", b'\\"', b",", b"=", b" ", b"\n", b"\r\n", b"\r", b"\t", b"#", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80",
    b"\xf0\x9f\x92\xa5", b"{", b"}", b"[" * 200, b"event=", b"job,", b"nan", b"1e999", b"99999999999999999999i", b"u", b"t",
]  # fmt: skip


def recorded_lines() -> list[bytes]:
    """The messages of a real adapter."""
    text = (DATA / "slurmlab" / "nats.jsonl").read_text()
    return [json.loads(entry)["data"].encode() for entry in text.splitlines()]


def mutated_lines(seed: int, count: int) -> Iterator[bytes]:
    """``count`` payloads, originally of one line each, some of them damaged so that they have none or many."""
    dice = random.Random(seed)
    recorded = recorded_lines()
    for number in range(count):
        kind = dice.random()
        if kind < 0.45:
            yield _damaged_object(dice, number)
        elif kind < 0.9:
            yield _damaged_bytes(dice, _whole(dice, number, recorded))
        else:
            yield dice.randbytes(dice.randint(0, 200)) if kind < 0.95 else _whole(dice, number, recorded)


def mutations_of(lines: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """``count`` times one of the lines with some of its bytes damaged."""
    dice = random.Random(seed)
    for _ in range(count):
        yield _damaged_bytes(dice, dice.choice(lines))


def _object(dice: random.Random, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A payload, and how it is wrapped into a line."""
    kind = dice.random()
    if kind < 0.5:
        return start_payload(number + 1, metaData={"jobName": "name"}, tags=[{"type": "a", "name": "b"}]), {"function": "start_job"}
    if kind < 0.9:
        return stop_payload(number + 1), {"function": "stop_job"}
    return node_payload(), {"measurement": "nodestate"}


def _whole(dice: random.Random, number: int, recorded: list[bytes]) -> bytes:
    if dice.random() < 0.2:
        return dice.choice(recorded)
    payload, wrapping = _object(dice, number)
    return line(payload, **wrapping)


def _damaged_object(dice: random.Random, number: int) -> bytes:
    """Valid line protocol around an object that is wrong somewhere."""
    payload, wrapping = _object(dice, number)
    for _ in range(dice.randint(1, 3)):
        _damage(dice, payload)
    text = json.dumps(payload, ensure_ascii=dice.random() < 0.5)
    if dice.random() < 0.05:
        text += dice.choice([" ", "{}", "]", "\0", "x"])
    try:
        return line(text, **wrapping)
    except UnicodeEncodeError:  # a lone surrogate can only be sent escaped
        return line(json.dumps(payload), **wrapping)


def _damage(dice: random.Random, value: Any) -> None:
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = dice.choice(keys)
    if isinstance(value[key], dict | list) and dice.random() < 0.5:
        _damage(dice, value[key])
        return
    what = dice.random()
    if what < 0.2 and isinstance(value, dict):
        del value[key]
    elif what < 0.3 and isinstance(value, dict):
        value[dice.choice([key.upper(), key + "x", "", "\0", key[:-1]])] = value[key]
    else:
        value[key] = copy.deepcopy(dice.choice(_NASTY_VALUES))


def _damaged_bytes(dice: random.Random, text: bytes) -> bytes:
    for _ in range(dice.randint(1, 4)):
        at, until = sorted((dice.randint(0, len(text)), dice.randint(0, len(text))))
        what = dice.random()
        if what < 0.3:
            text = text[:at] + dice.choice(_NASTY_BYTES) + text[at:]
        elif what < 0.5:
            text = text[:at] + text[min(until, at + 8) :]
        elif what < 0.6:
            text = text[:at]
        elif what < 0.7:
            text = text[:until] + text[at : min(until, at + 400)] + text[until:]
        elif text:
            at = min(at, len(text) - 1)
            text = text[:at] + bytes([dice.randrange(256)]) + text[at + 1 :]
    return text
