"""The report of `jobtide takeover verify`, in words and as JSON."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cli.takeover.comparing import Cell, Comparison, Sums

SHOWN = 50  # differences in words; JSON has all of them
HOURS_TOLERANCE = 0.01


@dataclass(slots=True)
class ArchiveFindings:
    """``missing`` entries exist in the source, or it could not be looked at; those in ``missing_there_too`` do not."""

    checked: int = 0
    read: int = 0
    missing: list[str] = field(default_factory=list)
    missing_there_too: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    comparison: Comparison
    only_here: int
    users: list[str]
    tags: list[str]
    settings: list[str]
    nodes: list[str]
    archive: ArchiveFindings
    users_edited: int
    tags_removed: int
    number_of_users: int
    number_of_tags: int

    @property
    def is_equal(self) -> bool:
        found = (self.users, self.tags, self.settings, self.nodes, self.archive.missing, self.archive.unreadable)
        return self.comparison.is_equal and not any(found)


def print_report(report: Report) -> None:
    comparison, archive = report.comparison, report.archive
    for cluster in sorted({cell.cluster for cell in comparison.there.jobs}):
        there, here = (_of_cluster(sums, cluster) for sums in (comparison.there, comparison.here))
        print(f"{cluster}: {there} there; {'the same' if here == there else here} here")
    for cell in _differing_cells(comparison):
        print(f"  {' '.join(cell)}: {comparison.there.jobs[cell]} jobs there, {comparison.here.jobs[cell]} here")
    print(f"jobs: {comparison.equal} equal, {comparison.missing} missing, {comparison.different} different")
    print(f"jobs: {comparison.stale} have changed there since they were taken over")
    if comparison.unusable:
        print(f"jobs: {comparison.unusable} rows cannot be taken over")
    if report.only_here or comparison.deleted or comparison.edited:
        print(
            f"no differences: {report.only_here} jobs are only here, {comparison.deleted} were deleted here,"
            f" {comparison.edited} have tags or metadata that were edited here"
        )
    if report.tags_removed:
        print(f"no differences: {report.tags_removed} tags were removed here")
    if report.users_edited:
        print(f"no differences: {report.users_edited} users were changed or removed here")
    for what, number, lines in (
        ("users", report.number_of_users, report.users),
        ("tags", report.number_of_tags, [f"{tag} is missing here" for tag in report.tags]),
        ("personal settings", None, [f"{setting} is missing here" for setting in report.settings]),
        ("nodes", None, report.nodes),
    ):
        print(f"{what}: {f'{number}, ' if number is not None else ''}{len(lines) or 'no'} differences")
        _some([f"  {line}" for line in lines])
    print(f"archive: {archive.checked} entries, {archive.read} of them read")
    print(f"archive: {len(archive.missing)} missing, {len(archive.unreadable)} unreadable")
    if archive.missing_there_too:
        print(f"archive: {len(archive.missing_there_too)} entries are missing in the source as well")
        _some([f"  missing there: {path}" for path in archive.missing_there_too])
    _some([f"  missing: {path}" for path in archive.missing] + [f"  unreadable: {line}" for line in archive.unreadable])
    if archive.unreadable:
        print("`takeover run` copies an unreadable entry again when its folder or row has been removed from the archive of this site")
    _some([str(one) for one in comparison.differences], len(comparison.differences))
    print("everything is here" if report.is_equal else "NOT everything is here")


def _some(lines: Sequence[str], total: int | None = None) -> None:
    for line in lines[:SHOWN]:
        print(line)
    if len(lines) > SHOWN:
        print(f"… and {(total or len(lines)) - SHOWN} more; --json has them", file=sys.stderr)


def _of_cluster(sums: Sums, cluster: str) -> str:
    cells = [cell for cell in sums.jobs if cell.cluster == cluster]
    jobs, hours, energy = (sum(values[cell] for cell in cells) for values in (sums.jobs, sums.core_hours, sums.energy_kwh))
    return f"{jobs} jobs, {hours:.1f} core hours of finished ones, {energy:.2f} kWh"


def _differing_cells(comparison: Comparison) -> list[Cell]:
    there, here = comparison.there, comparison.here
    return sorted(
        cell
        for cell in there.jobs.keys() | here.jobs.keys()
        if there.jobs[cell] != here.jobs[cell] or abs(there.core_hours[cell] - here.core_hours[cell]) > HOURS_TOLERANCE
    )


def as_json_object(report: Report) -> dict[str, Any]:
    comparison = report.comparison
    cells = sorted(comparison.there.jobs.keys() | comparison.here.jobs.keys())
    sides = {"there": comparison.there, "here": comparison.here}
    return {
        "isEqual": report.is_equal,
        "jobs": {name: getattr(comparison, name) for name in ("equal", "missing", "stale", "different", "unusable", "deleted", "edited")}
        | {"onlyHere": report.only_here},
        "sums": [
            cell._asdict()
            | {
                side: {"jobs": sums.jobs[cell], "coreHours": sums.core_hours[cell], "energy": sums.energy_kwh[cell]}
                for side, sums in sides.items()
            }
            for cell in cells
        ],
        "differences": [one._asdict() for one in comparison.differences],
        "users": report.users,
        "usersEdited": report.users_edited,
        "tags": report.tags,
        "tagsRemoved": report.tags_removed,
        "settings": report.settings,
        "nodes": report.nodes,
        "archive": asdict(report.archive),
    }
