"""
interrupts: what a worker may raise in the main thread of a process for its handlers, by signals.

A signal reaches the handler between two Python instructions, and wakes it from most blocking calls: `SoftTimeout` at
the soft limit, `HandlerStopped` when the run must end. Each is raised at most once in a call, and only while the
handler runs; so a signal that comes late finds nobody. What must not be torn apart, a message on its way to the worker,
is shielded: what comes meanwhile is raised right after it.

Ctrl-C and TERM are the worker's to hear, also where somebody signals a whole group of processes: they do nothing here.
They have a function that does nothing, since programs that a handler starts would inherit that a signal is ignored.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from jetq.errors import SoftTimeout
from jetq.execution.pools import HandlerStopped
from jetq.execution.soft_limit import SoftLimit

SOFTEN: Final = getattr(signal, "SIGUSR1", None)
"""The signal of the soft limit; None where a system has no such signals, and no processes for handlers."""
STOP: Final = getattr(signal, "SIGUSR2", None)
"""The signal of the end."""
_UNHEARD: Final = ("SIGINT", "SIGTERM", "SIGHUP")

Interruption = type[SoftTimeout] | type[HandlerStopped]


class Interrupts:
    """
    The interruptions of this process's calls. Made in the main thread.

    Attributes:
        stopped: The call was told to end.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._soft: SoftLimit | None = None
        self._open = False
        self._shields = 0
        self._waiting: list[Interruption] = []

    def install(self) -> None:
        """Hear the worker's signals, and no others."""
        if SOFTEN is not None and STOP is not None:
            signal.signal(SOFTEN, self._on_soften)
            signal.signal(STOP, self._on_stop)
        for name in _UNHEARD:
            signal.signal(getattr(signal, name), _do_nothing)

    def open(self, soft: SoftLimit) -> None:
        """Let signals interrupt from now on, since a call begins; *soft* is told when it was asked to end."""
        self._soft = soft
        self.stopped = False
        self._waiting.clear()
        self._open = True

    def close(self) -> None:
        """Let nothing interrupt any more: the handler has ended."""
        self._open = False

    @property
    def is_over(self) -> bool:
        """Whether the call was told to end, or has ended."""
        return self.stopped or not self._open

    @contextmanager
    def shielded(self) -> Generator[None, None, None]:
        """Let nothing interrupt what is done here; other threads are never interrupted."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            if self._waiting and not self._shields and self._open:
                raise self._waiting.pop()

    def _on_soften(self, _number: int, _frame: FrameType | None) -> None:
        if self._open and self._soft is not None and not self._soft.reached:
            self._soft.reached = True
            self._raise(SoftTimeout)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._open and not self.stopped:
            self.stopped = True
            self._raise(HandlerStopped)

    def _raise(self, interruption: Interruption) -> None:
        if not self._shields:
            raise interruption
        self._waiting.append(interruption)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Hear a signal that is not for this process."""
