"""Sizes of the built web interface."""

import json

from services.gateway.web import DIST


def first_view_bytes(page: str) -> tuple[int, int]:
    """Bytes of scripts and of styles that a browser loads to show a page, as they are sent. ``page`` is a source file below ``web/``."""
    manifest = json.loads((DIST / ".vite" / "manifest.json").read_text())
    wanted, scripts, styles = ["index.html", page], set(), set()
    while wanted:
        chunk = manifest[wanted.pop()]
        if chunk["file"] not in scripts:
            scripts.add(chunk["file"])
            styles.update(chunk.get("css", ()))
            wanted += chunk.get("imports", ())
    return sum(map(_sent_bytes, scripts)), sum(map(_sent_bytes, styles))


def _sent_bytes(name: str) -> int:
    compressed = DIST / f"{name}.br"
    return (compressed if compressed.exists() else DIST / name).stat().st_size
