"""A disk that is full, and has room again."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ServiceProcess

ROOM = "64m"
SMALL = "256k"
LARGEST_FILE = 100  # bytes


class SmallDisk:
    """A folder with little room.

    For root a file system of its own in memory, where writing ends with "no space left". Others may not mount: for them
    the writing process gets a limit on the size of files, which ends with "file too large".
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_mount = os.geteuid() == 0

    def fill(self, process: ServiceProcess) -> None:
        if not self.is_mount:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (LARGEST_FILE, resource.RLIM_INFINITY))

    def make_room(self, process: ServiceProcess) -> None:
        if self.is_mount:
            subprocess.run(["mount", "-o", f"remount,size={ROOM}", str(self.folder)], check=True, capture_output=True)
        else:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    folder.mkdir()
    disk = SmallDisk(folder)
    if disk.is_mount:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)], check=False, capture_output=True)
        disk.is_mount = done.returncode == 0  # root of a container may not mount either
    try:
        yield disk
    finally:
        if disk.is_mount:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
