"""Files of a site hold users, jobs and keys: other accounts of the host may not read them."""

import os
from contextlib import suppress
from pathlib import Path


def close_files_to_others() -> None:
    """New files and folders are for their owner alone, unless the process was started with a umask that excludes others already."""
    inherited = os.umask(0o077)
    if inherited & 0o007 == 0o007:
        os.umask(inherited)


def close_to_others(*files: Path) -> None:
    """Take existing files away from other accounts, where they may read or write them. Missing ones, and those of others, are skipped."""
    for file in files:
        with suppress(FileNotFoundError, PermissionError):
            if file.stat().st_mode & 0o007:
                file.chmod(0o600)
