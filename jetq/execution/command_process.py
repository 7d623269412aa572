"""
command_process: one run of a command: its start, its output, its signals, its end.

It leads a session and a process group of its own, reads nothing, and writes stdout and stderr into one pipe. The loop
watches that pipe and the process (by its pidfd; where a system has none, it looks again and again), and is never kept:
a start costs it a millisecond, the output is taken in pieces.

Its end is that of the program alone. What the program leaves in its group is killed then; so neither a child that
holds the pipe open nor one that goes on in the background outlives the run. (A program that makes a session of its own
says that it wants to, and is left alone.) A command that must end gets TERM, with its group, and KILL when its grace is
over; who asks again meanwhile has it killed at once.

On Linux the group ends with the worker, however that dies: the kernel kills it when the worker's end of a pipe is
closed (fcntl(2), F_SETSIG and F_SETOWN with a group). Only a member of the group can say so before it could be too
late; so a Python of a few milliseconds says it, and then becomes the command.
"""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from jetq.errors import CommandStartError
from jetq.execution.command_output import Output
from jetq.wire.death import Death

_CHUNK: Final = 64 * 1024
"""Bytes; as many as a pipe holds."""
_LOOK_EVERY: Final = 0.02
"""Seconds between two looks, where the system does not tell of an end."""
_LINGER: Final = 0.25
"""Seconds in which the rest of the output must come once the group is dead."""
_DEATH: Final = 2.0
"""Seconds that the system may take to kill."""
_BECOME: Final = """
import fcntl, os, sys, _signal
watched, report, worker = map(int, sys.argv[1:4])
fcntl.fcntl(watched, fcntl.F_SETOWN, -os.getpid())
fcntl.fcntl(watched, fcntl.F_SETSIG, _signal.SIGKILL)
fcntl.fcntl(watched, fcntl.F_SETFL, fcntl.fcntl(watched, fcntl.F_GETFL) | os.O_ASYNC)
if os.getppid() != worker:
    os._exit(1)
for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
    _signal.signal(number, _signal.SIG_DFL)
os.set_inheritable(report, False)
try:
    os.execvp(sys.argv[4], sys.argv[4:])
except OSError as error:
    os.write(report, b"%d" % error.errno)
    os._exit(127)
"""
"""Python ignores the two signals, and a program inherits that."""


class CommandProcess:
    """
    A command that runs. Made by :meth:`start`, in the loop that waits for it.

    Args:
        name: The command, for errors.
        process: It; its number is its group's.
        output: Where what it writes arrives.
        ties: This process's ends of its pipes: what it writes, what becoming the command reported, what keeps it alive.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], output: Output, ties: Sequence[int]) -> None:
        self.output = output
        self._name = name
        self._process = process
        self._ties = list(ties)
        self._written = ties[0]
        self._loop = asyncio.get_running_loop()
        self._silent: asyncio.Future[None] = self._loop.create_future()
        self._dead: asyncio.Future[None] = self._loop.create_future()
        self._pidfd = -1
        self._is_buried = False
        for end in ties[:2]:  # a process that the application forks meanwhile may keep their other ends open for long
            os.set_blocking(end, False)
        self._loop.add_reader(self._written, self._read)
        self._watch()

    @classmethod
    def start(cls, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path | None, limit: int) -> Self:
        """
        Start a command.

        Args:
            arguments: The program and its arguments, as it gets them.
            environment: Its variables.
            cwd: Its working directory; None is this process's.
            limit: Bytes of its output that are kept.

        Raises:
            CommandStartError: The system refuses.
        """
        ends: list[int] = []
        try:
            for _ in range(3):
                ends += os.pipe()
            written, output, reported, report, watched, lifeline = ends
            process = _popen(arguments, output, (watched, report), environment, cwd)
        except (OSError, ValueError) as error:
            for end in ends:
                os.close(end)
            raise CommandStartError(arguments[0], _reason(error)) from None
        for end in (output, report, watched):
            os.close(end)
        return cls(arguments[0], process, Output(limit), (written, reported, lifeline))

    # its output

    def _read(self) -> None:
        """Take what was written; an empty piece says that nobody is left who could write."""
        try:
            data = os.read(self._written, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self.output.add(data)
            return
        self._loop.remove_reader(self._written)
        if not self._silent.done():
            self._silent.set_result(None)

    # its end

    def _watch(self) -> None:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(self._process.pid)
                self._loop.add_reader(self._pidfd, self._died)
                return
        self._look()

    def _look(self) -> None:
        if self._process.poll() is None:
            self._loop.call_later(_LOOK_EVERY, self._look)
        else:
            self._died()

    def _died(self) -> None:
        """Kill what it leaves behind. Until it was waited for, its number is that of its group, and nobody else's."""
        self._unwatch()
        self.kill()
        self._process.wait()
        self._is_buried = True
        if not self._dead.done():
            self._dead.set_result(None)

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def kill(self) -> None:
        """End it and its group where they stand."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it and its group to end."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if not self._is_buried:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def ended(self) -> Death:
        """
        Wait for its end, and for the rest of what it wrote.

        Raises:
            CommandStartError: It never became the command.
        """
        await asyncio.shield(self._dead)
        await asyncio.wait([self._silent], timeout=_LINGER)
        with contextlib.suppress(OSError):
            if number := os.read(self._ties[1], 16):
                raise CommandStartError(self._name, _reason(OSError(int(number), os.strerror(int(number)))))
        return Death(self._process.returncode, 0)

    async def stop(self, grace: float) -> None:
        """End it: TERM, and KILL after *grace* seconds, or as soon as the caller is cancelled once more."""
        self.terminate()
        try:
            await asyncio.wait([self._dead], timeout=grace)
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self.kill()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._dead], timeout=_DEATH)

    def close(self) -> None:
        """Kill what still lives, and let go of its pipes; the loop still waits for one that does not die at once."""
        self.kill()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._written)
        while self._ties:
            os.close(self._ties.pop())


def _popen(
    arguments: Sequence[str], output: int, inherited: tuple[int, int], environment: Mapping[str, str], cwd: Path | None
) -> subprocess.Popen[bytes]:
    command = list(arguments)
    if sys.platform == "linux":
        told = [str(number) for number in (*inherited, os.getpid())]
        command = [sys.executable, "-I", "-S", "-c", _BECOME, *told, *arguments]
    return subprocess.Popen(  # noqa: S603 - what the application said, as a list
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        cwd=cwd,
        pass_fds=inherited if sys.platform == "linux" else (),
        start_new_session=True,
    )


def _reason(error: OSError | ValueError) -> str:
    """Say why a command did not start, in words."""
    if not isinstance(error, OSError):
        return str(error)
    where = f": {error.filename}" if error.filename else ""
    text = f"{error.strerror}{where}"
    match error.errno:
        case errno.ENOENT:
            return f"{text} (a name without a slash is looked for in PATH, one with a slash from the working directory)"
        case errno.EACCES:
            return f"{text} (is it executable?)"
        case errno.ENOEXEC:
            return f"{text} (a script must begin with #! and its interpreter)"
        case _:
            return text
