"""Taking a data file apart before it is decoded: only what is wanted is, one metric at a time."""

from collections.abc import Collection, Iterator

_BACKSLASH = 0x5C


def members(text: bytes, wanted: Collection[bytes] | None) -> Iterator[tuple[bytes, bytes]]:
    """Name and value of each member of the JSON object ``text``, undecoded; of all or those ``wanted``.

    The text is walked from quote to quote: long lists of numbers in between cost next to nothing, and nothing behind the
    last wanted member is looked at. Values are not checked here: their decoder does that. Raises ValueError when ``text``
    is no whole object.
    """
    depth, at, begin, name = 0, 0, 0, b""
    missing = None if wanted is None else set(wanted)
    if missing == set():
        return
    if not text.lstrip().startswith(b"{"):
        raise ValueError("not an object")
    while (quote := text.find(b'"', at)) >= 0 and missing != set():
        depth += _nesting(text, at, quote)
        end = _end_of_string(text, quote)
        if depth == 1 and (not begin or text[at:quote].strip() != b":"):  # behind a colon is a value that is a string
            if begin and (missing is None or name in missing):
                yield name, text[begin:quote].rstrip().removesuffix(b",")
                if missing is not None:
                    missing.discard(name)
            name = text[quote + 1 : end]
            begin = text.find(b":", end) + 1
        at = end + 1
    if begin and (missing is None or name in missing):
        last = text[begin:].rstrip()
        if not last.endswith(b"}"):
            raise ValueError("the object does not end")
        yield name, last[:-1]
    elif not begin and b"".join(text.split()) != b"{}":
        raise ValueError("not an object")


def _nesting(text: bytes, start: int, end: int) -> int:
    """By how much the depth changes from ``start`` to ``end``, where no string is."""
    opened = _occurrences(text, b"{", start, end) + _occurrences(text, b"[", start, end)
    return opened - _occurrences(text, b"}", start, end) - _occurrences(text, b"]", start, end)


def _occurrences(text: bytes, character: bytes, start: int, end: int) -> int:
    """As ``bytes.count``, which is many times slower where there are few."""
    found = 0
    while (start := text.find(character, start, end) + 1) > 0:
        found += 1
    return found


def _end_of_string(text: bytes, quote: int) -> int:
    """The place of the closing quote. Raises ValueError when there is none."""
    end = text.index(b'"', quote + 1)
    while True:
        slashes = end - 1
        while text[slashes] == _BACKSLASH:
            slashes -= 1
        if (end - slashes) % 2:
            return end
        end = text.index(b'"', end + 1)
