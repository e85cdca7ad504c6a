"""Redirect targets after sign-in: only paths of this server."""

from urllib.parse import urlsplit

HOME = "/"
MAX_CHARACTERS = 2048


def local_target(text: str) -> str:
    """The target as an absolute path if every browser reads it as a path of this server, otherwise the home page.

    Browsers read ``\\`` as ``/``, drop tabs and line feeds, and take two slashes as the start of a host.
    """
    text = text.strip(" ").replace(" ", "%20")
    if len(text) > MAX_CHARACTERS or not text.isascii() or not text.isprintable() or "\\" in text or text.startswith("//"):
        return HOME
    try:
        parts = urlsplit(text)
    except ValueError:
        return HOME
    if parts.scheme or parts.netloc:
        return HOME
    return text if text.startswith("/") else f"/{text}"
