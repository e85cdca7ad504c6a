"""Values of expressions, and their operators and functions, which raise ExpressionError for values of the wrong type."""

import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.advice.courses import Course, correlation
from shared.errors import JobtideError

MAX_NAMES = 5  # in a sentence

Value = Any  # int, float, str, bool, None, a list of values, a mapping of names to values, or a Course


class ExpressionError(JobtideError):
    """The text is not an expression, or it has no value for a job."""


def as_number(value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"{_kind(value)} is not a number")
    return value


def as_bool(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"{_kind(value)} is neither true nor false")
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"{_kind(value)} is not a text")
    return value


def _numbers(value: Value) -> list[float]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ExpressionError(f"{_kind(value)} is not a list")
    return [as_number(one) for one in value]


def _kind(value: Value) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case Mapping():
            return "an object"
        case Course():
            return "a series"
        case _:
            return "a list"


def _finite(value: float) -> float:
    if isinstance(value, complex) or not math.isfinite(value):
        raise ExpressionError("the result is not a finite number")
    return value


def _arithmetic(run: Callable[[float, float], float]) -> Callable[[Value, Value], Value]:
    def apply(left: Value, right: Value) -> Value:
        try:
            return _finite(run(as_number(left), as_number(right)))
        except (ZeroDivisionError, OverflowError, ValueError) as e:
            raise ExpressionError(str(e)) from e

    return apply


def _power(base: float, exponent: float) -> float:
    return math.pow(base, exponent)


def _plus(left: Value, right: Value) -> Value:
    return left + right if isinstance(left, str) and isinstance(right, str) else _arithmetic(operator.add)(left, right)


def _compared(run: Callable[[Any, Any], bool]) -> Callable[[Value, Value], Value]:
    def apply(left: Value, right: Value) -> Value:
        if isinstance(left, str) and isinstance(right, str):
            return run(left, right)
        return run(as_number(left), as_number(right))

    return apply


def _in(item: Value, whole: Value) -> bool:
    if isinstance(whole, str):
        return _text(item) in whole
    if isinstance(whole, Mapping):
        return _text(item) in whole
    if isinstance(whole, Sequence):
        return item in whole
    raise ExpressionError(f"{_kind(whole)} has no elements")


def _matches(text: Value, pattern: Value) -> bool:
    try:
        return re.search(_text(pattern), _text(text)) is not None
    except re.error as e:
        raise ExpressionError(f"{pattern!r} is not a regular expression: {e}") from e


def _mean(value: Value) -> float:
    numbers = _numbers(value)
    if not numbers:
        raise ExpressionError("an empty list has no mean")
    return math.fsum(numbers) / len(numbers)


def _extreme(pick: Callable[[Sequence[float]], float]) -> Callable[..., float]:
    def apply(*values: Value) -> float:
        numbers = [number for value in values for number in (_numbers(value) if isinstance(value, list | tuple) else [as_number(value)])]
        if not numbers:
            raise ExpressionError("an empty list has neither minimum nor maximum")
        return pick(numbers)

    return apply


def _place_of(pick: Callable[[Sequence[float]], float]) -> Callable[[Value], int]:
    def apply(value: Value) -> int:
        numbers = _numbers(value)
        if not numbers:
            raise ExpressionError("an empty list has neither minimum nor maximum")
        return numbers.index(pick(numbers))

    return apply


def _median(value: Value) -> float:
    numbers = _numbers(value)
    if not numbers:
        raise ExpressionError("an empty list has no median")
    return statistics.median(numbers)


def _correlation(one: Value, other: Value) -> float:
    if not isinstance(one, Course) or not isinstance(other, Course):
        raise ExpressionError(f"{_kind(other if isinstance(one, Course) else one)} is not the series of a metric")
    return correlation(one, other)


def _names(value: Value) -> str:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ExpressionError(f"{_kind(value)} is not a list")
    shown = [_text(one) for one in value[:MAX_NAMES]]
    more = len(value) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _where(values: Value, names: Value, is_wanted: Callable[[float], bool]) -> list[Value]:
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise ExpressionError(f"{_kind(names)} is not a list")
    return [name for number, name in zip(_numbers(values), names, strict=True) if is_wanted(number)]


def _length(value: Value) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise ExpressionError(f"{_kind(value)} has no length")
    return len(value)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "abs": lambda value: abs(as_number(value)),
    "ceil": lambda value: math.ceil(as_number(value)),
    "floor": lambda value: math.floor(as_number(value)),
    "int": lambda value: int(as_number(value)),
    "float": lambda value: float(as_number(value)),
    "round": lambda value: float(math.floor(as_number(value) + 0.5)),
    "string": lambda value: value if isinstance(value, str) else f"{as_number(value):g}",
    "min": _extreme(min),
    "max": _extreme(max),
    "sum": lambda value: math.fsum(_numbers(value)),
    "mean": _mean,
    "median": _median,
    "argmin": _place_of(min),
    "argmax": _place_of(max),
    "correlation": _correlation,
    "names": _names,
    "namesBelow": lambda values, limit, names: _names(_where(values, names, lambda number: number < as_number(limit))),
    "len": _length,
    "lower": lambda value: _text(value).lower(),
    "upper": lambda value: _text(value).upper(),
    "below": lambda values, limit: sum(number < as_number(limit) for number in _numbers(values)),
    "above": lambda values, limit: sum(number > as_number(limit) for number in _numbers(values)),
}

# By sign: the precedence (higher binds more tightly) and the operation.
BINARY: dict[str, tuple[int, Callable[[Value, Value], Value]]] = {
    "==": (4, operator.eq),
    "!=": (4, operator.ne),
    "<": (4, _compared(operator.lt)),
    "<=": (4, _compared(operator.le)),
    ">": (4, _compared(operator.gt)),
    ">=": (4, _compared(operator.ge)),
    "in": (4, _in),
    "contains": (4, lambda left, right: _in(right, left)),
    "startsWith": (4, lambda left, right: _text(left).startswith(_text(right))),
    "endsWith": (4, lambda left, right: _text(left).endswith(_text(right))),
    "matches": (4, _matches),
    "+": (5, _plus),
    "-": (5, _arithmetic(operator.sub)),
    "*": (6, _arithmetic(operator.mul)),
    "/": (6, _arithmetic(operator.truediv)),
    "%": (6, _arithmetic(math.fmod)),
    "**": (8, _arithmetic(_power)),
    "^": (8, _arithmetic(_power)),
}
