"""Processes for handlers that are killed, and workers that are killed above them."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.jetstream.address import Address
from jetq.model.state import State
from tests.faults import pool_program
from tests.faults.process_table import lives, parent_of, running
from tests.integration.watching import eventually
from tests.servers import TestServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
ROOT = Path(__file__).parents[2]


class Workshop:
    """
    One worker with processes for its handlers.

    Attributes:
        worker: The process.
    """

    def __init__(self, url: str, namespace: str, log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "jetq", "worker", "tests.faults.pool_program:app", "-s", url, "-n", namespace]
        options = ["--pool-processes", "2", "--concurrency", "8"]
        self.worker = subprocess.Popen(
            [*command, *options], cwd=ROOT, env={**os.environ, "FAULTS_LOG": str(log)}, start_new_session=True
        )

    def lines(self, word: str) -> list[list[str]]:
        """Return what was noted with a word: task id, attempt, pid, and more."""
        if not self._log.exists():
            return []
        return [line.split()[1:] for line in self._log.read_text().splitlines() if line.startswith(f"{word} ")]

    def processes(self) -> list[int]:
        """Return the worker's processes for handlers."""
        return [pid for pid in running(b"jetq.runtime.pool_program") if parent_of(pid) == self.worker.pid]

    def close(self) -> None:
        """End the worker in order, or at last without."""
        self.worker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.worker.wait(20)
        self.worker.kill()
        self.worker.wait()


@pytest.fixture
def workshop(own_server: TestServer, namespace: str, tmp_path: Path) -> Iterator[Workshop]:
    """Give a worker."""
    made = Workshop(own_server.url, namespace, tmp_path / "log")
    yield made
    made.close()


@pytest.fixture
def app(own_server: TestServer, namespace: str) -> App:
    """Give the application of the test itself, which enqueues."""
    app = pool_program.app
    app.reconfigure(replace(app.settings, namespace=namespace))
    app.connect_to(Address.of(own_server.url))
    return app


@pytest.mark.parametrize("kills", [pytest.param(50, marks=pytest.mark.nightly), 5])
async def test_processes_killed_at_random_lose_no_task(workshop: Workshop, app: App, kills: int) -> None:
    handles = await app.aenqueue_many([("work", {"seconds": 0.05}) for _ in range(20 * kills)])
    chance, killed = random.Random(kills), 0  # noqa: S311 - a test

    async def has_killed() -> bool:
        nonlocal killed
        before = len(workshop.lines("start"))
        processes = workshop.processes()
        if before > killed * 10 and processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(processes), signal.SIGKILL)
                killed += 1
        return killed >= kills

    await eventually(has_killed, within=60)
    results = await asyncio.gather(*(handle.aresult(60) for handle in handles))
    records = await asyncio.gather(*(handle.arecord() for handle in handles))
    await app.aclose()

    ends, starts = (
        Counter(line[0] for line in workshop.lines("end")),
        Counter(line[0] for line in workshop.lines("start")),
    )
    crashes = sum(record.crashes for record in records)
    assert set(ends) == {handle.id for handle in handles}
    assert {record.state for record in records} == {State.COMPLETE}
    assert sum(starts.values()) - len(starts) <= crashes <= kills
    assert sum(record.tries - 1 for record in records) == sum(result - 1 for result in results) == crashes
    assert max(starts.values()) <= 3


async def test_a_killed_worker_leaves_no_process_whatever_that_does(workshop: Workshop, app: App) -> None:
    await app.aenqueue("deaf", {})
    await app.aenqueue("work", {"seconds": 60})

    async def are_running() -> bool:
        return len(workshop.lines("start")) == 2

    await eventually(are_running)
    [[_, _, _, program]] = [line for line in workshop.lines("start") if len(line) == 4]
    left = [*workshop.processes(), int(program)]
    workshop.worker.kill()
    workshop.worker.wait()
    await app.aclose()

    async def are_gone() -> bool:
        return not any(lives(pid) for pid in left)

    assert len(left) == 3
    await eventually(are_gone, within=5)


async def test_a_stopped_worker_leaves_no_process(workshop: Workshop, app: App) -> None:
    await (await app.aenqueue("work", {"seconds": 0})).aresult(30)
    left = workshop.processes()
    workshop.worker.send_signal(signal.SIGTERM)

    assert left
    assert workshop.worker.wait(20) == 0
    assert not any(lives(pid) for pid in left)
    await app.aclose()
