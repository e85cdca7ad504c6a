"""Where to go after signing in: only to a path of this server."""

from urllib.parse import urlsplit

HOME = "/"
MOST = 2048


def local_target(text: str) -> str:
    """The target itself, counted from the root, when every browser takes it for a path of this server; else the home page.

    Browsers read ``\\`` as ``/`` and drop tabs and line feeds, and two slashes begin a host.
    """
    text = text.strip(" ").replace(" ", "%20")
    if len(text) > MOST or not text.isascii() or not text.isprintable() or "\\" in text or text.startswith("//"):
        return HOME
    try:
        parts = urlsplit(text)
    except ValueError:
        return HOME
    if parts.scheme or parts.netloc:
        return HOME
    return text if text.startswith("/") else f"/{text}"
