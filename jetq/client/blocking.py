"""
blocking: the one bridge from sync code to async.

One background thread a process runs one event loop for all blocking calls; a child made by fork starts its own, since
threads do not survive a fork. No method has a second, blocking body: it hands its coroutine over and waits.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from jetq.errors import BlockingCallError

_T = TypeVar("_T")
_CLOSE_SECONDS: Final = 2.0


class Bridge:
    """A background event loop. Use :func:`bridge` to get the process's own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="jetq-blocking", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def close(self) -> None:
        """End the loop and what runs in it; called at the process's exit. A forked child leaves its parent's alone."""
        if self.pid == os.getpid() and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(_CLOSE_SECONDS)

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run *coroutine* in the background loop and return what it returns; a Ctrl-C here cancels it there."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


_lock = threading.Lock()
_bridge: Bridge | None = None


def bridge() -> Bridge:
    """Return this process's bridge, starting it on first use."""
    global _bridge  # noqa: PLW0603 - one a process
    with _lock:
        if _bridge is None or _bridge.pid != os.getpid():
            _bridge = Bridge()
        return _bridge


def forbid_in_loop(method: str, instead: str) -> None:
    """
    Refuse a blocking call where it would stop an event loop.

    Raises:
        BlockingCallError: A loop runs in this thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingCallError(method, instead)


def _reset_lock_after_fork() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held by a thread that does not exist here
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_lock_after_fork)
