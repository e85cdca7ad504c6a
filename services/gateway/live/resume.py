"""The progress of the database as the text from which a client resumes: the id of a server-sent event, ``cursor`` in GraphQL."""

import re
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

from shared.database.progress import Progress

_TEXT = re.compile(r"([0-9]{1,18})-([0-9]{1,18})-([0-9a-z]{1,32})")


def resume_text(at: Progress) -> str:
    return f"{at.events}-{at.nodes}-{_tables(at.log, at.build)}"


def resumed(text: str, now: Progress) -> Progress | None:
    """The progress that ``text`` stands for. None if it belongs to other tables than ``now``, or has not been reached yet."""
    found = _TEXT.fullmatch(text.strip())
    if found is None or found[3] != _tables(now.log, now.build):
        return None
    earlier = replace(now, events=int(found[1]), nodes=int(found[2]))
    return earlier if now.follows(earlier) else None


@lru_cache(maxsize=10)
def _tables(log: str, build: int) -> str:
    """Short, because it is part of every event sent."""
    return blake2b(repr((log, build)).encode(), digest_size=6).hexdigest()
