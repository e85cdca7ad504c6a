"""The effect of events on jobs: pure rules without database, clock or log.

``fold`` applies events to a ``UnitOfWork``: the jobs, parked stops and tags that a batch touches, and their changes. ``jobs`` has the
rules for starts and imports, ``ends`` matches the stops of one id to its runs, ``edits`` handles tags, metadata and deletions.
"""

from services.jobstore.rules.fold import fold
from services.jobstore.rules.unit_of_work import Decision, JobHead, Limits, ParkedStop, Refusal, UnitOfWork

__all__ = ["Decision", "JobHead", "Limits", "ParkedStop", "Refusal", "UnitOfWork", "fold"]
