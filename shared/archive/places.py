"""Archives by their address: a path, as in a setting or on the command line."""

from pathlib import Path

from shared.archive.files import FileStore
from shared.archive.store import ArchiveStore


def store_at(address: str) -> ArchiveStore:
    """The archive at an address. It need not exist."""
    return FileStore(Path(address))
