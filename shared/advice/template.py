"""Sentences with expressions in braces: ``{mem_used.max}``, ``{share:percent}``, ``{job.duration:duration}``; double braces are braces."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.advice.expression import Environment, Node, compile_expression
from shared.advice.operations import ExpressionError, Value

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FORMAT = re.compile(r"(.*):\s*(\w+)\s*", re.DOTALL)
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Template:
    """Called with names it gives the sentence; raises ExpressionError."""

    source: str
    run: Callable[[Environment], str]

    def __call__(self, names: Environment) -> str:
        return self.run(names)


def compile_template(text: str) -> Template:
    """Raises ExpressionError."""
    pieces: list[str | tuple[Node, Callable[[Value], str]]] = []
    at = 0
    for match in _PART.finditer(text):
        pieces.append(text[at : match.start()])
        at = match.end()
        if match[0] in ("{{", "}}"):
            pieces.append(match[0][0])
        elif match[1] is None:
            raise ExpressionError(f"character {match.start() + 1} of the text: a brace without its partner")
        else:
            pieces.append(_placeholder(match[1]))
    pieces.append(text[at:])
    return Template(text, lambda names: "".join(piece if isinstance(piece, str) else piece[1](piece[0](names)) for piece in pieces))


def _placeholder(text: str) -> tuple[Node, Callable[[Value], str]]:
    match = _FORMAT.fullmatch(text)
    if match is not None and match[2] in _FORMATS:
        return compile_expression(match[1]), _FORMATS[match[2]]
    return compile_expression(text), plain


def plain(value: Value) -> str:
    """Numbers with three significant digits, and all digits before the point."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return str(value)


def percent(value: Value) -> str:
    """A share as text: 0.42 is 42 %."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError("a share is a number")
    return f"{100 * value:.0f} %"


def duration(value: Value) -> str:
    """Seconds as text: the two largest units, such as 2 h 5 min."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError("a duration is a number of seconds")
    left, parts = int(value), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


_FORMATS: dict[str, Callable[[Value], str]] = {"percent": percent, "duration": duration}
