"""Cancelling tasks whose workers freeze or die."""

import os
import signal
import time

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import TaskCancelledError
from jetq.model.operation import Effect
from tests.faults.conftest import Crew
from tests.faults.program import LEASE
from tests.integration.watching import eventually
from tests.servers import TestServer, freeze

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]


async def begun(crew: Crew, app: App, kind: str, seconds: float) -> TaskHandle[int]:
    handle = await app.aenqueue(kind, {"seconds": seconds})

    async def is_running() -> bool:
        return bool(crew.lines("start"))

    await eventually(is_running)
    return handle


async def cancelled(handle: TaskHandle[int]) -> None:
    with pytest.raises(TaskCancelledError, match="cancelled by ops"):
        await handle.aresult(40)


async def test_a_cancelled_task_of_a_killed_worker_is_ended_by_the_next_one(crew: Crew, app: App) -> None:
    first = crew.hire()
    handle = await begun(crew, app, "work", 30)
    first.kill()
    done = await handle.acancel(by="ops")
    crew.hire()

    await cancelled(handle)
    await app.aclose()

    assert done.effect is Effect.REQUESTED
    assert len(crew.lines("start")) == 1


async def test_a_frozen_worker_that_wakes_finds_the_request(crew: Crew, app: App) -> None:
    """It does not hear the message in time for its sender, and is alone: nobody takes the task over meanwhile."""
    frozen = crew.hire()
    handle = await begun(crew, app, "work", 30)
    freeze(frozen.pid)
    done = await handle.acancel(by="ops")
    os.kill(frozen.pid, signal.SIGCONT)

    await cancelled(handle)
    await app.aclose()

    assert done.effect is Effect.REQUESTED
    assert not crew.lines("end")


async def test_a_frozen_workers_cancelled_task_is_ended_by_another(crew: Crew, app: App) -> None:
    frozen = crew.hire()
    handle = await begun(crew, app, "work", 30)
    freeze(frozen.pid)
    await handle.acancel(by="ops")
    crew.hire()

    await cancelled(handle)
    before = await handle.arecord()
    os.kill(frozen.pid, signal.SIGCONT)
    fresh = await app.aenqueue("work", {})
    await fresh.aresult(30)
    after = await handle.arecord()
    await app.aclose()

    assert after == before


@pytest.mark.alone
async def test_a_worker_whose_loop_is_blocked_hears_the_message_and_its_run_ends_first(crew: Crew, app: App) -> None:
    """The lease thread answers; a handler that never gives the loop back cannot be stopped, and keeps its outcome."""
    crew.hire()
    handle = await begun(crew, app, "block", 2.0)
    asked = time.monotonic()
    await handle.acancel(by="ops")
    answered = time.monotonic() - asked

    record = await handle.await_end(30)
    await app.aclose()

    assert answered < 1.0
    assert record.display_state == "complete"


async def test_a_request_survives_a_killed_server(crew: Crew, app: App, own_server: TestServer) -> None:
    crew.hire()
    handle = await begun(crew, app, "work", 30)
    own_server.kill()
    own_server.run()
    await handle.acancel(by="ops")

    await cancelled(handle)
    await app.aclose()

    assert len(crew.lines("start")) == 1


async def test_a_thread_is_stopped_at_its_next_instruction(crew: Crew, app: App) -> None:
    """A blocking call cannot be interrupted: after the grace the thread is given up, and the task ends all the same."""
    crew.hire()
    handle = await begun(crew, app, "thread", 30)
    asked = time.monotonic()
    await handle.acancel(by="ops")

    await cancelled(handle)
    await app.aclose()

    assert time.monotonic() - asked < 10 + LEASE
