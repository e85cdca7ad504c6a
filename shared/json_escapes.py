"""The escapes of Go's JSON encoder, which readers of archives and the REST interface expect."""

_ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"), ("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))


def html_safe(text: bytes) -> bytes:
    """Escape ``<``, ``>``, ``&`` and the two Unicode line separators in JSON.

    Replacing bytes is safe because valid JSON has these characters only inside strings.
    """
    for character, escape in _ESCAPES:
        if character in text:
            text = text.replace(character, escape)
    return text
