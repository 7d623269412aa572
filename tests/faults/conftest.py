"""Worker processes that may be killed, and what they did."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jetq.app.application import App
from tests.faults.program import GO, make_app
from tests.servers import TestServer

ROOT = Path(__file__).parents[2]


class Crew:
    """
    Worker processes of one test.

    Attributes:
        log: Where their handlers note starts and ends.
    """

    def __init__(self, url: str, namespace: str, log: Path) -> None:
        self._arguments = [url, namespace, str(log)]
        self.log = log
        self.members: list[subprocess.Popen[str]] = []

    def hire(self, *, ahead: float = 0.0) -> subprocess.Popen[str]:
        """Start a worker, whose clock may be ahead of ours, and wait until it is ready."""
        command = [sys.executable, "-m", "tests.faults.program", *self._arguments, str(ahead)]
        worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.members.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        return worker

    def lines(self, word: str) -> list[list[str]]:
        """Return what was noted with a word: task id, attempt, pid, time."""
        if not self.log.exists():
            return []
        return [line.split()[1:] for line in self.log.read_text().splitlines() if line.startswith(f"{word} ")]

    def counts(self, word: str) -> Counter[str]:
        """Return how often each task was noted with a word."""
        return Counter(task for task, *_ in self.lines(word))

    def let_go(self) -> None:
        """Let the handlers end that are held."""
        self.log.with_name(GO).touch()

    def dismiss(self) -> None:
        """End all workers."""
        for worker in self.members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGCONT)
            worker.kill()
            worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()


@pytest.fixture
def crew(own_server: TestServer, namespace: str, tmp_path: Path) -> Iterator[Crew]:
    """Give a crew on a server of this test's own."""
    hired = Crew(own_server.url, namespace, tmp_path / "log")
    yield hired
    hired.dismiss()


@pytest.fixture
async def app(own_server: TestServer, namespace: str) -> AsyncIterator[App]:
    """Give the application of the test itself, which enqueues."""
    made = make_app(own_server.url, namespace)
    yield made
    await made.aclose()
