"""JSON text in the archive's form: one line and a newline, shortest numbers, ``<``, ``>`` and ``&`` escaped."""

import math
from decimal import Decimal
from typing import Any

import orjson

from shared.json_escapes import html_safe


def number(value: float) -> Any:
    """A float in the archive's form: shortest digits, no ``.0``, an exponent below 1e-6 and from 1e21 on.

    Raises ValueError for NaN and infinity, which JSON cannot represent.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as JSON")
    size = abs(value)
    if size < 1e15 and value == int(value):
        return int(value) if value or math.copysign(1.0, value) > 0 else orjson.Fragment(b"-0")
    if 1e-4 <= size < 1e15:
        return value
    if 1e-6 <= size < 1e21:
        return orjson.Fragment(format(Decimal(repr(value)), "f").removesuffix(".0").encode())
    mantissa, _, exponent = repr(value).partition("e")
    return orjson.Fragment(f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}".encode())


def plain(value: Any) -> Any:
    """The same value with its floats converted by ``number``."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def dump(value: Any) -> bytes:
    """One line of JSON and a newline. Raises ValueError when ``value`` contains NaN or infinity."""
    return html_safe(orjson.dumps(plain(value))) + b"\n"
