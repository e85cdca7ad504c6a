"""Flushing files, folders and file systems to disk."""

import ctypes
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path


def flush_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def syncfs_reports_errors(system: str, release: str) -> bool:
    """Linux before 5.8 returns success from syncfs(2) although writing failed (man page, section BUGS)."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return system == "Linux" and numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 8)


def _find_syncfs() -> Callable[[int], int] | None:
    """syncfs(2) of Linux, which Python does not expose. None where it is missing or does not report errors."""
    if not syncfs_reports_errors(platform.system(), platform.release()):
        return None
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return None
    syncfs.argtypes = [ctypes.c_int]
    syncfs.restype = ctypes.c_int
    found: Callable[[int], int] = syncfs
    return found


_syncfs = _find_syncfs()
can_flush_filesystem = _syncfs is not None


def flush_filesystem(path: Path) -> None:
    """Flush the file system of ``path``: one journal commit instead of one per file. Linux only. Raises OSError."""
    assert _syncfs is not None
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
