"""Messages to the service manager, as sd_notify(3) sends them. Without NOTIFY_SOCKET nothing is sent."""

import os
import socket
from contextlib import suppress

VARIABLE = "NOTIFY_SOCKET"


def notify_manager(*lines: str) -> None:
    """Send lines such as ``READY=1``. A manager that does not listen is no reason to stop."""
    address = os.environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto("\n".join(lines).encode(), f"\0{address[1:]}" if address.startswith("@") else address)
