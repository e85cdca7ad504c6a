"""Which entries of an archive a tool or a retention works on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.archive.layout import JobPath
from shared.archive.meta import tag_keys
from shared.domain.events import ADVICE_TAG_TYPE, APPLICATION_TAG_TYPE

OmitTagged = Literal["none", "all", "user"]
_AUTOMATIC = frozenset({ADVICE_TAG_TYPE, APPLICATION_TAG_TYPE})


@dataclass(frozen=True, slots=True)
class Selection:
    """Jobs that started at or after ``after`` and before ``before``, in Unix seconds, of the clusters, or of all if there are none.

    ``omit_tagged``: ``all`` leaves out jobs with a tag, ``user`` jobs with a tag that was not added automatically.
    """

    before: int | None = None
    after: int | None = None
    clusters: frozenset[str] = frozenset()
    omit_tagged: OmitTagged = "none"

    def includes(self, path: JobPath) -> bool:
        """Whether the job is selected, apart from its tags."""
        return (
            (self.before is None or path.start_time < self.before)
            and (self.after is None or path.start_time >= self.after)
            and (not self.clusters or path.cluster in self.clusters)
        )

    @property
    def depends_on_tags(self) -> bool:
        return self.omit_tagged != "none"

    def omits(self, document: Mapping[str, Any]) -> bool:
        """Whether the tags in a job's meta.json exclude it. Raises ArchiveError when they are not tags."""
        if self.omit_tagged == "none":
            return False
        return any(self.omit_tagged == "all" or type_ not in _AUTOMATIC for type_, _, _ in tag_keys(document))
