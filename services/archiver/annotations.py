"""Keeps tags and metadata of archive entries equal to the database.

The replica that writes an entry reads the row again afterwards, and rewrites the entry if the row has changed. The replica that
handles a change of a row rewrites the entry if it exists. So no change is lost, regardless of the order of the two: a change that
is handled before the entry exists is seen when the row is read again.
"""

import asyncio
from collections.abc import Sequence

from services.archiver.jobs import JobReader, JobRecord
from services.archiver.work import Work, perform
from shared.archive import ArchiveStore, annotations


class Annotator:
    def __init__(self, reader: JobReader, archive: ArchiveStore) -> None:
        self._reader = reader
        self._archive = archive

    async def settle(self, works: Sequence[Work]) -> None:
        """Rewrite entries until their rows do not change meanwhile. Raises Unavailable.

        Sets ``error`` of works that fail, and ``changed_job`` of those whose job got a different end than their entry.
        """
        by_id = {work.job.id: work for work in works}
        pending = {work.job.id: work.job for work in works}
        while pending:
            rows = await self._reader.by_id(list(pending))
            for id_, row in rows.items():
                if row.row["stop_seq"] != by_id[id_].job.row["stop_seq"]:
                    by_id[id_].changed_job = row
            pending = {id_: row for id_, row in rows.items() if _annotations(row) != _annotations(pending[id_])}
            rewrites = [Work(row, [], annotates=True) for row in pending.values()]
            if rewrites:
                await asyncio.to_thread(perform, self._archive, rewrites)
            for rewrite in rewrites:
                if rewrite.error is not None:
                    by_id[rewrite.job.id].error = rewrite.error
                    del pending[rewrite.job.id]

    async def update(self, jobs: Sequence[JobRecord]) -> list[Work]:
        """Update the existing entries of stopped jobs. Returns the works that failed, with their ``error``. Raises Unavailable."""
        works = [Work(job, [], annotates=True) for job in jobs if not job.is_running]
        if works:
            await asyncio.to_thread(perform, self._archive, works)
            await self.settle([work for work in works if work.error is None])
        return [work for work in works if work.error is not None]


def _annotations(job: JobRecord) -> dict[str, object]:
    return annotations(job.row, job.tags)
