"""What an event does to jobs: pure rules over the jobs it touches, no database, no clock, no log."""

from services.jobstore.rules.fold import fold
from services.jobstore.rules.world import Decision, JobHead, Limits, ParkedStop, Refusal, World

__all__ = ["Decision", "JobHead", "Limits", "ParkedStop", "Refusal", "World", "fold"]
