"""The data folder of an embedded site: its layout, its lock, and ``run.json``, by which commands find a running site."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

from shared import locking
from shared.errors import UserError


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths inside one data folder."""

    root: Path

    @property
    def run_file(self) -> Path:
        return self.root / "run.json"

    @property
    def lock_file(self) -> Path:
        return self.root / "lock"

    @property
    def keys_file(self) -> Path:
        return self.root / "keys.json"

    @property
    def log_file(self) -> Path:
        """The log of a site that runs on a terminal."""
        return self.root / "jobtide.log"

    @property
    def credentials_file(self) -> Path:
        return self.root / "nats-users.json"

    @property
    def database_file(self) -> Path:
        return self.root / "jobtide.db"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def samples(self) -> Path:
        return self.root / "samples"

    @property
    def broker(self) -> Path:
        return self.root / "nats"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.database_file.absolute()}"


@dataclass(frozen=True, slots=True)
class Running:
    """The content of ``run.json``: URLs of a running site, ``health`` per service; ``metrics`` is its metric store.

    ``nats_adapter`` carries the user and password of an adapter, who may publish to the intake subjects and nothing else.
    """

    http: str | None
    metrics: str | None
    nats: str
    nats_adapter: str
    health: dict[str, str]
    pid: int


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file atomically: readers see the old or the new content, never a partial one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_running(folder: DataFolder, running: Running) -> None:
    write_whole(folder.run_file, orjson.dumps(asdict(running), option=orjson.OPT_INDENT_2) + b"\n")


def read_running(folder: DataFolder) -> Running:
    """Raises UserError when no site runs in the folder."""
    absent = f"no site runs in {folder.root}; start one with `jobtide up --data {folder.root}`"
    try:
        value = orjson.loads(folder.run_file.read_bytes())
        running = Running(**{field.name: value[field.name] for field in fields(Running)})
    except FileNotFoundError as e:
        raise UserError(absent) from e
    except OSError as e:
        raise UserError(f"cannot read {folder.run_file}: {e.strerror}") from e
    except (orjson.JSONDecodeError, KeyError, TypeError) as e:
        raise UserError(f"{folder.run_file} is not readable; start the site again") from e
    if not is_locked(folder):  # the site was killed and could not remove its run.json
        raise UserError(absent)
    return running


def is_locked(folder: DataFolder) -> bool:
    """Whether a site runs in the folder now."""
    return locking.is_locked(folder.lock_file)


_OWN_FILES = ("jobtide.", "run.json", "keys.json", "nats-users.json", "lock")


def make_folder(path: Path) -> None:
    """Create a data folder that only its owner can enter, or restrict the folder of an existing site. Raises UserError.

    Files that jobtide did not create, and a folder that has only such files, keep their modes.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = list(path.iterdir())
        own = [file for file in found if file.is_file() and file.name.startswith(_OWN_FILES)]
        if (own or not found) and path.stat().st_mode & 0o077:
            path.chmod(0o700)
        for file in own:
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)
    except OSError as e:
        raise UserError(f"cannot use {path} as data folder: {e.strerror}") from e


@contextmanager
def locked(folder: DataFolder) -> Iterator[None]:
    """Create the folder and lock it. Raises UserError when another site runs in it, or it cannot be written."""
    make_folder(folder.root)
    with ExitStack() as stack:
        try:
            stack.enter_context(locking.exclusive(folder.lock_file))
        except BlockingIOError as e:
            raise UserError(f"a site is already running in {folder.root}") from e
        except OSError as e:
            raise UserError(f"cannot use {folder.root} as data folder: {e.strerror}") from e
        yield
