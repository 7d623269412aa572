"""
notifying: what systemd is told, by its protocol of datagrams (sd_notify(3)).

Nothing is told where ``NOTIFY_SOCKET`` is not set. The variables are taken out of the environment, since children do
not speak for the service.
"""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHDOG_PID: Final = "WATCHDOG_PID"


class Notifier:
    """
    Tells systemd how this process is.

    Args:
        environ: Where its variables are; they are removed. None is the process's.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        found = os.environ if environ is None else environ
        address, usec, pid = (found.pop(name, "") for name in (_SOCKET, _WATCHDOG, _WATCHDOG_PID))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        meant = pid in {"", str(os.getpid())}
        self.watchdog = int(usec) / 2_000_000 if address and usec.isdecimal() and int(usec) and meant else None
        """Seconds between two signs of life, half of what systemd waits; None if it does not wait."""
        self._beaten = float("-inf")

    def ready(self) -> None:
        """Tell that the service works, at its start and after a rolling restart."""
        self._send("READY=1", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Tell that a rolling restart begins."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Tell that the service stops."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in words how it is; ``systemctl status`` shows it."""
        self._send(f"STATUS={text}")

    def beat(self) -> None:
        """Give a sign of life, if one is due."""
        if self.watchdog is not None and time.monotonic() - self._beaten >= self.watchdog * 0.9:
            self._beaten = time.monotonic()
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto("\n".join(lines).encode(), self._address)
