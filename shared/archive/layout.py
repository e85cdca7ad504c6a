"""Layout of an archive of format version 3: paths, version file, clusters."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import JobtideError, Unavailable, UserError

VERSION = 3
VERSION_FILE = "version.txt"
CLUSTER_FILE = "cluster.json"
META_FILE = "meta.json"
DATA_FILE = "data.json"
PACKED_DATA_FILE = "data.json.gz"
THUMBNAIL_FILE = "thumbnail.json.gz"
TEMPORARY_PREFIX = ".tmp-"
MAX_STORED_BYTES = 512 * 1024 * 1024  # limit of one file of an entry, compressed or not; SQLite accepts values of up to twice this size
MAX_UNPACKED_BYTES = 4 * 1024**3


class ArchiveError(JobtideError):
    """An archive entry cannot be used. The text names it."""


class TooLarge(ArchiveError):
    """A file of an entry is above the limit. It was not read, or not written."""


class ArchiveUnavailable(Unavailable):
    """The place of an archive cannot be used: it is missing, not mounted, does not answer, or holds something else."""


def require_size(place: Path | str, size: int) -> None:
    """Raises TooLarge. Files are read whole, so the limit bounds the memory of whoever reads an archive."""
    if size > MAX_STORED_BYTES:
        raise TooLarge(f"{place}: {size} bytes are more than the {MAX_STORED_BYTES} that a file of an entry may have")


def without_place(error: Exception, place: Path) -> str:
    """The text of an error without ``place`` at its start, for reports that name the place themselves."""
    text = str(error)
    return next((text.removeprefix(start) for end in (": ", " ", "/") if text.startswith(start := f"{place}{end}")), text)


@dataclass(frozen=True, slots=True, order=True)
class JobPath:
    """The identity of a job, which determines its path: ``<cluster>/<id div 1000>/<id mod 1000>/<start>``."""

    cluster: str
    job_id: int
    start_time: int

    @property
    def relative(self) -> str:
        return f"{self.cluster}/{self.job_id // 1000}/{self.job_id % 1000:03d}/{self.start_time}"

    def under(self, root: Path) -> Path:
        """Raises ArchiveError when the parts do not form a path inside the archive."""
        if not is_directory_name(self.cluster) or self.job_id < 0 or self.start_time < 0:
            raise ArchiveError(f"no archive path for job {self.job_id} of the cluster {self.cluster!r} started at {self.start_time}")
        return root / self.relative


def is_directory_name(cluster: str) -> bool:
    return bool(cluster) and not cluster.startswith(".") and "/" not in cluster and "\0" not in cluster


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both are the same file or folder, by whatever path: relative, through links, or at two mount points."""
    if one.resolve() == other.resolve():
        return True
    try:
        return one.samefile(other)
    except OSError:
        return False


def job_path_of(root: Path, directory: Path) -> JobPath:
    """The inverse of ``JobPath.under``. Raises ArchiveError when ``directory`` is not the path of a job."""
    return path_of_parts(directory.relative_to(root).parts, directory)


def path_of_parts(parts: Sequence[str], place: Path | str) -> JobPath:
    """The job whose entry is at these parts. Raises ArchiveError, which names ``place``."""
    try:
        cluster, thousands, rest, start = parts
        found = JobPath(cluster, int(thousands) * 1000 + int(rest), int(start))
    except ValueError as e:
        raise ArchiveError(f"{place} is not <cluster>/<id div 1000>/<id mod 1000>/<start>") from e
    if found.relative != "/".join(parts):
        raise ArchiveError(f"{place} should be {found.relative}")
    return found


def open_archive(root: Path) -> None:
    """Create the archive when the folder is missing or empty, otherwise check its version.

    Raises UserError when the folder has other content, or is an archive of another version.
    """
    version = root / VERSION_FILE
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not version.exists():
            if any(not entry.name.startswith(".") for entry in root.iterdir()) and not version.exists():
                raise UserError(f"{root} is neither empty nor an archive: {VERSION_FILE} is missing")
            temporary = root / f"{TEMPORARY_PREFIX}{VERSION_FILE}-{os.getpid()}"
            temporary.write_text(f"{VERSION}\n", encoding="ascii")
            temporary.replace(version)
        check_version(root)
    except OSError as e:
        raise UserError(f"the archive {root} cannot be opened: {e.strerror}") from e


def check_version(root: Path) -> None:
    """Raises UserError unless ``root`` is an archive of the supported version."""
    require_version(read_version(root), str(root))


def read_version(root: Path) -> int:
    """Raises UserError when ``root`` is not an archive."""
    try:
        text = (root / VERSION_FILE).read_text(encoding="ascii", errors="replace")
    except OSError as e:
        raise UserError(f"{root} is not an archive: {VERSION_FILE}: {e.strerror}") from e
    return version_of(text, str(root))


def version_of(text: str, address: str) -> int:
    """The number in a version file. Raises UserError."""
    digits = text.removesuffix("\n")
    if not digits.isdigit() or len(digits) > 9:
        raise UserError(f"{address} is an archive of version {digits.strip()[:20]!r}, this program supports version {VERSION}")
    return int(digits)


def require_version(version: int, address: str) -> None:
    """Raises UserError."""
    if version != VERSION:
        hint = "; `jobtide archive convert` writes it as version 3" if 0 < version < VERSION else ""
        raise UserError(f"{address} is an archive of version '{version}', this program supports version {VERSION}{hint}")


def require_archive(root: Path) -> None:
    """Raises ArchiveUnavailable unless ``root`` is an archive of the supported version, as when it is not mounted."""
    try:
        check_version(root)
    except UserError as e:
        raise ArchiveUnavailable(str(e)) from e


def cluster_names(root: Path) -> list[str]:
    """The clusters of an archive: folders with a cluster.json. Others, such as ``lost+found``, are ignored."""
    return sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".") and (entry / CLUSTER_FILE).is_file())


def job_directories(root: Path) -> Iterator[Path]:
    """All folders at the depth of a job, by cluster and ascending job id, including temporary ones. Lists one folder at a time."""

    def inside(directory: Path) -> list[Path]:
        try:
            with os.scandir(directory) as found:
                names = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            if directory == root:
                raise
            return []  # its last entry was removed meanwhile
        return [directory / name for name in sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))]

    for cluster in inside(root):
        if cluster.name.startswith("."):
            continue
        for thousands in inside(cluster):
            for rest in inside(thousands):
                yield from inside(rest)
