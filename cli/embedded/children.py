"""Processes that never outlive the one that started them."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def ending_with_parent(number: int = signal.SIGTERM) -> Callable[[], None] | None:
    """A function to call in the child before exec, or as its first action.

    The kernel then signals the child when this process ends for any reason.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before prctl took effect
            os._exit(1)

    return prepare


def end_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Call this in a process started by ``parent``: the kernel sends it the signal when the parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
