"""The web interface: its built files (``dist``), the page that starts it, and the session data in the page.

The sources are in ``web/`` at the root of the repository.
"""

from pathlib import Path

DIST = Path(__file__).parent / "dist"
