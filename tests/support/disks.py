"""A disk that becomes full and is later freed."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

MAX_FILE_BYTES = 100
FILLER = ".of-another-program"


class Process(Protocol):
    """The process that writes to the disk."""

    @property
    def pid(self) -> int: ...


class SmallDisk:
    """A folder with little space.

    For root it is a separate file system in memory, where writes fail with "no space left". Other users may not mount: for them
    the size of files of the writing process is limited, so that writes fail with "file too large".
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_mount = os.geteuid() == 0

    def fill(self, process: Process) -> None:
        if not self.is_mount:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, resource.RLIM_INFINITY))
            return
        with suppress(OSError), (self.folder / FILLER).open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def make_room(self, process: Process) -> None:
        if not self.is_mount:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return
        (self.folder / FILLER).unlink()


@contextmanager
def small_disk(folder: Path, mb: int) -> Iterator[SmallDisk]:
    folder.mkdir()
    disk = SmallDisk(folder)
    if disk.is_mount:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mb}m", "tmpfs", str(folder)], check=False, capture_output=True)
        disk.is_mount = done.returncode == 0  # even root may not mount in a container
    try:
        yield disk
    finally:
        if disk.is_mount:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
