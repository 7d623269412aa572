"""
signals: the signals that a supervisor obeys, as bytes that wake it.

Python writes the number of each signal into a socket, and the supervisor's loop reads them there in order. So nothing
happens within a signal handler, and no signal interrupts anything.
"""

import contextlib
import signal
import socket
from types import FrameType, TracebackType
from typing import Any, Final, Self

OBEYED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_BYTES: Final = 4096


class Signals:
    """Receives signals within a ``with`` block, in the main thread. Has a ``fileno`` to wait for."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        for end in (self._reading, self._writing):
            end.setblocking(False)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup = -1

    def __enter__(self) -> Self:
        """Take over the handlers."""
        self._wakeup = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        for number in OBEYED:
            self._before[number] = signal.signal(number, _heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._reading.close()
        self._writing.close()

    def fileno(self) -> int:
        """Return what becomes readable with a signal."""
        return self._reading.fileno()

    def wake(self) -> None:
        """Wake the loop, from any thread."""
        with contextlib.suppress(OSError):
            self._writing.send(b"\0")

    def received(self) -> list[signal.Signals]:
        """Return the signals since the last call."""
        with contextlib.suppress(BlockingIOError):
            return [signal.Signals(number) for number in self._reading.recv(_BYTES) if number]
        return []


def _heard(_number: int, _frame: FrameType | None) -> None:
    """Do nothing here; that there is a handler keeps the signal from ending the process."""
