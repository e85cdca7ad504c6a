"""The end of a process in which threads may still wait for something that never answers, such as a file system that is away."""

import os
import sys
import threading
import time

import structlog

log = structlog.get_logger()

THREADS_END_S = 5.0


def end_within(seconds: float, code: int) -> None:
    """Exit with ``code`` in ``seconds`` unless the process has ended by then. Call it when nothing is left to do but to end.

    Python joins the threads of all executors before it exits, without a limit, and a thread in a system call cannot be cancelled.
    """
    threading.Thread(target=_end, args=(seconds, code), name="process-end", daemon=True).start()


def _end(seconds: float, code: int) -> None:
    time.sleep(seconds)
    left = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    log.warning("threads_not_ended", after_s=seconds, threads=left[:10], number=len(left))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
