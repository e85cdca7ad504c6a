"""The expression language of rules: a subset of expr, which cc-backend's rule files use. It can only compute with given values.

Literals, lists, names, members and elements; ``?:`` and ``??``; ``or and not`` and ``|| && !``; comparisons, ``in``, ``contains``,
``startsWith``, ``endsWith``, ``matches``; ``+ - * / % ** ^``; the functions in ``operations.FUNCTIONS``. Division is of real numbers.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.advice.operations import BINARY, FUNCTIONS, ExpressionError, Value, as_bool, as_number

MAX_LENGTH = 2000
MAX_DEPTH = 40
MAX_PARTS = 300  # names, numbers and signs per expression

Environment = Mapping[str, Value]
Node = Callable[[Environment], Value]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>\*\*|\|\||&&|\?\?|==|!=|<=|>=|[-+*/%^<>!?:.,()\[\]]))""",
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(r"\\(.)")


def compile_expression(text: str) -> Node:
    """Compile an expression to a function from names to its value. Both raise ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression of more than {MAX_LENGTH} characters")
    tokens = _tokens(text)
    if len(tokens) > MAX_PARTS:
        raise ExpressionError(f"an expression of more than {MAX_PARTS} parts")
    return _Parser(tokens).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"character {_after_space(text, at) + 1}: unexpected {text[_after_space(text, at)]!r}")
        kind = match.lastgroup or ""
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "the end", end)]


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match is not None else at


_UNARY_STRENGTH = 7
_RIGHT_ASSOCIATIVE = {"**", "^"}
_OR, _AND, _NOT = {"||", "or"}, {"&&", "and"}, {"!", "not"}
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "nil": None}


class _Parser:
    """Parses by precedence climbing. Each method returns the function of the part that it has parsed."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._conditional()
        if self._token.kind != "end":
            raise self._unexpected()
        return node

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _unexpected(self) -> ExpressionError:
        return ExpressionError(f"character {self._token.at + 1}: unexpected {self._token.text!r}")

    def _takes(self, *texts: str) -> str | None:
        token = self._token
        if token.kind in ("sign", "name") and token.text in texts:
            self._next += 1
            return token.text
        return None

    def _expect(self, text: str) -> None:
        if self._takes(text) is None:
            raise self._unexpected()

    def _conditional(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"character {self._token.at + 1}: more than {MAX_DEPTH} levels")
        condition = self._fallback()
        if self._takes("?"):
            yes = self._conditional()
            self._expect(":")
            no = self._conditional()
            self._depth -= 1
            return lambda names: yes(names) if as_bool(condition(names)) else no(names)
        self._depth -= 1
        return condition

    def _fallback(self) -> Node:
        first = self._or()
        if self._takes("??"):
            other = self._fallback()

            def apply(names: Environment) -> Value:
                value = first(names)
                return other(names) if value is None else value

            return apply
        return first

    def _or(self) -> Node:
        left = self._and()
        while self._takes(*_OR):
            left = _either(left, self._and())
        return left

    def _and(self) -> Node:
        left = self._not()
        while self._takes(*_AND):
            left = _both(left, self._not())
        return left

    def _not(self) -> Node:
        if self._takes(*_NOT):
            operand = self._nested(self._not)
            return lambda names: not as_bool(operand(names))
        return self._binary(0)

    def _nested(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"character {self._token.at + 1}: more than {MAX_DEPTH} levels")
        node = read()
        self._depth -= 1
        return node

    def _binary(self, weakest: int) -> Node:
        left = self._unary()
        while (found := BINARY.get(self._token.text)) is not None and self._token.kind in ("sign", "name") and found[0] > weakest:
            sign, (strength, run) = self._token.text, found
            self._next += 1
            right = self._nested(lambda s=sign, n=strength: self._binary(n - 1 if s in _RIGHT_ASSOCIATIVE else n))  # type: ignore[misc]
            left = _applied(run, left, right)
        return left

    def _unary(self) -> Node:
        if sign := self._takes("-", "+", "!", "not"):
            operand = self._nested(lambda: self._binary(_UNARY_STRENGTH))
            match sign:
                case "-":
                    return lambda names: -as_number(operand(names))
                case "+":
                    return lambda names: as_number(operand(names))
                case _:
                    return lambda names: not as_bool(operand(names))
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        first = self._next - 1
        while sign := self._takes(".", "["):
            if sign == ".":
                token = self._token
                if token.kind != "name":
                    raise self._unexpected()
                self._next += 1
                node = _member(node, token.text, "".join(token.text for token in self._tokens[first : self._next]))
            else:
                index = self._conditional()
                self._expect("]")
                node = _element(node, index)
        return node

    def _primary(self) -> Node:
        token = self._token
        self._next += 1
        match token.kind:
            case "number":
                digits = token.text.replace("_", "")
                number = int(digits) if digits.isdigit() else float(digits)
                return lambda _: number
            case "text":
                text = _ESCAPE.sub(r"\1", token.text[1:-1])
                return lambda _: text
            case "name":
                return self._named(token)
            case "sign" if token.text == "(":
                node = self._conditional()
                self._expect(")")
                return node
            case "sign" if token.text == "[":
                items = self._list("]")
                return lambda names: [item(names) for item in items]
            case _:
                self._next -= 1
                raise self._unexpected()

    def _named(self, token: _Token) -> Node:
        name = token.text
        if name in _CONSTANTS:
            constant = _CONSTANTS[name]
            return lambda _: constant
        if self._takes("("):
            function = FUNCTIONS.get(name)
            if function is None:
                raise ExpressionError(f"character {token.at + 1}: there is no function {name!r}")
            return _called(name, function, self._list(")"))

        def look_up(names: Environment) -> Value:
            if name not in names:
                raise ExpressionError(f"{name} is not known for this job")
            return names[name]

        return look_up

    def _list(self, end: str) -> list[Node]:
        items: list[Node] = []
        while not self._takes(end):
            if items:
                self._expect(",")
            items.append(self._conditional())
        return items


def _either(left: Node, right: Node) -> Node:
    return lambda names: as_bool(left(names)) or as_bool(right(names))


def _both(left: Node, right: Node) -> Node:
    return lambda names: as_bool(left(names)) and as_bool(right(names))


def _applied(run: Callable[[Value, Value], Value], left: Node, right: Node) -> Node:
    return lambda names: run(left(names), right(names))


def _member(node: Node, name: str, path: str) -> Node:
    def apply(names: Environment) -> Value:
        whole = node(names)
        if not isinstance(whole, Mapping) or name not in whole:
            raise ExpressionError(f"{path} is not known for this job")
        return whole[name]

    return apply


def _element(node: Node, index: Node) -> Node:
    def apply(names: Environment) -> Value:
        whole, place = node(names), index(names)
        try:
            return whole[place]
        except (KeyError, IndexError, TypeError) as e:
            raise ExpressionError(f"there is no element {place!r}") from e

    return apply


def _called(name: str, function: Callable[..., Value], arguments: Sequence[Node]) -> Node:
    def apply(names: Environment) -> Value:
        try:
            return function(*[argument(names) for argument in arguments])
        except (TypeError, ValueError, OverflowError) as e:
            raise ExpressionError(f"{name}: {e}") from e

    return apply
