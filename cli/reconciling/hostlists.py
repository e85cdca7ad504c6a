"""Node lists as Slurm writes them: `a[1-3,7],b02`. Unlike those of cluster.json they have single numbers and several brackets."""

from collections.abc import Iterator

from shared.errors import UserError

MAX_HOSTS = 200_000


def hosts_of(text: str) -> list[str]:
    """The names, in the order written. Raises UserError."""
    found: list[str] = []
    for term in _terms(text):
        for name in _expanded(term):
            found.append(name)
            if len(found) > MAX_HOSTS:
                raise UserError(f"{text[:80]!r}: more than {MAX_HOSTS} hosts")
    return found


def _terms(text: str) -> Iterator[str]:
    depth, begin = 0, 0
    for index, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            if text[begin:index]:
                yield text[begin:index]
            begin = index + 1
        if depth not in (0, 1):
            raise UserError(f"{text[:80]!r}: brackets that do not match")
    if depth:
        raise UserError(f"{text[:80]!r}: brackets that do not match")
    if text[begin:]:
        yield text[begin:]


def _expanded(term: str) -> Iterator[str]:
    before, bracket, rest = term.partition("[")
    if not bracket:
        yield term
        return
    inside, _, after = rest.partition("]")
    for part in inside.split(","):
        low, dash, high = part.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise UserError(f"{term[:80]!r}: {part!r} is not a number or a range")
        for number in range(int(low), int(high if dash else low) + 1):
            for tail in _expanded(after):
                yield f"{before}{number:0{len(low)}d}{tail}"
