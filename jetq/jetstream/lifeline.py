# ruff: noqa: PTH108, PTH118, PTH106, PTH123
"""
lifeline: a program that keeps nats-server for as long as its own standard input is open.

Run by path, with nothing but the quickest of the standard library, so that it starts in milliseconds. The embedding
process holds the other end of the pipe: when that process ends, however it ends, the pipe closes, and the server is
stopped and what it leaves behind is removed. (A parent-death signal would follow the thread that started the server,
not the process.)

A server that ends by itself leaves the file ``ended`` in the folder, and its log for the embedding process to read.

Arguments: the folder to remove at the end, the announcement to remove at the end (or nothing), the program and its
arguments.
"""

import os
import select
import signal
import sys
import time

_STDIN = 0
_PATIENCE = 10.0


def _remove(folder: str) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(parent, name))
        for name in folders:
            os.rmdir(os.path.join(parent, name))
    os.rmdir(folder)


def _withdraw(announcement: str, pid: int) -> None:
    try:
        with open(announcement, "rb") as file:
            if b'"pid":%d,' % pid in file.read():
                os.unlink(announcement)
    except OSError:
        pass


def _ended(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


def _wake(_number: int, _frame: object) -> None:
    """Let the signal reach the wake-up pipe; without a handler it would be ignored."""


def _hear_of_children() -> int:
    """Return a pipe that becomes readable when something happened to the child."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    return readable


def _outlives_us(pid: int, awakened: int) -> bool:
    """Wait, and tell whether our own end came before the child's."""
    while True:
        ready, _, _ = select.select([_STDIN, awakened], [], [])
        if _STDIN in ready:
            return True
        os.read(awakened, 4096)
        if os.waitpid(pid, os.WNOHANG)[0]:  # it may only have been frozen, or gone on
            return False


def main() -> None:
    """Run the program given on the command line until one of the two ends."""
    folder, announcement, *command = sys.argv[1:]
    awakened = _hear_of_children()
    pid = os.fork()
    if pid == 0:
        os.execv(command[0], command)  # noqa: S606 - no shell wanted
    for deadly in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(deadly, signal.SIG_IGN)  # whoever signals us all has us end with the embedding process
    if _outlives_us(pid, awakened):
        os.kill(pid, signal.SIGTERM)
        if not _ended(pid, _PATIENCE):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    else:
        with open(os.path.join(folder, "ended"), "wb"):
            select.select([_STDIN], [], [])
    if announcement:
        _withdraw(announcement, pid)
    _remove(folder)


if __name__ == "__main__":
    main()
