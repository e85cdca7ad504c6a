"""Maps the words that schedulers use for the state of a job to the states that jobtide stores.

Source: JOB STATE CODES of Slurm's squeue(1) and sacct(1), long and short, and the spellings of the cc-backend interface.
A word that is not listed here still ends a job and is stored as ``failed``.
"""

import re
from functools import lru_cache

from shared.domain.values import JobState

# Keys are lower-case letters only, so that out_of_memory, OUT-OF-MEMORY and OutOfMemory are one word.
# PENDING marks words for a run that ended and was queued again, RUNNING and SUSPENDED words for a job that has not ended.
STATE_WORDS: dict[str, JobState] = {
    "bootfail": JobState.BOOT_FAIL,
    "bf": JobState.BOOT_FAIL,
    "cancelled": JobState.CANCELLED,
    "canceled": JobState.CANCELLED,
    "ca": JobState.CANCELLED,
    "revoked": JobState.CANCELLED,  # a federation started the job on another cluster
    "rv": JobState.CANCELLED,
    "completed": JobState.COMPLETED,
    "cd": JobState.COMPLETED,
    "completing": JobState.COMPLETED,
    "cg": JobState.COMPLETED,
    "stageout": JobState.COMPLETED,
    "so": JobState.COMPLETED,
    "deadline": JobState.DEADLINE,
    "dl": JobState.DEADLINE,
    "failed": JobState.FAILED,
    "f": JobState.FAILED,
    "launchfailed": JobState.FAILED,
    "reconfigfail": JobState.FAILED,
    "nodefail": JobState.NODE_FAIL,
    "nf": JobState.NODE_FAIL,
    "outofmemory": JobState.OUT_OF_MEMORY,
    "oom": JobState.OUT_OF_MEMORY,
    "timeout": JobState.TIMEOUT,
    "to": JobState.TIMEOUT,
    "preempted": JobState.PREEMPTED,
    "pr": JobState.PREEMPTED,
    "pending": JobState.PENDING,
    "pd": JobState.PENDING,
    "requeued": JobState.PENDING,
    "rq": JobState.PENDING,
    "requeuehold": JobState.PENDING,
    "rh": JobState.PENDING,
    "requeuefed": JobState.PENDING,
    "rf": JobState.PENDING,
    "resvdelhold": JobState.PENDING,
    "rd": JobState.PENDING,
    "specialexit": JobState.PENDING,
    "se": JobState.PENDING,
    "running": JobState.RUNNING,
    "r": JobState.RUNNING,
    "configuring": JobState.RUNNING,
    "cf": JobState.RUNNING,
    "resizing": JobState.RUNNING,
    "rs": JobState.RUNNING,
    "signaling": JobState.RUNNING,
    "si": JobState.RUNNING,
    "suspended": JobState.SUSPENDED,
    "s": JobState.SUSPENDED,
    "stopped": JobState.SUSPENDED,  # by SIGSTOP
    "st": JobState.SUSPENDED,
}

_MIN_CUT = 5  # letters of a word truncated by sacct, as in ``OUT_OF_ME+``
_NOT_LETTERS = re.compile(r"[^a-z]")
_BY_USER = re.compile(r"[\s_]+by[\s_].*", re.DOTALL)


def state_of(text: str) -> JobState | None:
    """The state of a word in any case and spelling, None if it is unknown.

    The user in ``CANCELLED by 1000`` is dropped. Of words joined by ``+``, as in ``CANCELLED+COMPLETING``, the first known one is used.
    """
    return _state_of(text[:200])


@lru_cache(maxsize=1000)
def _state_of(text: str) -> JobState | None:
    words = [_NOT_LETTERS.sub("", _BY_USER.sub("", word)) for word in text.lower().split("+")]
    for word in words:
        if word in STATE_WORDS:
            return STATE_WORDS[word]
    if len(words) > 1 and len(words[0]) >= _MIN_CUT:
        states = {state for known, state in STATE_WORDS.items() if known.startswith(words[0])}
        return states.pop() if len(states) == 1 else None
    return None
