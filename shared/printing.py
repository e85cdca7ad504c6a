"""Text of others on a terminal."""


def printable(text: str) -> str:
    """The text in one line, with everything escaped that a terminal would obey."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
