"""Identifies everything besides the events that a rebuild depends on, so that it is only continued under the same rules."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from services.jobstore.settings import JobstoreSettings
from shared.database.schema import REVISION

_PACKAGES = ("services.jobstore", "shared.domain", "shared.database")
_NO_RULES = {"health", "batch"}


def fingerprint(settings: JobstoreSettings, logs: Mapping[str, str]) -> str:
    """A digest of the code, the schema, the settings and the identity of each stream. Reads the source files; blocks for milliseconds."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        _add(digest, files(package))
    digest.update(f"{REVISION} {settings.model_dump_json(exclude=_NO_RULES)} {sorted(logs.items())}".encode())
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", folder: Traversable) -> None:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            _add(digest, entry)
        elif entry.name.endswith(".py"):
            digest.update(entry.read_bytes())
