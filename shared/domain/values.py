"""Closed lists of words, and limits. Source: the event interface of cc-backend, sections 4.2 and 6."""

from enum import StrEnum
from typing import Literal


class JobState(StrEnum):
    BOOT_FAIL = "boot_fail"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    DEADLINE = "deadline"
    FAILED = "failed"
    NODE_FAIL = "node_fail"
    OUT_OF_MEMORY = "out_of_memory"
    PENDING = "pending"
    PREEMPTED = "preempted"
    RUNNING = "running"
    SUSPENDED = "suspended"
    TIMEOUT = "timeout"


JOB_STATES = frozenset(state.value for state in JobState)
FINAL_STATES = JOB_STATES - {JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED}

SharedNode = Literal["none", "single_user", "multi_user"]

# monitoring_status
MONITORING_DISABLED = 0
MONITORING_OPEN = 1  # running, or stopped but not archived yet
ARCHIVING_FAILED = 2
ARCHIVED = 3

MAX_NAME = 200  # characters; PostgreSQL can index three such names at 4 bytes per character

GLOBAL_SCOPE = "global"
ADMIN_SCOPE = "admin"

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
TIME_MAX = 2**53 - 1  # seconds; sums of several values still fit every integer column
