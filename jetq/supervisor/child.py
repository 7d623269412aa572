"""
child: one child process: its start, its signs of life, its end, and what it leaves behind.

It is a fresh interpreter, not a fork: the supervisor may have threads, and new code starts from nothing. It leads a
session of its own, so that a Ctrl-C reaches the supervisor alone, which hands it on. It inherits three file
descriptors: its end of the pipe, the memory in which it notes its runs, and a lock that keeps lines of logs whole.
"""

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Final

from jetq.supervisor.pipe import Pipe
from jetq.wire.death import Death, death_of
from jetq.wire.in_flight import RunInFlight, read_in_flight, size_for
from jetq.wire.liveness import Blocked, Stop

Command = Callable[[str], list[str]]
"""Returns the command of a child, given the file descriptors that it inherits."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Child:
    """
    A child process, from its start on.

    Args:
        command: Of the process.
        place: Its number among the children, for people.
        runs: Tasks that it may have in flight at one time.
        log_lock: A file that whoever writes to the log locks.

    Attributes:
        pid: Its process.
        pipe: To it.
        started: Monotonic time, as all times here.
        ready_at: When it began to take tasks; None before.
        heard: When it gave its last sign of life.
        worker: Its worker's id, once it is ready.
        done: Tasks that came to their end there.
        blocked: What blocks its event loop, by its own word.
        overdue: A handler that outran its limit and grace, by its own word.
        reasons: Why it takes no tasks, by its own word.
        leaving: It was told to stop.
        kill_at: When it is killed, if it is still there.
        death: How it ended; None while it lives.
    """

    def __init__(self, command: Command, place: int, runs: int, log_lock: int) -> None:
        near, far = socket.socketpair()
        shared = _shared_file(size_for(runs))
        self._memory = mmap.mmap(shared, size_for(runs))
        inherited = (far.fileno(), shared, log_lock)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command(",".join(map(str, inherited))), pass_fds=inherited, start_new_session=True
            )
        except BaseException:
            near.close()
            raise
        finally:
            far.close()
            os.close(shared)
        self.place = place
        self.pid = self._process.pid
        self.pipe = Pipe(near)
        self.started = self.heard = time.monotonic()
        self.ready_at: float | None = None
        self.worker = ""
        self.running = 0
        self.done = 0
        self.blocked: Blocked | None = None
        self.overdue = ""
        self.reasons: list[str] = []
        self.leaving = False
        self.kill_at: float | None = None
        self.killed_for = ""
        self.death: Death | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it takes tasks: it began to, and was not told to stop."""
        return self.ready_at is not None and not self.leaving and self.death is None

    @property
    def healthy(self) -> float:
        """Seconds that it took tasks."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    def leave(self, patience: float) -> None:
        """Take note that it stops by itself, since somebody else told it to; it is killed when *patience* is over."""
        self.leaving = True
        self.kill_at = time.monotonic() + patience

    def stop(self, *, patience: float, now: bool = False) -> None:
        """
        Tell it to stop, and kill it when its *patience* in seconds is over; *now* is not to wait for its handlers.

        One that has not begun gets a TERM as well, since its end of the pipe may have no reader yet.
        """
        self.leaving = True
        limit = time.monotonic() + patience
        self.kill_at = limit if self.kill_at is None else min(limit, self.kill_at)
        self.pipe.send(Stop(now=now))
        if self.ready_at is None:
            self._signal(signal.SIGTERM)

    def kill(self, why: str = "") -> None:
        """End it where it stands."""
        self.leaving = True
        self.kill_at = None
        self.killed_for = self.killed_for or why
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Send a signal; the number of the process is its own until it was waited for."""
        if self.death is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def reap(self) -> bool:
        """Say whether the process has ended, and take note of how."""
        if self.death is None:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.ended(Death(0, 0))
            else:
                if pid:
                    self.ended(death_of(status, usage.ru_maxrss))
        return self.death is not None

    def ended(self, death: Death) -> None:
        """Take note of the end, of which somebody else may have learnt."""
        self.death = death
        self._process.returncode = death.status

    def memory(self) -> int:
        """Return the bytes that it holds; 0 where the system does not say."""
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{self.pid}/statm", "rb") as file:  # noqa: PTH123 - read every second
            return int(file.read().split()[1]) * _PAGE
        return 0

    def left_behind(self) -> tuple[str, list[RunInFlight]]:
        """Return its worker's id and the runs that it had in flight when it died."""
        with memoryview(self._memory) as memory:
            return read_in_flight(memory)

    def close(self) -> None:
        """Free what was shared with it."""
        self.pipe.close()
        self._memory.close()


def _shared_file(size: int) -> int:
    """Return a file without a name."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("jetq-in-flight", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
