"""Memory that is freed goes back to the system."""

import ctypes
import os
import sys
from contextlib import suppress

LARGE_BYTES = 128 * 1024  # where malloc begins; by itself it raises this up to 32 MiB
MAX_ARENAS = 2  # by itself malloc makes up to eight for each processor, and each keeps what its threads freed
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # from malloc.h


def return_freed_memory() -> None:
    """Make malloc of glibc return large blocks when they are freed. Call it before any thread starts; elsewhere it does nothing.

    Samples and documents come and go in blocks of some hundred kilobytes, in many threads, and would leave gaps.
    Variables of malloc in the environment count instead.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
            libc.mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        if "MALLOC_ARENA_MAX" not in os.environ:
            libc.mallopt(_M_ARENA_MAX, MAX_ARENAS)
