"""The language of advice rules."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.advice.expression import MAX_LENGTH, compile_expression
from shared.advice.operations import ExpressionError
from shared.advice.template import compile_template

NAMES: dict[str, Any] = {
    "job": {"duration": 3600, "state": "completed", "numNodes": 4},
    "load": {"avg": 40.0, "nodes": [72.0, 0.1, 71.0], "limits": {"peak": 72.0}},
    "share": 0.8,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("-2 ** 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("10 - 4 - 3", 3),
        ("7 % 4", 3),
        ("1_000 + .5 + 1e3", 2000.5),
        ("load.avg / load.limits.peak < share", True),
        ("load['avg'] == 40", True),
        ("load.nodes[1] < 1", True),
        ("1 < 2 and not (2 > 3) && true", True),
        ("!false || 1 / 0 > 1", True),
        ("not job.numNodes > 5", True),
        ("job.state == 'completed'", True),
        ('job.state in ["failed", "completed"]', True),
        ("job.state startsWith 'comp' && job.state contains 'plet' && job.state endsWith 'ed'", True),
        ("job.state matches '^c.*d$'", True),
        ("'a' + 'b'", "ab"),
        ("job.duration > 600 ? 'long' : 'short'", "long"),
        ("nothing ?? 5", 5),
        ("job.duration ?? 5", 3600),
        ("max(load.nodes) - min(load.nodes)", 71.9),
        ("min(3, 1, 2)", 1),
        ("round(2.5) + floor(1.9) + ceil(1.1) + abs(-1)", 7.0),
        ("mean(load.nodes) > 47 && sum(load.nodes) > 143 && len(load.nodes) == 3", True),
        ("below(load.nodes, 1)", 1),
        ("above(load.nodes, 1)", 2),
        ("lower('ABC') == 'abc'", True),
        (r'"a \"quoted\" text"', 'a "quoted" text'),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert compile_expression(text)(NAMES) == pytest.approx(value) if isinstance(value, float) else compile_expression(text)(NAMES) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "unexpected 'the end'"),
        ("1 +", "unexpected 'the end'"),
        ("load.avg load", "character 10: unexpected 'load'"),
        ("a @ b", "unexpected '@'"),
        ("f(1)", "there is no function 'f'"),
        ("__import__('os')", "there is no function '__import__'"),
        ("(" * 100 + "1" + ")" * 100, "levels"),
        ("1" + " + 1" * MAX_LENGTH, "characters"),
        ("1" + " + 1" * 400, "parts"),
        ("load.avg.__class__.x(", "unexpected"),
    ],
)
def test_invalid_expressions_are_refused(text: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why.replace("(", r"\(")):
        compile_expression(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0", "division"),
        ("1 % 0", "domain|division"),
        ("(0 - 8) ** 0.5", "domain|finite"),
        ("[1] in job", "a list is not a text"),
        ("10 ** 1000", "finite|range|large"),
        ("unknown > 1", "unknown is not known"),
        ("load.max > 1", "^load.max is not known for this job$"),
        ("1 + load.avg.real", "^load.avg.real is not known for this job$"),
        ("load.nodes[0].quiet_s", r"^load.nodes\[0\].quiet_s is not known for this job$"),
        ("job.state.__class__", "is not known"),
        ("job.state > 1", "a text is not a number"),
        ("1 and true", "a number is neither true nor false"),
        ("min([])", "empty list"),
        ("load.nodes[9]", "no element"),
        ("'a' matches '('", "not a regular expression"),
        ("len(1)", "has no length"),
        ("true + 1", "true is not a number"),
    ],
)
def test_expressions_without_a_value_give_the_reason(text: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        compile_expression(text)(NAMES)


_WORDS = st.sampled_from(
    [
        "load",
        ".avg",
        "job",
        "1",
        "2.5",
        "'a'",
        "+",
        "-",
        "*",
        "/",
        "**",
        "(",
        ")",
        "[",
        "]",
        ",",
        "?",
        ":",
        "??",
        "in",
        "not",
        "and",
        "<",
        "==",
        "min",
        "len",
        "!",
    ]
)


@given(st.lists(_WORDS, max_size=30).map(" ".join) | st.text(max_size=60))
def test_any_text_has_a_value_or_an_error_with_the_reason(text: str) -> None:
    with suppress(ExpressionError):
        compile_expression(text)(NAMES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{load.avg} of {load.limits.peak} cores", "40 of 72 cores"),
        ("{load.avg / load.limits.peak:percent} used", "56 % used"),
        ("for {job.duration * 2 + 300:duration}", "for 2 h 5 min"),
        ("{59:duration}, {60:duration}, {90061:duration}, {0:duration}", "59 s, 1 min, 1 d 1 h, 0 s"),
        ("{12345.678} {0.123456} {nothing ?? 'none'}", "12,346 0.123 none"),
        ("{{literal}}", "{literal}"),
        ("{job.numNodes > 2 ? 'many' : 'few'}", "many"),
    ],
)
def test_sentences(text: str, sentence: str) -> None:
    assert compile_template(text)(NAMES) == sentence


@pytest.mark.parametrize("text", ["{load.avg", "a } b", "{}", "{1 +}"])
def test_invalid_templates_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_template(text)
