"""Processes that do not start, or do not stop; no server takes part."""

import os
import pickle
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from jetq.errors import ProcessStartError
from jetq.execution.executor import Executor
from jetq.execution.handler_process import Launch
from jetq.execution.process_pool import ProcessPool
from jetq.jetstream.address import Address
from jetq.model.outcome import Outcome, Snoozed, Succeeded
from jetq.model.record import Run, TaskRecord
from jetq.model.surroundings import PoolEvent, ProcessEnd, ProcessEnded, ProcessNotStarted, ProcessReady
from jetq.wire.process_call import Begin
from tests.unit.execution import pool_samples

_E = TypeVar("_E")


def launch(application: str = "tests.unit.execution.pool_samples:app") -> Launch:
    address = pickle.dumps(Address.of("127.0.0.1:4222"))
    begin = Begin(application=application, path=list(sys.path), namespace="JETQ", address=address, worker="W")
    return Launch(program="jetq.runtime.pool_program", begin=begin)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which files tell the hooks what to do."""
    monkeypatch.setenv(pool_samples.FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture
def told() -> list[PoolEvent]:
    """Give what the pool tells."""
    return []


@pytest.fixture
async def pool(
    folder: Path,  # noqa: ARG001 - the environment names it
    told: list[PoolEvent],
) -> AsyncIterator[ProcessPool]:
    """Give a pool of one process, in a folder where nothing fails yet."""
    made = ProcessPool(launch(), size=1, patience=0.5, tell=told.append)
    yield made
    await made.close()


def of(told: list[PoolEvent], kind: type[_E]) -> list[_E]:
    return [event for event in told if isinstance(event, kind)]


async def call(pool: ProcessPool) -> Outcome:
    handler = pool_samples.pid.handler
    record = TaskRecord(id="A1", type="pid", queue="Q", created=datetime.now(UTC), run=Run("W", 1, "n"))
    return await Executor(threads=1, processes=pool).start(handler, record, limit=60.0).run()


async def test_a_first_process_that_does_not_start_says_why(pool: ProcessPool, folder: Path) -> None:
    (folder / "fail").touch()
    with pytest.raises(ProcessStartError) as raised:
        await pool.start()

    assert raised.value.reason == (
        "on_process_start tests.unit.execution.pool_samples:start raised ConnectionError: no database"
    )
    assert 'raise ConnectionError("no database")' in raised.value.remote_traceback
    assert pool.pids == []


async def test_a_process_that_dies_at_its_start_says_how(pool: ProcessPool, folder: Path) -> None:
    (folder / "exit").touch()
    with pytest.raises(ProcessStartError, match="did not start: ended with status 3"):
        await pool.start()


@pytest.mark.parametrize(
    ("application", "reason"),
    [
        ("tests.unit.execution.no_module:app", "there is no module 'tests.unit.execution.no_module'"),
        ("tests.unit.execution.pool_samples:no_app", "has no attribute 'no_app'"),
    ],
)
async def test_an_application_that_is_not_found_says_so(application: str, reason: str) -> None:
    pool = ProcessPool(launch(application), size=1)
    with pytest.raises(ProcessStartError, match=reason):
        await pool.start()
    await pool.close()


async def test_a_task_hears_of_failing_starts_when_no_process_is_there_and_pays_no_try(
    pool: ProcessPool, folder: Path, told: list[PoolEvent]
) -> None:
    await pool.start()
    (folder / "fail").touch()
    os.kill(pool.pids[0], signal.SIGKILL)
    outcome = await call(pool)
    while not isinstance(outcome, Snoozed):  # the death of the process may not be known to the first call
        outcome = await call(pool)

    assert outcome.error is not None
    assert outcome.error.type == "jetq.errors.ProcessStartError"
    assert "no database" in outcome.error.message
    assert len(of(told, ProcessNotStarted)) == 3


async def test_a_process_that_starts_again_goes_on(pool: ProcessPool, folder: Path, told: list[PoolEvent]) -> None:
    (folder / "fail").touch()
    with pytest.raises(ProcessStartError):
        await pool.start()
    (folder / "fail").unlink()

    assert isinstance(await call(pool), Succeeded)
    assert of(told, ProcessNotStarted) == []


async def test_each_process_is_told_of_once_when_it_takes_calls_and_when_it_is_gone(
    pool: ProcessPool, told: list[PoolEvent]
) -> None:
    await pool.start()
    [first] = pool.pids
    await call(pool)
    os.kill(first, signal.SIGKILL)
    while not isinstance(await call(pool), Succeeded) or first in pool.pids:
        pass
    [second] = pool.pids
    await pool.close()

    assert [event.pid for event in of(told, ProcessReady)] == [first, second]
    died, stopped = of(told, ProcessEnded)
    assert (died.pid, died.reason, died.how) == (first, ProcessEnd.CRASH, "was killed by SIGKILL")
    assert (stopped.pid, stopped.reason) == (second, ProcessEnd.STOP)
    assert died.calls >= 1
    assert {event.worker for event in of(told, ProcessEnded)} == {"W"}


async def test_stop_hooks_run_when_the_pool_closes(pool: ProcessPool, folder: Path) -> None:
    await pool.start()
    await pool.close()

    assert (folder / "stopped").exists()


async def test_a_stop_hook_that_does_not_end_is_killed(pool: ProcessPool, folder: Path) -> None:
    await pool.start()
    [pid] = pool.pids
    (folder / "linger").touch()
    begun = time.monotonic()
    await pool.close()

    assert time.monotonic() - begun < 5
    assert (folder / "stopping").exists()
    assert not (folder / "stopped").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
