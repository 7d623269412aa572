"""
stopping: what TERM and INT mean to a process of jetq.

The first asks it to stop in order, the second to stop at once, the third ends it where it stands. The handlers are
Python's and not the event loop's, since a loop that a handler of the user blocks would never hear the third.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

from jetq.observe.logs import Log

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
KILLED: Final = 1
"""Exit status of a process that the third signal ended."""


class StopSignals:
    """
    Obeys TERM and INT within a ``with`` block, in the main thread.

    Args:
        on_signal: Called in the signal handler with the signal's name and how many there were by now, 1 or 2. It must
            do nothing but wake somebody.
    """

    def __init__(self, on_signal: Callable[[str, int], None]) -> None:
        self._on_signal = on_signal
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Take over the handlers."""
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._obey)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _obey(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:  # noqa: PLR2004 - the third
            os._exit(KILLED)
        self._on_signal(signal.Signals(number).name, self._count)


def obeying(log: Log, stop: Callable[[], None], at_once: Callable[[], None] | None = None) -> StopSignals:
    """
    Return what lets the running loop obey TERM and INT, and tells the log.

    Args:
        log: Told of each.
        stop: Called at the first.
        at_once: Called at the second; None asks again as the first did.
    """
    loop = asyncio.get_running_loop()

    def obey(name: str, count: int) -> None:
        if at_once is None or count == 1:
            log.info("stop", signal=name)
            stop()
        else:
            log.info("stop at once", signal=name)
            at_once()

    def on_signal(name: str, count: int) -> None:
        loop.call_soon_threadsafe(obey, name, count)

    return StopSignals(on_signal)
