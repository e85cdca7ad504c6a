"""The site's rules and patterns of applications, which are read again when their files change, and their evaluation for a job."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from services.archiver.jobs import JobRecord
from services.archiver.settings import ArchiverSettings
from shared.advice import Applications, RuleError, Rules, advise, advise_running, applications_of, load_rules
from shared.domain.clusters import Cluster
from shared.domain.events import JobAdvised
from shared.metricdata.model import JobData

log = structlog.get_logger()

LOOK_S = 5.0  # interval of checks for changed files


@dataclass(frozen=True, slots=True)
class _Read:
    seen: object  # names, sizes and times of the files
    rules: Rules
    running: Rules  # those for running jobs
    applications: Applications
    both: tuple[Rules, Applications]


class Adviser:
    """Evaluates the rules, in any thread. If files become unreadable, the previous rules remain in use."""

    def __init__(self, settings: ArchiverSettings) -> None:
        self._folder = settings.advice_rules
        self._parameters = settings.advice_parameters
        self._applications = settings.advice_applications
        self._lock = threading.Lock()
        self._read = self._load()
        self._looked_at = time.monotonic()

    @classmethod
    def of(cls, settings: ArchiverSettings) -> "Adviser | None":
        """None if advice is disabled. Raises RuleError if a configured file or folder cannot be read."""
        return cls(settings) if settings.advice else None

    def advise(
        self, job: JobRecord, cluster: Cluster | None, statistics: Mapping[str, Mapping[str, Any]], data: JobData
    ) -> JobAdvised | None:
        """See ``shared.advice.advising``. A failure of the rules costs the advice, not the archive entry."""
        try:
            read = self._current()
            return advise(job.row, cluster, statistics, data, read.rules, read.applications)
        except Exception:
            log.exception("advice_failed", job=job.id)
            return None

    def in_use(self) -> tuple[Rules, Applications]:
        """The present rules and patterns; the same object until a file changes."""
        return self._current().both

    @property
    def folder(self) -> Path | None:
        return self._folder

    def running_rules(self) -> Rules:
        """The present rules for running jobs."""
        return self._current().running

    def advise_running(
        self,
        row: Mapping[str, Any],
        cluster: Cluster,
        statistics: Mapping[str, Mapping[str, Any]],
        data: JobData,
        courses: JobData,
        at: int,
    ) -> JobAdvised | None:
        """See ``shared.advice.advising``. A failure of the rules costs the advice, not the footprint."""
        try:
            return advise_running(row, cluster, statistics, data, courses, self.running_rules(), at=at)
        except Exception:
            log.exception("advice_failed", job=row["id"])
            return None

    def applications_of(self, metadata: str | None) -> list[str]:
        """The applications in the job script of the column ``meta_data``."""
        return applications_of(metadata, self._current().applications)

    def _current(self) -> _Read:
        with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_S:
                self._looked_at = time.monotonic()
                if self._signature() != self._read.seen:
                    try:
                        self._read = self._load()
                        log.info("advice_rules_read", rules=len(self._read.rules.rules))
                    except RuleError as e:
                        log.warning("advice_rules_unreadable", why=str(e))
            return self._read

    def _load(self) -> _Read:
        seen = self._signature()
        rules = load_rules(self._folder, self._parameters)
        for refused in rules.refused:
            log.warning("advice_rule_refused", why=refused)
        for ignored in rules.ignored:
            log.warning("advice_file_ignored", why=ignored)
        applications = Applications.read() if self._applications is None else Applications.read(self._applications)
        return _Read(seen, rules, rules.while_running(), applications, (rules, applications))

    def _signature(self) -> object:
        files = list(self._folder.glob("*")) if self._folder is not None else []
        return sorted(found for file in [*files, self._applications] if file is not None and (found := _state(file)) is not None)


def _state(file: Path) -> tuple[str, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return str(file), found.st_size, found.st_mtime_ns
