"""Printing text that others wrote."""

import io
import sys


def replace_unencodable() -> None:
    """Standard output and error replace characters that their encoding lacks, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def printable(text: str) -> str:
    """The text in one line, with everything escaped that a terminal would obey."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
