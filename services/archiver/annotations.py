"""Keeps tags and metadata of archive entries equal to the database.

Whoever writes an entry reads its row again afterwards, and rewrites the entry if the row changed meanwhile. Whoever handles a
change of a row rewrites the entry if there is one. So no change is lost, in whatever order the two happen, in any replica: a
change handled before the entry is written is seen when the row is read again.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from services.archiver.jobs import JobReader, JobRecord
from services.archiver.work import Work, perform
from shared.archive import annotations


class Annotator:
    def __init__(self, reader: JobReader, root: Path) -> None:
        self._reader = reader
        self._root = root

    async def settle(self, works: Sequence[Work]) -> None:
        """Rewrite entries until their rows do not change meanwhile. Sets ``error`` of works that fail. Raises Unavailable."""
        by_id = {work.job.id: work for work in works}
        pending = {work.job.id: work.job for work in works}
        while pending:
            rows = await self._reader.by_id(list(pending))
            pending = {id_: row for id_, row in rows.items() if _annotations(row) != _annotations(pending[id_])}
            rewrites = [Work(row, [], annotates=True) for row in pending.values()]
            if rewrites:
                await asyncio.to_thread(perform, self._root, rewrites)
            for rewrite in rewrites:
                if rewrite.error is not None:
                    by_id[rewrite.job.id].error = rewrite.error
                    del pending[rewrite.job.id]

    async def update(self, jobs: Sequence[JobRecord]) -> None:
        """Update the existing entries of stopped jobs. Raises Unavailable, and what writing an entry raises."""
        works = [Work(job, [], annotates=True) for job in jobs if not job.is_running]
        if not works:
            return
        await asyncio.to_thread(perform, self._root, works)
        await self.settle([work for work in works if work.error is None])
        if (error := next((work.error for work in works if work.error is not None), None)) is not None:
            raise error


def _annotations(job: JobRecord) -> dict[str, object]:
    return annotations(job.row, job.tags)
