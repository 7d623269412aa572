"""
processes: programs that are watched: their processor time and their memory, with all that they started (Linux).

The figures stand in ``/proc``, where processor time is counted to the nanosecond for each thread.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench import body

_GRACE: Final = 10.0
_POLL: Final = 0.005
Process = subprocess.Popen[bytes]


class StalledError(RuntimeError):
    """Tasks did not run in time."""


def tree(pid: int) -> list[int]:
    """Return a process and all that came of it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += children.get(each, ())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process."""
    spent = 0
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def rss_mib(pid: int) -> float:
    """Return the memory that a process holds, in MiB."""
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Crew:
    """
    Programs that run tasks, the file in which these note that they began, and the server.

    Args:
        commands: The programs.
        environ: Theirs, beside what this process has.
        notes: The file.
        log: Where what they print goes; None is this process's.
    """

    def __init__(
        self, commands: Sequence[Sequence[str]], environ: Mapping[str, str], notes: Path, log: Path | None = None
    ) -> None:
        self.notes = notes
        given = {**os.environ, **environ, body.VARIABLE: str(notes)}
        with (log or Path(os.devnull)).open("ab") as said:
            self.processes = [
                subprocess.Popen(  # noqa: S603 - the programs that are measured
                    command,
                    env=given,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said if log else None,
                    start_new_session=True,
                )
                for command in commands
            ]

    @property
    def pids(self) -> list[int]:
        """All processes."""
        return [pid for process in self.processes for pid in tree(process.pid)]

    def cpu_seconds(self) -> float:
        """Return what they spent so far."""
        return sum(map(cpu_seconds, self.pids))

    def so_far(self) -> tuple[int, float]:
        """Return how many tasks have begun, and what the programs spent until then."""
        pids = self.pids  # finding them takes a while, in which more tasks begin
        return body.count(self.notes), sum(map(cpu_seconds, pids))

    def rss_mib(self) -> float:
        """Return what they hold together; pages that they share count once for each."""
        held = 0.0
        for pid in self.pids:
            with suppress(OSError):
                held += rss_mib(pid)
        return held

    def await_count(self, count: int, seconds: float = 60.0) -> None:
        """
        Wait until so many tasks have begun.

        Raises:
            StalledError: They did not in so many seconds, or a program ended.
        """
        limit = time.monotonic() + seconds
        while (begun := body.count(self.notes)) < count:
            if time.monotonic() > limit:
                raise StalledError(f"{begun} of {count} tasks began in {seconds:g} s")
            if any(process.poll() is not None for process in self.processes):
                raise StalledError(f"a worker ended when {begun} of {count} tasks had begun")
            time.sleep(_POLL)

    def stop(self) -> None:
        """Ask them to end, and make them."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        limit = time.monotonic() + _GRACE
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(limit - time.monotonic(), 0.1))
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def crew(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], log: Path | None = None
) -> Generator[Crew, None, None]:
    """Run programs on notes of their own."""
    with tempfile.TemporaryDirectory(prefix="jetq-bench-") as folder:
        notes = Path(folder) / "notes"
        notes.touch()
        running = Crew(commands, environ, notes, log)
        try:
            yield running
        finally:
            running.stop()
