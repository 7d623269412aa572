"""
line_stream: a log that several processes write, and whose lines stay whole.

Everything that is logged at one time is written at once. A pipe keeps short writes whole by itself; one above its
limit, a traceback for instance, may be cut by somebody else's line. So all writers hold a lock while they write. Nobody
waits long for it: a process that was stopped with the lock in its hand must not silence the others.
"""

import io
import os
import time
from typing import Any, Final, TextIO, cast

_locking: Any
try:
    import fcntl

    _locking = fcntl
except ImportError:  # Windows, where no two processes write one log
    _locking = None

_PATIENCE: Final = 0.05
_STEP: Final = 0.001


def shared_log(descriptor: int, lock: int) -> TextIO:
    """
    Return a stream for a log handler, beside those of other processes.

    Args:
        descriptor: Where to.
        lock: A file that all writers lock; record locks belong to processes, so that inherited descriptors exclude
            each other.
    """
    return cast("TextIO", _LineStream(descriptor, lock))


class _LineStream(io.TextIOBase):
    """
    See :func:`shared_log`.

    Attributes:
        lock: The file that all writers lock.
    """

    def __init__(self, descriptor: int, lock: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.lock = lock

    def isatty(self) -> bool:
        """Whether a person reads."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """Return where it writes."""
        return self._descriptor

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, text: str) -> int:
        """Write all of a text, as one."""
        data = memoryview(text.encode(errors="backslashreplace"))
        held = self._acquire()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        finally:
            if held:
                _locking.lockf(self.lock, _locking.LOCK_UN)
        return len(text)

    def _acquire(self) -> bool:
        """Take the lock, within a moment; a file system without locks is no reason not to log."""
        until = time.monotonic() + _PATIENCE
        while _locking is not None:
            try:
                _locking.lockf(self.lock, _locking.LOCK_EX | _locking.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(_STEP)
            except OSError:
                return False
            else:
                return True
        return False
