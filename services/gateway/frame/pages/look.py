"""The frame of the small pages that the gateway writes itself: sign-in and errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <link rel="icon" href="data:,">
  <title>{title}</title>
  {stylesheet}
</head>
<body class="sign-in">
  <main>
    {parts}
  </main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Look:
    """``base`` is the path under which browsers reach the gateway, ``stylesheet`` one of the built web interface, relative to it."""

    base: str = "/"
    stylesheet: str = ""
    site: str = "jobtide"


def document(look: Look, title: str, parts: Sequence[str]) -> str:
    """``parts`` are HTML, one below the other."""
    return _DOCUMENT.format(
        title=escape(f"{look.site}: {title}"),
        stylesheet=f'<link rel="stylesheet" href="{escape(look.base + look.stylesheet)}">' if look.stylesheet else "",
        parts="\n    ".join(part for part in parts if part),
    )
