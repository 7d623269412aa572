"""
task_file: the file in which a command finds its task; gone when the command has ended.

Each run has a folder of its own (mode 0700) in the system's folder for temporary files, with the one file ``task.json``
(0600). It is removed with the run, however that ends. A worker that is killed cannot do it: the next one that starts on
this machine, for the same user, does (:func:`sweep`). It tells the living from the dead by a lock (flock) that a worker
holds on each of its files, and that the system takes back when the worker dies. The file has its name only once it is
locked; so one that can be locked is nobody's, and a folder in which there is none yet is left alone for an hour.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

NAME: Final = "task.json"
_PREFIX: Final = "jetq-task-"
_YOUNG: Final = 3600.0
"""Seconds for which a folder without a file is left alone."""


@contextlib.contextmanager
def task_file(data: bytes) -> Generator[Path, None, None]:
    """
    Write a task into a file that is there as long as this context.

    Raises:
        OSError: It cannot be written.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    descriptor = -1
    try:
        path = folder / NAME
        descriptor = _written(folder / "new", data)
        (folder / "new").rename(path)
        yield path
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _written(path: Path, data: bytes) -> int:
    """Return the descriptor of a new file, which keeps it locked."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sweep() -> int:
    """Remove what workers of this user that were killed left behind; return how many files that were."""
    removed = 0
    if sys.platform == "win32":
        return removed
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed


def _is_abandoned(folder: Path) -> bool:
    """
    Whether no worker that lives holds a folder's file.

    Raises:
        OSError: Nobody can say.
    """
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(folder / NAME, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _YOUNG
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
