"""Translates the JSON rule files of cc-backend. Source: metric reference 8.2.

A hint is a Go template; fields and ``printf`` are translated. Floats have two decimals, and a field that is missing becomes
``<no value>``, as there.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, Field

from shared.advice.expression import Environment
from shared.advice.operations import Value
from shared.advice.rules import Parameters, Rule, compiled, step
from shared.advice.template import Template, compile_template

PARAMETERS_FILE = "parameters.json"
NO_VALUE = "<no value>"

_ACTION = re.compile(r"(?P<before>\s*)\{\{(?P<trims>-\s)?(?P<body>.*?)(?P<trimmed>\s-)?\}\}(?P<after>\s*)", re.DOTALL)
_FIELD = re.compile(r"\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_PRINTF = re.compile(r'printf\s+"(?P<format>(?:[^"\\]|\\.)*)"(?P<arguments>(?:\s+\.[A-Za-z_][\w.]*)*)')
_VERB = re.compile(r"%(?:(?P<percent>%)|(?P<flags>[-+0 ]*)(?P<width>\d*)(?P<precision>\.\d+)?(?P<verb>[a-zA-Z]))")
_VERBS = {"f": "f", "F": "f", "e": "e", "E": "E", "g": "g", "G": "G", "d": "d", "v": "", "s": ""}
_ESCAPES = {"n": "\n", "t": "\t"}


class JsonVariable(BaseModel):
    name: str
    expr: str


class JsonRule(BaseModel):
    name: str = ""
    tag: str = Field(min_length=1, max_length=64)
    parameters: list[str] | None = None
    metrics: list[str] | None = None
    requirements: list[str] | None = None
    variables: list[JsonVariable] | None = None
    rule: str
    hint: str = ""


def json_parameters(file: Path) -> Mapping[str, Any]:
    """Those that the rules of a folder share; empty without the file. Raises ValueError and OSError."""
    if not file.exists():
        return {}
    found = orjson.loads(file.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{PARAMETERS_FILE} is not an object")  # noqa: TRY004 - one error for files that cannot be used
    return found


def translated(given: JsonRule, parameters: Mapping[str, Any]) -> Rule:
    """Raises ValueError and ExpressionError that name the key."""
    wanted = given.parameters or []
    if unknown := [name for name in wanted if name not in parameters]:
        raise ValueError(f"parameters: {unknown[0]} is not in {PARAMETERS_FILE}")
    metrics = given.metrics or []
    return Rule(
        tag=given.tag,
        title=given.name or given.tag,
        severity="info",
        metrics=metrics,
        metric=next(iter(metrics), ""),
        parameters=Parameters({name: parameters[name] for name in wanted}),
        requires=[step("requirements", text) for text in given.requirements or []],
        variables=[step(one.name, one.expr) for one in given.variables or []],
        when=step("rule", given.rule),
        text=hint_template(given.hint or given.name or given.tag),
        action=compiled("action", compile_template, ""),
    )


def hint_template(hint: str) -> Template:
    """Raises ValueError for anything but fields and ``printf``."""
    pieces: list[Callable[[Environment], str]] = []
    at = 0
    for match in _ACTION.finditer(hint):
        pieces.append(_constant(hint[at : match.start()] + ("" if match["trims"] else match["before"])))
        pieces.append(_action(match["body"].strip()))
        pieces.append(_constant("" if match["trimmed"] else match["after"]))
        at = match.end()
    rest = hint[at:]
    if "{{" in rest:
        raise ValueError(f"hint: {rest[rest.index('{{') :][:40]!r} cannot be translated")
    pieces.append(_constant(rest))
    return Template(hint, lambda names: "".join(piece(names) for piece in pieces))


def _constant(text: str) -> Callable[[Environment], str]:
    return lambda _: text


def _action(body: str) -> Callable[[Environment], str]:
    if field := _FIELD.fullmatch(body):
        path = field[1]
        return lambda names: _plain(_look_up(path, names))
    if body.startswith("/*") and body.endswith("*/"):
        return _constant("")
    if (call := _PRINTF.fullmatch(body)) is None:
        raise ValueError(f"hint: {{{{{body[:40]}}}}} cannot be translated")
    text = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), call["format"])
    paths = [one.removeprefix(".") for one in call["arguments"].split()]
    verbs = [match for match in _VERB.finditer(text) if not match["percent"]]
    if unknown := [match[0] for match in verbs if match["verb"] not in _VERBS]:
        raise ValueError(f"hint: {unknown[0]} in printf cannot be translated")
    if len(verbs) != len(paths):
        raise ValueError(f"hint: printf has {len(verbs)} verbs for {len(paths)} values")

    def run(names: Environment) -> str:
        values = iter(paths)
        return _VERB.sub(lambda verb: "%" if verb["percent"] else _formatted(verb, _look_up(next(values), names)), text)

    return run


def _look_up(path: str, names: Environment) -> Value:
    """None for a missing field. Floats have two decimals."""
    value: Value = names
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return round(value, 2) if isinstance(value, float) else value


def _plain(value: Value) -> str:
    match value:
        case None:
            return NO_VALUE
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.2f}".rstrip("0").rstrip(".")
        case list() | tuple():
            return f"[{' '.join(map(_plain, value))}]"
        case _:
            return str(value)


def _formatted(verb: re.Match[str], value: Value) -> str:
    """As Go's printf would; a value that the verb does not take is written plainly."""
    kind = _VERBS[verb["verb"]]
    width = verb["width"] if "-" not in verb["flags"] else f"<{verb['width']}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not kind or not is_number:
        text = _plain(value)
        return text.ljust(int(verb["width"] or 0)) if "-" in verb["flags"] else text.rjust(int(verb["width"] or 0))
    sign = "+" if "+" in verb["flags"] else ""
    zero = "0" if "0" in verb["flags"] and "-" not in verb["flags"] and verb["width"] else ""
    number = round(value) if kind == "d" else value
    align, size = ("<", width[1:]) if width.startswith("<") else ("", width)
    return format(number, f"{align}{sign}{zero}{size}{'' if kind == 'd' else verb['precision'] or ''}{kind}")
