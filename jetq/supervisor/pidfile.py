"""
pidfile: a file that says who runs, and lets nobody run twice.

The file is locked for as long as the process lives. The system frees the lock with the process, however that ends; so a
file that was left behind, even with the number of a process that lives (in a container everybody is number 1), stops
nobody.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

from jetq.errors import AlreadyRunningError, InvalidSettingError

_MOST_DIGITS: Final = 20


@contextlib.contextmanager
def pidfile(path: Path | None) -> Generator[None, None, None]:
    """
    Hold a file with this process's number; nothing without a path.

    Raises:
        AlreadyRunningError: Another process holds it.
        InvalidSettingError: It cannot be written.
    """
    if path is None:
        yield
        return
    descriptor = _locked(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _locked(path: Path) -> int:
    """Return the file, locked; it may be removed by its former holder between the opening and the lock."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InvalidSettingError("--pidfile", str(path), f"a file to write ({error.strerror})") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, _MOST_DIGITS, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyRunningError(str(path), holder) from None
        except FileNotFoundError:
            pass
        os.close(descriptor)
