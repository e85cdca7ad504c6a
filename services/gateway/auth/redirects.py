"""Where to go after signing in: only to a path of this server."""

from urllib.parse import urlsplit

HOME = "/"
MOST = 2048


def local_target(text: str) -> str:
    """The target itself when every browser takes it for a path of this server, else the home page.

    Browsers read ``\\`` as ``/`` and drop tabs and line feeds, and two slashes begin a host.
    """
    is_plain = len(text) <= MOST and text.isascii() and text.isprintable() and "\\" not in text and " " not in text
    if not is_plain or not text.startswith("/") or text.startswith("//"):
        return HOME
    try:
        parts = urlsplit(text)
    except ValueError:
        return HOME
    return text if not parts.scheme and not parts.netloc else HOME
