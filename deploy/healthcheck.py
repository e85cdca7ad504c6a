"""Checks the service in this container: /healthz (its loops run) and /readyz (broker and database answer).

Exit code 0 or 1, with the reason on standard output, where `docker inspect` shows it. Standard library only.
Usage: healthcheck.py [HOST:PORT], by default 127.0.0.1:8080.
"""

import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 3.0  # /readyz answers within 2 s


def ask(address: str, path: str) -> tuple[int, str]:
    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(2000).decode("utf-8", "replace")
    finally:
        connection.close()


def main(address: str) -> int:
    for path in ("/healthz", "/readyz"):
        try:
            status, text = ask(address, path)
        except (OSError, HTTPException) as e:
            print(f"{path}: no answer: {e!r}")
            return 1
        if status != 200:
            print(f"{path}: {status} {text}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080"))
